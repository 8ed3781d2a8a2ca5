"""Rows of the design matrix in plain numpy: slow, readable, and the measure of the compiled ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import check_shape
from mlff_dyn.kernels.reduction import Reduction, check_rows
from mlff_dyn.kernels.reference.local_energy import local_force_rows
from mlff_dyn.kernels.reference.nodes import (
    cell_chunks,
    group_starts,
    node_slopes,
    node_values,
    slot_variables,
)
from mlff_dyn.kernels.slot_atoms import EVERY_CELL
from mlff_dyn.kernels.strain.moves import integrate_slopes, strain_displacements

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.kernels.local_tables import LocalPlace
    from mlff_dyn.kernels.placement import Placement


def design_matrix(
    place: Placement,
    displacements: NDArray[np.float64],
    cells: slice = EVERY_CELL,
) -> NDArray[np.float64]:
    """Forces as a linear function of the parameters.

    Parameters
    ----------
    place : Placement
    displacements : ndarray, shape (n_atoms, 3), Å
    cells : slice
        Cells whose atoms are wanted; all by default.

    Returns
    -------
    ndarray, shape (3 * n_atoms, n_parameters)
        Row 3 * atom + axis: force = -dE/du = row @ parameters.
    """
    design = _cell_rows(place, place.slot_atoms.of_cells(cells), place.check_displacements(displacements))
    return design.reshape(3 * design.shape[0] * design.shape[1], place.tables.n_parameters)


def _cell_rows(
    place: Placement, slot_atoms: NDArray[np.int32], displacements: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Rows of the cells that slot_atoms has columns for, shape (n_sites, n_columns, 3, n_parameters)."""
    tables, n_cells = place.tables, slot_atoms.shape[1]
    design = np.zeros((place.n_sites, n_cells, 3, tables.n_parameters))
    starts = group_starts(tables.entry_targets, tables.entry_parameters)
    sites, axes = np.divmod(tables.entry_targets[starts], 3)
    columns = tables.entry_parameters[starts]
    for cells in cell_chunks(n_cells, len(tables.entry_nodes) + len(tables.node_parents)):
        nodes = node_values(tables, slot_variables(slot_atoms[:, cells], displacements, place.moves))
        products = tables.entry_factors[:, None] * nodes[tables.entry_nodes]
        if len(starts):
            sums = np.add.reduceat(products, starts, axis=0)
            design[sites[:, None], cells, axes[:, None], columns[:, None]] = -sums
    return design


def reduced_rows(
    place: Placement,
    reduction: Reduction,
    displacements: NDArray[np.float64],
    cells: slice = EVERY_CELL,
) -> NDArray[np.float64]:
    """Forces as a linear function of the independent parameters.

    See `mlff_dyn.kernels.compiled.rows.reduced_rows`.
    """
    check_rows(place.tables.n_parameters, reduction)
    return np.asarray(design_matrix(place, displacements, cells) @ reduction.dense())


def force_variances(
    place: Placement,
    reduction: Reduction,
    displacements: NDArray[np.float64],
    factor: NDArray[np.float64],
    *,
    atoms: NDArray[np.int64] | None = None,
    n_threads: int | None = 1,  # noqa: ARG001 (the compiled version shares the atoms)
    local: LocalPlace | None = None,
) -> NDArray[np.float64]:
    """Variance of the force components for a covariance of the independent parameters.

    See `mlff_dyn.kernels.compiled.rows.force_variances`.
    """
    check_rows(place.tables.n_parameters, reduction, factor, local.tables.n_functions if local else 0)
    displacements = place.check_displacements(displacements)
    of_lattice, of_local = np.split(factor, [reduction.n_columns])
    columns = reduction.dense() @ of_lattice
    further = np.zeros((place.n_sites, place.n_cells, 3, 1))
    if local:
        rows = local_force_rows(local, displacements, np.arange(place.n_atoms))
        further = (rows @ of_local).reshape(place.n_sites, place.n_cells, 3, factor.shape[1])
    variances = np.empty((place.n_sites, place.n_cells, 3))
    for cells in cell_chunks(place.n_cells, 3 * place.n_sites * sum(columns.shape)):
        products = _cell_rows(place, place.slot_atoms.of_cells(cells), displacements) @ columns
        variances[:, cells] = ((products + further[:, cells]) ** 2).sum(axis=-1)
    flat = variances.reshape(place.n_atoms, 3)
    return flat if atoms is None else flat[place.check_atoms(atoms)]


def stress_rows(
    place: Placement,
    positions: NDArray[np.float64],
    displacements: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Derivative of the work of displacing with respect to strain as a function of the parameters.

    See `mlff_dyn.kernels.compiled.rows.stress_rows`.
    """
    check_shape("positions", positions, (len(place.tables.slots), 3))
    displacements = place.check_displacements(displacements)
    return integrate_slopes(place, lambda u: _strain_slopes(place, positions, u), displacements)


def _strain_slopes(
    place: Placement, positions: NDArray[np.float64], displacements: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Rows of sum_i u_i d(dE/du_i)/d(strain), shape (6, n_parameters)."""
    tables = place.tables
    rows = np.zeros((6, tables.n_parameters))
    starts = group_starts(tables.entry_targets, tables.entry_parameters)
    if not len(starts):
        return rows
    sites, axes = np.divmod(tables.entry_targets[starts, None], 3)
    by_site = displacements.reshape(place.n_sites, place.n_cells, 3)
    directions = strain_displacements(positions).reshape(6, -1)
    for cells in cell_chunks(place.n_cells, len(tables.entry_nodes) + 2 * len(tables.node_parents)):
        variables = slot_variables(place.slot_atoms.of_cells(cells), displacements, place.moves)
        nodes = node_values(tables, variables)
        for component in range(6):
            slopes = node_slopes(tables, variables, nodes, directions[component])
            sums = np.add.reduceat(tables.entry_factors[:, None] * slopes[tables.entry_nodes], starts, axis=0)
            work = (by_site[sites, cells, axes] * sums).sum(axis=1)
            np.add.at(rows[component], tables.entry_parameters[starts], work)
    return rows
