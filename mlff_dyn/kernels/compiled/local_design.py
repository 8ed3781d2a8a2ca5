"""Rows of the local part in C++, for the instruction set of this processor."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from mlff_dyn.kernels import _compiled
from mlff_dyn.kernels.compiled.instruction_set import INSTRUCTION_SET
from mlff_dyn.kernels.compiled.tables.radial_coefficients import radial_coefficients
from mlff_dyn.kernels.local_tables import LocalPlace, LocalRows, LocalTables
from mlff_dyn.kernels.reference.couplings import coupling
from mlff_dyn.kernels.slot_atoms import atoms_for_kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.kernels.slot_atoms import SlotAtoms

_VOIGT = np.array([[0, 5, 4], [5, 1, 3], [4, 3, 2]])


def local_rows(
    tables: LocalTables,
    neighbor_atoms: SlotAtoms | NDArray[np.int32],
    displacements: NDArray[np.float64],
    *,
    strain: NDArray[np.float64],
) -> LocalRows:
    """Forces, energy and virial as linear functions of the values.

    Parameters
    ----------
    tables : LocalTables
    neighbor_atoms : SlotAtoms, or ndarray, shape (n_neighbors, n_cells)
        Atom that each neighbor of the tables means for each home cell.
    displacements : ndarray, shape (n_atoms, 3), Å
    strain : ndarray, shape (3, 3)
        Neighbors are at (1 + strain) times their vectors, plus displacements.

    Returns
    -------
    LocalRows

    Raises
    ------
    DataError
        If the arrays do not fit the tables.
    """
    place = LocalPlace(tables, neighbor_atoms, strain)
    totals = np.zeros((7, tables.n_functions))
    forces = _force_rows(place, displacements, np.arange(place.n_atoms), totals)
    return LocalRows(forces, totals[6], totals[_VOIGT])


def local_force_rows(
    place: LocalPlace, displacements: NDArray[np.float64], atoms: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Forces on some atoms as linear functions of the values; only their surroundings are looked at.

    Parameters
    ----------
    place : LocalPlace
    displacements : ndarray, shape (n_atoms, 3), Å
    atoms : ndarray, shape (any,)

    Returns
    -------
    ndarray, shape (3 * len(atoms), n_functions), 1/Å
        Row 3 * place in atoms + axis.

    Raises
    ------
    DataError
        If the arrays do not fit the tables.
    """
    return _force_rows(place, displacements, atoms, np.empty((0, place.tables.n_functions)))


def _force_rows(
    place: LocalPlace,
    displacements: NDArray[np.float64],
    atoms: NDArray[np.int64],
    totals: NDArray[np.float64],
) -> NDArray[np.float64]:
    rows = np.zeros((3 * len(atoms), place.tables.n_functions))
    _local_plan(place.tables).add_rows(
        atoms_for_kernel(place.slot_atoms),
        place.slot_atoms.grid or (1, 1, 1),
        np.ascontiguousarray(place.vectors),
        place.check_displacements(displacements),
        place.check_atoms(atoms).astype(np.int32),
        rows,
        totals,
    )
    return rows


@lru_cache(maxsize=8)
def _local_plan(tables: LocalTables) -> _compiled.LocalPlan:
    """Tables in the form of the kernel: columns of channel c are (l, c') of its products, and A_c00 alone."""
    triples = tables.triple_functions.transpose(0, 2, 1, 3).reshape(tables.n_kinds, tables.n_channels, -1)
    functions = np.concatenate([triples, tables.pair_functions[:, :, None]], axis=2)
    weights = np.concatenate(
        [np.tile(1.0 + np.eye(tables.n_channels), tables.l_max + 1), np.ones((tables.n_channels, 1))], axis=1
    )
    return _compiled.LocalPlan(
        INSTRUCTION_SET,
        tables.l_max,
        tables.n_functions,
        tables.cutoff,
        radial_coefficients(tables),
        np.ascontiguousarray(tables.kinds, dtype=np.int32),
        np.ascontiguousarray(tables.starts, dtype=np.int32),
        tables.kinds[tables.slots[:, 0]].astype(np.int32),
        np.ascontiguousarray(tables.vectors),
        functions.astype(np.int32),
        weights,
        *_quadruple_arguments(tables),
    )


def _quadruple_arguments(tables: LocalTables) -> tuple[NDArray[Any], ...]:
    """Products of three factors by kind, and entries of their couplings, as in local_design.hpp."""
    rows = tables.quadruples[np.argsort(tables.quadruples[:, 0], kind="stable")]
    degrees, which = np.unique(rows[:, 4:7], axis=0, return_inverse=True)
    found = [coupling(*each) for each in degrees.tolist()]
    orders = [np.argwhere(w) for w in found]
    ends = np.cumsum([0, *map(len, orders)])
    return (
        np.searchsorted(rows[:, 0], np.arange(tables.n_kinds + 1)).astype(np.int32),
        np.ascontiguousarray(rows),
        np.stack([ends[which.ravel()], ends[which.ravel() + 1]], axis=1).astype(np.int32),
        np.concatenate([np.zeros((0, 3), np.int32), *orders]).astype(np.int32),
        np.concatenate([np.zeros(0), *(w[w != 0.0] for w in found)]),
    )
