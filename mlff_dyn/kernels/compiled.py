"""The kernels in C++: the same functions as `reference`, for the instruction set of this processor."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from mlff_dyn.errors import check_shape
from mlff_dyn.kernels import _compiled
from mlff_dyn.kernels.compiled_forces import ForceKernel
from mlff_dyn.kernels.design_chunks import build_design_chunks
from mlff_dyn.kernels.gather import GatherTables, check_atoms, check_displacements, check_slot_atoms
from mlff_dyn.kernels.instruction_set import INSTRUCTION_SET
from mlff_dyn.kernels.reduction import Reduction, RowStatistics, check_rows
from mlff_dyn.kernels.strain import check_moves, integrate_slopes, strain_displacements

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = [
    "INSTRUCTION_SET",
    "ForceKernel",
    "design_matrix",
    "force_variances",
    "reduced_rows",
    "row_statistics",
    "sample_forces",
    "stress_rows",
]


def design_matrix(
    tables: GatherTables,
    slot_atoms: NDArray[np.int32],
    displacements: NDArray[np.float64],
    *,
    moves: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Forces as a linear function of the parameters.

    Parameters
    ----------
    tables : GatherTables
    slot_atoms : ndarray, shape (n_slots, n_cells), int32
        Atom that each slot of the tables means for each home cell.
    displacements : ndarray, shape (n_atoms, 3), Å
    moves : ndarray, shape (n_slots, 3), optional, Å
        What a strain adds to the displacements of the slots.

    Returns
    -------
    ndarray, shape (3 * n_atoms, n_parameters)
        Row 3 * atom + axis: force = -dE/du = row @ parameters.

    Raises
    ------
    DataError
        If the arrays do not fit the tables.
    """
    slot_atoms = check_slot_atoms(tables, slot_atoms)
    displacements = check_displacements(displacements, tables.polynomial.n_sites * slot_atoms.shape[1])
    design = np.zeros((displacements.size, tables.n_parameters))
    _design_plan(tables).fill(slot_atoms, displacements, check_moves(tables, moves), design)
    return design


def reduced_rows(
    tables: GatherTables,
    reduction: Reduction,
    slot_atoms: NDArray[np.int32],
    displacements: NDArray[np.float64],
    *,
    moves: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Forces as a linear function of the independent parameters.

    Parameters
    ----------
    tables : GatherTables
    reduction : Reduction
    slot_atoms : ndarray, shape (n_slots, n_cells), int32
    displacements : ndarray, shape (n_atoms, 3), Å
    moves : ndarray, shape (n_slots, 3), optional, Å
        What a strain adds to the displacements of the slots.

    Returns
    -------
    ndarray, shape (3 * n_atoms, reduction.n_columns)
        Rows of the design matrix times the reduction.

    Raises
    ------
    DataError
        If the arrays do not fit the tables.
    """
    check_rows(tables.n_parameters, reduction)
    slot_atoms = check_slot_atoms(tables, slot_atoms)
    displacements = check_displacements(displacements, tables.polynomial.n_sites * slot_atoms.shape[1])
    rows = np.empty((displacements.size, reduction.n_columns))
    sparse = (reduction.starts, reduction.rows, reduction.weights)
    _design_plan(tables).fill_reduced(slot_atoms, displacements, check_moves(tables, moves), *sparse, rows)
    return rows


def row_statistics(
    tables: GatherTables,
    reduction: Reduction,
    slot_atoms: NDArray[np.int32],
    displacements: NDArray[np.float64],
    forces: NDArray[np.float64],
    *,
    moves: NDArray[np.float64] | None = None,
) -> RowStatistics:
    """Information matrix of the forces of configurations in independent parameters.

    Parameters
    ----------
    tables : GatherTables
    reduction : Reduction
    slot_atoms : ndarray, shape (n_slots, n_cells), int32
    displacements, forces : ndarray, shape (n_atoms, 3) or (n_configurations, n_atoms, 3), Å, eV/Å
    moves : ndarray, shape (n_slots, 3), optional, Å
        What a strain adds to the displacements of the slots.

    Returns
    -------
    RowStatistics
        With x the rows of the design matrix times the reduction.

    Raises
    ------
    DataError
        If the arrays do not fit the tables.
    """
    check_rows(tables.n_parameters, reduction)
    slot_atoms = check_slot_atoms(tables, slot_atoms)
    n_atoms = tables.polynomial.n_sites * slot_atoms.shape[1]
    check_shape("forces", forces, displacements.shape)
    plan = _design_plan(tables)
    n = reduction.n_columns
    n_padded = -(-(n + 1) // plan.padding) * plan.padding
    sums = np.zeros((n_padded, n_padded))
    moved = check_moves(tables, moves)
    sparse = (reduction.starts, reduction.rows, reduction.weights)
    stacked = displacements.reshape(-1, *displacements.shape[-2:])
    targets = np.ascontiguousarray(forces, dtype=np.float64).reshape(stacked.shape)
    for each, target in zip(stacked, targets, strict=True):
        plan.add_statistics(slot_atoms, check_displacements(each, n_atoms), moved, target, *sparse, sums)
    gram = np.tril(sums[:n, :n])
    gram += np.tril(gram, -1).T
    return RowStatistics(gram, sums[n, :n].copy(), float(sums[n, n]))


def force_variances(
    tables: GatherTables,
    reduction: Reduction,
    slot_atoms: NDArray[np.int32],
    displacements: NDArray[np.float64],
    factor: NDArray[np.float64],
    *,
    atoms: NDArray[np.int64] | None = None,
    moves: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Variance of the force components for a covariance of the independent parameters.

    Parameters
    ----------
    tables : GatherTables
    reduction : Reduction
    slot_atoms : ndarray, shape (n_slots, n_cells), int32
    displacements : ndarray, shape (n_atoms, 3), Å
    factor : ndarray, shape (n_parameters, any)
        Covariance = factor @ factor.T; zeros of a triangle cost nothing.
    atoms : ndarray, optional
        Atoms whose variances are wanted, in this order; all by default.
    moves : ndarray, shape (n_slots, 3), optional, Å
        What a strain adds to the displacements of the slots.

    Returns
    -------
    ndarray, shape (n_atoms or len(atoms), 3), (eV/Å)²

    Raises
    ------
    DataError
        If the arrays do not fit the tables.
    """
    check_rows(tables.n_parameters, reduction, factor)
    variances = np.empty((*_rows_shape(tables, slot_atoms, atoms), 3))
    fill = _design_plan(tables).fill_variances
    columns = (check_moves(tables, moves), *_sparse_and_columns(reduction, factor))
    _fill_rows(fill, tables, slot_atoms, displacements, columns, atoms=atoms, out=variances)
    return variances


def sample_forces(
    tables: GatherTables,
    reduction: Reduction,
    slot_atoms: NDArray[np.int32],
    displacements: NDArray[np.float64],
    parameters: NDArray[np.float64],
    *,
    atoms: NDArray[np.int64] | None = None,
    moves: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Forces for several sets of independent parameters, such as samples of a posterior, in one pass.

    Parameters
    ----------
    tables : GatherTables
    reduction : Reduction
    slot_atoms : ndarray, shape (n_slots, n_cells), int32
    displacements : ndarray, shape (n_atoms, 3), Å
    parameters : ndarray, shape (n_samples, n_parameters)
    atoms : ndarray, optional
        Atoms whose forces are wanted; all by default.
    moves : ndarray, shape (n_slots, 3), optional, Å
        What a strain adds to the displacements of the slots.

    Returns
    -------
    ndarray, shape (n_samples, n_atoms or len(atoms), 3), eV/Å

    Raises
    ------
    DataError
        If the arrays do not fit the tables.
    """
    check_rows(tables.n_parameters, reduction, parameters.T)
    width = -(-len(parameters) // 8) * 8
    forces = np.empty((*_rows_shape(tables, slot_atoms, atoms), 3, width))
    fill = _design_plan(tables).fill_products
    columns = (check_moves(tables, moves), *_sparse_and_columns(reduction, parameters.T))
    _fill_rows(fill, tables, slot_atoms, displacements, columns, atoms=atoms, out=forces)
    return np.ascontiguousarray(np.moveaxis(forces[..., : len(parameters)], -1, 0))


def _rows_shape(
    tables: GatherTables, slot_atoms: NDArray[np.int32], atoms: NDArray[np.int64] | None
) -> tuple[int]:
    return (tables.polynomial.n_sites * slot_atoms.shape[1] if atoms is None else len(atoms),)


def _fill_rows(
    fill: Callable[..., None],
    tables: GatherTables,
    slot_atoms: NDArray[np.int32],
    displacements: NDArray[np.float64],
    columns: tuple[NDArray[Any], ...],
    *,
    atoms: NDArray[np.int64] | None,
    out: NDArray[np.float64],
) -> None:
    """Fill what belongs to each atom; chosen atoms site by site, in the cells that hold them.

    ``columns`` are the moves of the slots, then what `_sparse_and_columns` makes.
    """
    slot_atoms = check_slot_atoms(tables, slot_atoms)
    n_sites, n_cells = tables.polynomial.n_sites, slot_atoms.shape[1]
    displacements = check_displacements(displacements, n_sites * n_cells)
    moves, *rest = columns
    if atoms is None:
        fill(slot_atoms, displacements, moves, 0, n_sites, *rest, out)
        return
    sites, cells = np.divmod(check_atoms(atoms, n_sites * n_cells), n_cells)
    for site in np.unique(sites).tolist():
        members = np.flatnonzero(sites == site)
        part = np.zeros((n_sites * len(members), *out.shape[1:]))
        own_cells = np.ascontiguousarray(slot_atoms[:, cells[members]])
        fill(own_cells, displacements, moves, site, site + 1, *rest, part)
        out[members] = part[site * len(members) : (site + 1) * len(members)]


def _sparse_and_columns(reduction: Reduction, factor: NDArray[np.float64]) -> tuple[NDArray[Any], ...]:
    """Reduction, columns padded to groups of eight, first and last row of each group that is not zero."""
    padded = np.zeros((len(factor), -(-factor.shape[1] // 8) * 8))
    padded[:, : factor.shape[1]] = factor
    filled = (padded.reshape(len(factor), -1, 8) != 0.0).any(axis=2)
    first = np.where(filled.any(axis=0), np.argmax(filled, axis=0), 0).astype(np.int32)
    last = np.where(filled.any(axis=0), len(factor) - np.argmax(filled[::-1], axis=0), 0).astype(np.int32)
    return reduction.starts, reduction.rows, reduction.weights, padded, first, last


def stress_rows(
    tables: GatherTables,
    positions: NDArray[np.float64],
    slot_atoms: NDArray[np.int32],
    displacements: NDArray[np.float64],
    *,
    moves: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Derivative of the work of displacing with respect to strain as a function of the parameters.

    Parameters
    ----------
    tables : GatherTables
    positions : ndarray, shape (n_slots, 3), Å
        See `mlff_dyn.kernels.strain.slot_positions`.
    slot_atoms : ndarray, shape (n_slots, n_cells), int32
    displacements : ndarray, shape (n_atoms, 3), Å
        Their mean should be zero: the crystal may feel a net force under strain, which the rows contain.
    moves : ndarray, shape (n_slots, 3), optional, Å
        What a strain adds to the displacements of the slots.

    Returns
    -------
    ndarray, shape (6, n_parameters)
        Rows xx, yy, zz, yz, xz, xy: derivative = row @ parameters, eV.

    Raises
    ------
    DataError
        If the arrays do not fit the tables.
    """
    check_shape("positions", positions, (len(tables.slots), 3))
    slot_atoms = check_slot_atoms(tables, slot_atoms)
    n_sites, n_cells = tables.polynomial.n_sites, slot_atoms.shape[1]
    displacements = check_displacements(displacements, n_sites * n_cells)
    directions = np.ascontiguousarray(strain_displacements(positions))
    moved = check_moves(tables, moves)

    def slopes(u: NDArray[np.float64]) -> NDArray[np.float64]:
        rows = np.zeros((6, tables.n_parameters))
        _design_plan(tables).add_stress(slot_atoms, u, moved, directions, rows)
        return rows

    return integrate_slopes(tables, slopes, displacements, is_strained=moves is not None)


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
