"""Force constants of orders 2, 3 and 4 for anphon of ALAMODE (``FCSXML``).

An entry is an element of a force constant: a site of the primitive cell, then atoms of the supercell with the
image of it in which they are. anphon adds the other orders of the atoms behind the first one, by the number
of atom and axis, so that only ascending numbers are written. Order 2 is shared among the nearest images of a
pair; orders 3 and 4 are those of the infinite crystal.

Rules of the file: manual of ALAMODE ("Format of the XML file") and what alm writes and anphon reads: atoms
and axes from 1, image 1 the supercell itself and then its 26 neighbors, the last vector fastest; bohr and
Ry/bohr^order.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING
from xml.sax.saxutils import quoteattr

import numpy as np
from ase.data import chemical_symbols

from mlff_dyn.errors import UsageError
from mlff_dyn.model.crystal_constants import crystal_constants
from mlff_dyn.model.force_constants import force_constants_of
from mlff_dyn.store.atomic import require_space
from mlff_dyn.units import BOHR_ANGSTROM, RYDBERG_EV

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.model.crystal_constants import CrystalConstants
    from mlff_dyn.model.force_constants import ForceConstants
    from mlff_dyn.model.force_field import ForceField

NAME, DIPOLES = "model.xml", "BORNINFO"
_IMAGES = np.array([(0, 0, 0), *(each for each in product((-1, 0, 1), repeat=3) if any(each))])
_SAME_DISTANCE_ANGSTROM = 1e-4
_VANISHING = 1e-13
"""Elements that are no larger, as a fraction of the largest one, are rounding."""
_LINE_BYTES = 110


def write_alamode(force_field: ForceField, torus: Torus, directory: Path) -> tuple[str, ...]:
    """Write orders 2 to 4 as far as the force field has them, and ``BORNINFO`` where it has dipoles.

    Parameters
    ----------
    force_field : ForceField
    torus : Torus
    directory : Path

    Returns
    -------
    tuple of str
        Names of the files.

    Raises
    ------
    UsageError
        If a cluster does not fit the supercell and its neighbors.
    DataError
        If the force field has no order 2, or the disk has no room for the files.
    """
    pairs = _nearest_images(force_constants_of(force_field, 2, torus))
    has_all = force_field.local is not None
    orders = [order for order in (3, 4) if has_all or order in force_field.basis.orders]
    entries = [pairs, *(_placed(crystal_constants(force_field, order), torus) for order in orders)]
    require_space(directory, _LINE_BYTES * sum(each[1].size for each in entries))
    with (directory / NAME).open("w", encoding="utf-8") as file:
        file.writelines(_head_lines(torus))
        for order, (atoms, blocks) in zip((2, *orders), entries, strict=True):
            file.writelines(_entry_lines(order, atoms, blocks))
        file.write("  </ForceConstants>\n</Data>\n")
    if force_field.long_range is None:
        return (NAME,)
    rows = [force_field.long_range.dielectric, *force_field.long_range.charges]
    np.savetxt(directory / DIPOLES, np.concatenate(rows), fmt="%18.12f")
    return (DIPOLES, NAME)


Placed = tuple["NDArray[np.int64]", "NDArray[np.float64]"]
"""Atoms and images, shape (n_clusters, order, 2), from 0, the first atom a site; and blocks, eV/Å^order."""


def _nearest_images(constants: ForceConstants) -> Placed:
    torus = constants.torus
    first, second = constants.clusters.T
    vectors = torus.positions[second] - torus.positions[first]
    distances = np.linalg.norm(vectors[:, None] + _IMAGES @ torus.lattice, axis=-1)
    nearest = distances < distances.min(axis=1, keepdims=True) + _SAME_DISTANCE_ANGSTROM
    rows, images = np.nonzero(nearest)
    atoms = np.zeros((len(rows), 2, 2), np.int64)
    atoms[:, 0, 0] = first[rows] // torus.n_cells
    atoms[:, 1] = np.stack([second[rows], images], axis=1)
    return atoms, constants.blocks[rows] / nearest.sum(axis=1)[rows, None, None]


def _placed(constants: CrystalConstants, torus: Torus) -> Placed:
    sites = constants.sites
    atoms = sites * torus.n_cells + torus.cell_index(constants.offsets)
    moved = constants.positions - constants.positions[:, :1] + torus.positions[atoms[:, :1]]
    shifts = np.rint((moved - torus.positions[atoms]) @ np.linalg.inv(torus.lattice)).astype(np.int64)
    if np.abs(shifts).max(initial=0) > 1:
        raise UsageError(
            f"clusters of order {constants.order} reach beyond the neighbors of a supercell of "
            f"{torus.n_atoms} atoms, which format alamode cannot hold",
            fix="give a larger one with --supercell",
        )
    numbers = np.zeros((3, 3, 3), np.int64)
    numbers[tuple((_IMAGES + 1).T)] = np.arange(len(_IMAGES))
    atoms[:, 0] = sites[:, 0]
    return np.stack([atoms, numbers[tuple(np.moveaxis(shifts + 1, -1, 0))]], axis=-1), constants.blocks


def _entry_lines(order: int, atoms: NDArray[np.int64], blocks: NDArray[np.float64]) -> Iterator[str]:
    group = "HARMONIC" if order == 2 else f"ANHARM{order}"
    axes = np.array(list(product(range(3), repeat=order)))
    values = blocks.reshape(len(blocks), -1) * (BOHR_ANGSTROM**order / RYDBERG_EV)
    smallest = _VANISHING * float(np.abs(values).max(initial=0.0))
    pairs = "".join(f' pair{place}="%d %d %d"' for place in range(2, order + 1))
    line = f'      <FC{order} pair1="%d %d"{pairs}>%.15e</FC{order}>\n'
    yield f"    <{group}>\n"
    for cluster, elements in zip(atoms, values, strict=True):
        ascending = (np.diff(3 * cluster[1:, 0] + axes[:, 1:], axis=1) >= 0).all(axis=1)
        for number in np.flatnonzero(ascending & (np.abs(elements) > smallest)):
            words = np.stack([cluster[:, 0], axes[number], cluster[:, 1]], axis=1) + 1
            yield line % (*words[0, :2], *words[1:].ravel(), elements[number])
    yield f"    </{group}>\n"


def _head_lines(torus: Torus) -> Iterator[str]:
    symbols = [chemical_symbols[number] for number in torus.numbers]
    elements = list(dict.fromkeys(symbols))
    yield '<?xml version="1.0" encoding="utf-8"?>\n<Data>\n  <ALM_version>mlff-dyn</ALM_version>\n'
    yield "  <Structure>\n"
    yield f"    <NumberOfAtoms>{torus.n_atoms}</NumberOfAtoms>\n"
    yield f"    <NumberOfElements>{len(elements)}</NumberOfElements>\n    <AtomicElements>\n"
    for number, element in enumerate(elements, start=1):
        yield f'      <element number="{number}">{element}</element>\n'
    yield "    </AtomicElements>\n    <LatticeVector>\n"
    for number, vector in enumerate(torus.lattice / BOHR_ANGSTROM, start=1):
        yield f"      <a{number}>{_words(vector)}</a{number}>\n"
    periodicity = " ".join(str(int(each)) for each in torus.crystal.periodic)
    yield f"    </LatticeVector>\n    <Periodicity>{periodicity}</Periodicity>\n    <Position>\n"
    fractional = torus.positions @ np.linalg.inv(torus.lattice)
    for number, (symbol, position) in enumerate(zip(symbols, fractional, strict=True), start=1):
        yield f'      <pos index="{number}" element={quoteattr(symbol)}>{_words(position)}</pos>\n'
    yield "    </Position>\n  </Structure>\n  <Symmetry>\n"
    yield f"    <NumberOfTranslations>{torus.n_cells}</NumberOfTranslations>\n    <Translations>\n"
    for cell, site in product(range(torus.n_cells), range(torus.crystal.n_sites)):
        atom = site * torus.n_cells + cell + 1
        yield f'      <map tran="{cell + 1}" atom="{site + 1}">{atom}</map>\n'
    yield "    </Translations>\n  </Symmetry>\n  <ForceConstants>\n"


def _words(vector: NDArray[np.float64]) -> str:
    return " ".join(f"{each:.15e}" for each in vector.tolist())
