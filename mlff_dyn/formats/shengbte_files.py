"""Force constants of orders 2, 3 and 4 for ShengBTE and FourPhonon, and their ``CONTROL``.

The unit cell of these files is the primitive cell, and order 2 is given on a supercell that repeats its
vectors. Orders 3 and 4 are those of the infinite crystal: they depend on no supercell.

Rules of the files: manual of ShengBTE (Doc/ShengBTE.pdf: "Input files") for FORCE_CONSTANTS_3RD and CONTROL;
phonopy's FORCE_CONSTANTS for order 2, atoms by site, then by cell, the first vector fastest; manual of
FourPhonon for FORCE_CONSTANTS_4TH. Positions in Å, force constants in eV/Å^order.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from ase.data import atomic_masses, chemical_symbols

from mlff_dyn.errors import UsageError
from mlff_dyn.formats.primitive_cell import (
    atoms_by_cell,
    folded_offsets,
    folded_sites,
    primitive_supercell,
)
from mlff_dyn.model.crystal_constants import crystal_constants
from mlff_dyn.model.force_constants import force_constants_of
from mlff_dyn.store.atomic import require_space

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from mlff_dyn.lattice.crystal import Crystal
    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.model.crystal_constants import CrystalConstants
    from mlff_dyn.model.force_constants import ForceConstants
    from mlff_dyn.model.force_field import ForceField

NAMES = {2: "FORCE_CONSTANTS_2ND", 3: "FORCE_CONSTANTS_3RD", 4: "FORCE_CONSTANTS_4TH"}
CONTROL = "CONTROL"
_KELVIN = 300
_GRID_LENGTH_ANGSTROM = 50.0
"""Grid points along a reciprocal vector times the length of the lattice vector; a start for convergence."""
_SAME_MASS = 0.01
"""amu; ShengBTE knows the natural isotopes of elements, which tables of masses round."""
_LINE_BYTES = {2: 68, 3: 30, 4: 33}
_LARGEST_BYTES = 4 << 30
"""Of order 2, which ShengBTE wants in full."""


def write_shengbte(force_field: ForceField, torus: Torus, directory: Path) -> tuple[str, ...]:
    """Write force constants of orders 2, 3 and, where the force field has it, 4, and ``CONTROL``.

    ``CONTROL`` holds the crystal, with dielectric tensor and Born charges where there are any; temperature
    and grid in it are a start.

    Parameters
    ----------
    force_field : ForceField
    torus : Torus
        Order 2 is given on the smallest repetition of the primitive cell that copies of it fill.
    directory : Path

    Returns
    -------
    tuple of str
        Names of the files.

    Raises
    ------
    UsageError
        If order 2 would be too large.
    DataError
        If the force field has no order 2 or 3, or the disk has no room for the files.
    """
    has_quartic = force_field.local is not None or 4 in force_field.basis.orders
    whole = primitive_supercell(torus)
    size = whole.n_atoms**2 * 4 * _LINE_BYTES[2]
    if size > _LARGEST_BYTES:
        raise UsageError(
            f"{NAMES[2]} would take {size / 2**30:.0f} GiB: the smallest repetition of the primitive cell "
            f"that the supercell fills has {whole.n_atoms} atoms",
            fix="give another one with --supercell",
        )
    anharmonic = [crystal_constants(force_field, order) for order in ((3, 4) if has_quartic else (3,))]
    harmonic = force_constants_of(force_field, 2, whole)
    sizes = [len(each.blocks) * 3**each.order * _LINE_BYTES[each.order] for each in anharmonic]
    require_space(directory, size + sum(sizes))
    _write(directory / NAMES[2], _harmonic_lines(harmonic))
    for constants in anharmonic:
        _write(directory / NAMES[constants.order], _sparse_lines(constants))
    _write(directory / CONTROL, _control_lines(force_field, whole))
    return (*(NAMES[order] for order in (2, *(each.order for each in anharmonic))), CONTROL)


def _write(path: Path, pieces: Iterator[str]) -> None:
    with path.open("w", encoding="ascii") as file:
        file.writelines(pieces)


def _harmonic_lines(constants: ForceConstants) -> Iterator[str]:
    """All pairs of atoms, row by row."""
    torus = constants.torus
    extents = np.diag(torus.matrix)[::-1]
    atoms, cells = atoms_by_cell(torus)
    home = constants.dense(atoms[:, 0], atoms.reshape(-1))
    by_cell = home.reshape(*2 * (torus.crystal.n_sites,), *extents, 3, 3)
    numbers = range(1, torus.n_atoms + 1)
    block = "%d %d\n" + 3 * "%22.15f%22.15f%22.15f\n"
    yield f"{torus.n_atoms:4d}\n"
    for atom in range(torus.n_atoms):
        site, cell = divmod(atom, torus.n_cells)
        row = np.roll(by_cell[site], cells[cell][::-1], axis=(1, 2, 3)).reshape(-1, 9).tolist()
        yield "".join(block % (atom + 1, other, *row[other - 1]) for other in numbers)


def _sparse_lines(constants: CrystalConstants) -> Iterator[str]:
    """Clusters of the infinite crystal, numbered from 1."""
    order, lattice = constants.order, constants.crystal.lattice
    vectors = 3 * " %.12e" + "\n"
    axes = (" ".join(map(str, each)) for each in product((1, 2, 3), repeat=order))
    block = "\n%d\n" + (order - 1) * vectors + order * " %d" + "\n" + "".join(f"{a} %.12e\n" for a in axes)
    yield f"{len(constants.blocks)}\n"
    cells = (folded_offsets(constants)[:, 1:] @ lattice).reshape(len(constants.blocks), -1)
    for number, (sites, cell, values) in enumerate(
        zip(constants.sites, cells, constants.blocks, strict=True), start=1
    ):
        yield block % (number, *cell.tolist(), *(sites + 1).tolist(), *values.ravel().tolist())


def _control_lines(force_field: ForceField, torus: Torus) -> Iterator[str]:
    crystal, dipoles = torus.crystal, force_field.long_range
    numbers, masses, types = _elements(crystal)
    lengths = np.linalg.norm(crystal.lattice, axis=1)
    grid = np.where(crystal.periodic, np.maximum(1, np.ceil(_GRID_LENGTH_ANGSTROM / lengths)), 1).astype(int)
    yield f"&allocations\n  nelements={len(numbers)},\n  natoms={crystal.n_sites},\n"
    yield f"  ngrid(:)={_words(grid)}\n&end\n&crystal\n  lfactor=0.1,\n"
    yield from _columns("lattvec(:,{})", crystal.lattice)
    yield f"  elements={' '.join(chr(34) + chemical_symbols[each] + chr(34) for each in numbers)},\n"
    yield f"  types={_words(types)},\n"
    yield from _columns("positions(:,{})", folded_sites(crystal).fractional)
    is_natural = bool((np.abs(masses - atomic_masses[numbers]) < _SAME_MASS).all())
    if not is_natural:
        yield f"  masses={_words(masses)},\n"
    if dipoles is not None:
        yield from _columns("epsilon(:,{})", dipoles.dielectric)
        for site, charges in enumerate(dipoles.charges, start=1):
            yield from _columns(f"born(:,{{}},{site})", charges.T)
    yield f"  scell(:)={_words(np.diag(torus.matrix))}\n&end\n&parameters\n  T={_KELVIN}\n&end\n&flags\n"
    if not is_natural:
        yield "  autoisotopes=.FALSE.,\n  isotopes=.FALSE.,\n"
    yield f"  nonanalytic={'.FALSE.' if dipoles is None else '.TRUE.'}\n&end\n"


def _elements(crystal: Crystal) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Atomic numbers and masses (amu) of the elements, and the element of each site, counted from 1."""
    pairs = np.stack([crystal.numbers, crystal.masses], axis=1)
    kinds, types = np.unique(pairs, axis=0, return_inverse=True)
    return kinds[:, 0].astype(np.int64), kinds[:, 1], types.reshape(-1) + 1


def _columns(name: str, vectors: NDArray[np.float64]) -> Iterator[str]:
    for number, vector in enumerate(vectors, start=1):
        yield f"  {name.format(number)}={_words(vector)},\n"


def _words(values: NDArray[np.generic]) -> str:
    return " ".join(f"{each:.12f}" if isinstance(each, float) else str(each) for each in values.tolist())
