"""The force constant potential of GPUMD on a supercell: ``fcp.txt``, ``r0.in``, clusters and blocks by order.

Rules of the files: manual of GPUMD ("Force constant potential") and what its reader does: atoms from 0;
orders 2 and 3 with all arrangements of the atoms of a cluster, higher ones with the ascending one only; every
order from 2 to the highest, each with at least one cluster; eV/Å^order.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import ase.io
import numpy as np
from ase import Atoms

from mlff_dyn.errors import DataError
from mlff_dyn.formats.supercell_clusters import clusters_by_cell, constants_by_order
from mlff_dyn.model.force_constants import ForceConstants
from mlff_dyn.store.atomic import require_space

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.model.force_field import ForceField

POTENTIAL, REST, STRUCTURE = "fcp.txt", "r0.in", "model.xyz"
_HEAT_CURRENT_ORDER = 2
_LOWEST_SORTED_ORDER = 4
"""Orders below list all arrangements of the atoms of a cluster."""


def write_gpumd(force_field: ForceField, torus: Torus, directory: Path) -> tuple[str, ...]:
    """Write the potential, and the supercell as ``model.xyz`` with its atoms in the same order.

    ``fcp.txt`` looks for the other files in the directory where GPUMD runs.

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
    DataError
        If the force field has no order 2, or the disk has no room for the files.
    """
    found = constants_by_order(force_field, torus)
    if 2 not in found:
        raise DataError(
            "the expansion has no order 2", fix="train with expansion.cutoffs_angstrom: {2: full}"
        )
    names = []
    for order in range(2, max(found) + 1):
        blocks, clusters = f"fcs_order{order}.in", f"clusters_order{order}.in"
        constants = found.get(order) or _nothing(order, torus)
        require_space(directory, 24 * len(constants.blocks) * (3**order + torus.n_cells))
        _write(directory / blocks, _block_lines(constants))
        _write(directory / clusters, _cluster_lines(constants))
        names += [blocks, clusters]
    atoms = Atoms(torus.numbers, cell=torus.lattice, positions=torus.positions, pbc=True)
    _write(directory / REST, (f"{x:.12f} {y:.12f} {z:.12f}\n" for x, y, z in torus.positions.tolist()))
    atoms.set_array("mass", torus.masses)
    ase.io.write(directory / STRUCTURE, atoms, format="extxyz")
    elements = list(dict.fromkeys(atoms.get_chemical_symbols()))
    head = f"fcp {len(elements)} {' '.join(elements)}\n{max(found)} {_HEAT_CURRENT_ORDER}\n.\n"
    _write(directory / POTENTIAL, iter([head]))
    return (*names, REST, STRUCTURE, POTENTIAL)


def _nothing(order: int, torus: Torus) -> ForceConstants:
    """One cluster that vanishes."""
    return ForceConstants(order, torus, np.zeros((1, order), np.int64), np.zeros((1, *(3,) * order)))


def _write(path: Path, pieces: Iterator[str]) -> None:
    with path.open("w", encoding="ascii") as file:
        file.writelines(pieces)


def _block_lines(constants: ForceConstants) -> Iterator[str]:
    axes = (" ".join(map(str, each)) for each in product(range(3), repeat=constants.order))
    block = "".join(f"{each} %.15e\n" for each in axes) + "\n"
    yield f"{len(constants.blocks)}\n\n"
    for values in constants.blocks:
        yield block % tuple(values.ravel().tolist())


def _cluster_lines(constants: ForceConstants) -> Iterator[str]:
    ascending = constants.order >= _LOWEST_SORTED_ORDER
    count = sum(len(rows) for _, rows in clusters_by_cell(constants, ascending=ascending))
    line = constants.order * "%d " + "%d\n"
    yield f"{count}\n\n"
    for clusters, rows in clusters_by_cell(constants, ascending=ascending):
        table = np.column_stack([clusters, rows])
        yield "".join(line % tuple(each) for each in table.tolist())
