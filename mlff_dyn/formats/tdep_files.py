"""Force constants of orders 2, 3 and 4 for TDEP, with its unit cell and supercell.

The unit cell is the primitive one. TDEP maps force constants to a supercell by counting all clusters in which
no two atoms are farther apart than the cutoff, so clusters of these that vanish are written too.

Rules of the files: manual of TDEP ("Files"), and what its readers and writers of force constants do: atoms
from 1, lattice vectors as multiples of those of the unit cell, Å and eV/Å^order.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import ase.io
import numpy as np
from ase import Atoms

from mlff_dyn.errors import UsageError
from mlff_dyn.formats.primitive_cell import folded_offsets, folded_sites
from mlff_dyn.model.crystal_constants import crystal_constants
from mlff_dyn.store.atomic import require_space

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.model.crystal_constants import CrystalConstants
    from mlff_dyn.model.force_field import ForceField

UNIT_CELL, SUPERCELL = "infile.ucposcar", "infile.ssposcar"
NAMES = {
    2: "infile.forceconstant",
    3: "infile.forceconstant_thirdorder",
    4: "infile.forceconstant_fourthorder",
}
_MARGIN_ANGSTROM = 1e-5
"""What TDEP itself adds to the largest distance."""
_WORDS = {2: ("neighbours does", "have"), 3: ("triplets are", "part of"), 4: ("quartets are", "part of")}


def write_tdep(force_field: ForceField, torus: Torus, directory: Path) -> tuple[str, ...]:
    """Write unit cell, supercell and force constants of orders 2 to 4, as far as the force field has them.

    TDEP knows no masses but those of the elements.

    Parameters
    ----------
    force_field : ForceField
    torus : Torus
        Supercell of ``infile.ssposcar``; the force constants are those of the infinite crystal.
    directory : Path

    Returns
    -------
    tuple of str
        Names of the files.

    Raises
    ------
    UsageError
        If the force field has dipoles: TDEP divides the force constants otherwise.
    DataError
        If the force field has no order 2, or the disk has no room for the files.
    """
    if force_field.long_range is not None:
        raise UsageError(
            "format tdep cannot hold the dipole-dipole interaction of expansion.born_file",
            fix="use format shengbte, phonopy or phono3py",
        )
    crystal = torus.crystal
    has_all = force_field.local is not None
    orders = [order for order in NAMES if order == 2 or has_all or order in force_field.basis.orders]
    found = [crystal_constants(force_field, order) for order in orders]
    unit_cell = Atoms(
        crystal.numbers, cell=crystal.lattice, scaled_positions=folded_sites(crystal).fractional, pbc=True
    )
    supercell = Atoms(torus.numbers, cell=torus.lattice, positions=torus.positions, pbc=True)
    for name, atoms in ((UNIT_CELL, unit_cell), (SUPERCELL, supercell)):
        ase.io.write(directory / name, atoms, format="vasp", direct=True)
    for constants in found:
        require_space(directory, len(constants.blocks) * 3**constants.order * 24)
        with (directory / NAMES[constants.order]).open("w", encoding="ascii") as file:
            file.writelines(_lines(constants))
    return (UNIT_CELL, SUPERCELL, *(NAMES[order] for order in orders))


def _lines(constants: CrystalConstants) -> Iterator[str]:
    order, crystal = constants.order, constants.crystal
    distances = np.linalg.norm(constants.positions - constants.positions[:, :1], axis=-1)
    cutoff = float(distances.max(initial=0.0)) + _MARGIN_ANGSTROM
    places = np.concatenate([constants.sites[..., None], folded_offsets(constants)], axis=-1)
    rows = {key: row for row, key in enumerate(map(bytes, np.ascontiguousarray(places, np.int64)))}
    nothing = np.zeros((3,) * order)
    yield f"{crystal.n_sites:10d}   How many atoms per unit cell\n"
    yield f"{cutoff:20.15f}   Realspace cutoff (A)\n"
    many, end = _WORDS[order]
    for site in range(crystal.n_sites):
        clusters = _clusters_within(constants, site, cutoff)
        yield f"{len(clusters):10d}   How many {many} atom {site + 1} {end}\n"
        for cluster in clusters:
            row = rows.get(bytes(cluster))
            yield _block_lines(cluster, nothing if row is None else constants.blocks[row])
    if order == 2:
        yield "0   # This contains no information about Born charges or dielectric tensors\n"


def _block_lines(cluster: NDArray[np.int64], block: NDArray[np.float64]) -> str:
    """Atoms, their cells and the block; a pair is told by its second atom only."""
    named = cluster if len(cluster) > 2 else cluster[1:]
    atoms = "".join(f"{site + 1:10d}\n" for site in named[:, 0])
    cells = "".join(f" {x:.1f} {y:.1f} {z:.1f}\n" for x, y, z in named[:, 1:].tolist())
    lines = (f" {x:.15e} {y:.15e} {z:.15e}\n" for x, y, z in block.reshape(-1, 3).tolist())
    return atoms + cells + "".join(lines)


def _clusters_within(constants: CrystalConstants, site: int, cutoff: float) -> NDArray[np.int64]:
    """All clusters of a site in which no two atoms are farther apart; (n_clusters, order, 4)."""
    crystal = constants.crystal
    reach = np.ceil(cutoff * np.linalg.norm(np.linalg.inv(crystal.lattice), axis=0)).astype(int) + 1
    reach *= crystal.periodic
    cells = np.array(list(product(*(range(-each, each + 1) for each in reach))))
    sites = np.repeat(np.arange(crystal.n_sites), len(cells))
    slots = np.column_stack([sites, np.tile(cells, (crystal.n_sites, 1))])
    inside = folded_sites(crystal).fractional @ crystal.lattice
    vectors = inside[slots[:, 0]] + slots[:, 1:] @ crystal.lattice - inside[site]
    near = np.linalg.norm(vectors, axis=1) < cutoff
    slots, vectors = slots[near], vectors[near]
    joined = np.linalg.norm(vectors[:, None] - vectors, axis=-1) < cutoff
    chains = np.arange(len(slots))[:, None]
    for _ in range(constants.order - 2):
        fits = joined[chains].all(axis=1)
        old, new = np.nonzero(fits)
        chains = np.column_stack([chains[old], new])
    home = np.broadcast_to(np.array([site, 0, 0, 0]), (len(chains), 1, 4))
    return np.ascontiguousarray(np.concatenate([home, slots[chains]], axis=1), np.int64)
