"""Rows of the design matrix in C++, for the instruction set of this processor."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import check_shape
from mlff_dyn.kernels import _compiled
from mlff_dyn.kernels.compiled.instruction_set import INSTRUCTION_SET
from mlff_dyn.kernels.compiled.tables.design_chunks import build_design_chunks
from mlff_dyn.kernels.reduction import Reduction, check_rows
from mlff_dyn.kernels.slot_atoms import EVERY_CELL, cell_slices
from mlff_dyn.kernels.strain.moves import integrate_slopes, strain_displacements
from mlff_dyn.kernels.threads import share

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.kernels.gather import GatherTables
    from mlff_dyn.kernels.placement import Placement


def reduced_rows(
    place: Placement,
    reduction: Reduction,
    displacements: NDArray[np.float64],
    cells: slice = EVERY_CELL,
) -> NDArray[np.float64]:
    """Forces as a linear function of the independent parameters.

    Parameters
    ----------
    place : Placement
    reduction : Reduction
    displacements : ndarray, shape (n_atoms, 3), Å
    cells : slice
        Cells whose atoms are wanted; all by default.

    Returns
    -------
    ndarray, shape (3 * n_atoms, reduction.n_columns)
        Rows of the design matrix times the reduction; atoms of the wanted cells only, site by site.

    Raises
    ------
    DataError
        If the arrays do not fit the tables.
    """
    check_rows(place.tables.n_parameters, reduction)
    displacements = place.check_displacements(displacements)
    table = place.slot_atoms.of_cells(cells)
    rows = np.zeros((3 * place.n_sites * table.shape[1], reduction.n_columns))
    arrays = (table, displacements, place.moves, *reduction.arrays)
    _design_plan(place.tables).fill_reduced(*arrays, rows)
    return rows


def force_variances(
    place: Placement,
    reduction: Reduction,
    displacements: NDArray[np.float64],
    factor: NDArray[np.float64],
    *,
    atoms: NDArray[np.int64] | None = None,
    n_threads: int | None = 1,
) -> NDArray[np.float64]:
    """Variance of the force components for a covariance of the independent parameters.

    Parameters
    ----------
    place : Placement
    reduction : Reduction
    displacements : ndarray, shape (n_atoms, 3), Å
    factor : ndarray, shape (n_parameters, any)
        Covariance = factor @ factor.T; zeros of a triangle cost nothing.
    atoms : ndarray, optional
        Atoms whose variances are wanted, in this order; all by default.
    n_threads : int or None
        Threads that share the atoms of a large torus, which changes no number; None: all cores.

    Returns
    -------
    ndarray, shape (n_atoms or len(atoms), 3), (eV/Å)²

    Raises
    ------
    DataError
        If the arrays do not fit the tables.
    """
    check_rows(place.tables.n_parameters, reduction, factor)
    displacements = place.check_displacements(displacements)
    fill = _design_plan(place.tables).fill_variances
    columns = (*reduction.arrays, *_grouped_columns(factor))
    if atoms is None:
        by_site = np.empty((place.n_sites, place.n_cells, 3))

        def fill_piece(piece: slice) -> None:
            table = place.slot_atoms.of_cells(piece)
            part = np.zeros((place.n_sites * table.shape[1], 3))
            fill(table, displacements, place.moves, 0, place.n_sites, *columns, part)
            by_site[:, piece] = part.reshape(place.n_sites, -1, 3)

        share(fill_piece, cell_slices(place.n_cells, len(place.tables.slots)), n_threads)
        return by_site.reshape(-1, 3)
    variances = np.empty((len(atoms), 3))
    sites, cells = np.divmod(place.check_atoms(atoms), place.n_cells)
    for site in np.unique(sites).tolist():
        members = np.flatnonzero(sites == site)
        part = np.zeros((place.n_sites * len(members), 3))
        own_cells = place.slot_atoms.of_cells(cells[members])
        fill(own_cells, displacements, place.moves, site, site + 1, *columns, part)
        variances[members] = part[site * len(members) : (site + 1) * len(members)]
    return variances


def _grouped_columns(
    factor: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.int32]]:
    """Columns padded to groups of eight, first and last row of each group that is not zero."""
    padded = np.zeros((len(factor), -(-factor.shape[1] // 8) * 8))
    padded[:, : factor.shape[1]] = factor
    filled = (padded.reshape(len(factor), -1, 8) != 0.0).any(axis=2)
    first = np.where(filled.any(axis=0), np.argmax(filled, axis=0), 0).astype(np.int32)
    last = np.where(filled.any(axis=0), len(factor) - np.argmax(filled[::-1], axis=0), 0).astype(np.int32)
    return padded, first, last


def stress_rows(
    place: Placement,
    positions: NDArray[np.float64],
    displacements: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Derivative of the work of displacing with respect to strain as a function of the parameters.

    Parameters
    ----------
    place : Placement
    positions : ndarray, shape (n_slots, 3), Å
        See `mlff_dyn.kernels.strain.moves.slot_positions`.
    displacements : ndarray, shape (n_atoms, 3), Å
        Their mean should be zero: the crystal may feel a net force under strain, which the rows contain.

    Returns
    -------
    ndarray, shape (6, n_parameters)
        Rows xx, yy, zz, yz, xz, xy: derivative = row @ parameters, eV.

    Raises
    ------
    DataError
        If the arrays do not fit the tables.
    """
    check_shape("positions", positions, (len(place.tables.slots), 3))
    displacements = place.check_displacements(displacements)
    directions = np.ascontiguousarray(strain_displacements(positions))
    plan = _design_plan(place.tables)
    every = place.slot_atoms.of_cells(EVERY_CELL)

    def slopes(u: NDArray[np.float64]) -> NDArray[np.float64]:
        rows = np.zeros((6, place.tables.n_parameters))
        plan.add_stress(every, u, place.moves, directions, rows)
        return rows

    return integrate_slopes(place, slopes, displacements)


@lru_cache(maxsize=8)
def _design_plan(tables: GatherTables) -> _compiled.DesignPlan:
    plan = _compiled.DesignPlan(INSTRUCTION_SET, tables.n_parameters)
    for chunk in build_design_chunks(tables):
        plan.add_chunk(
            chunk.site,
            chunk.slots,
            chunk.node_parents,
            chunk.node_variables,
            chunk.output_axes,
            chunk.output_parameters,
            chunk.output_starts,
            chunk.entry_nodes,
            chunk.entry_factors,
        )
    return plan
