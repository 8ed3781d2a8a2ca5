"""Rows of the design matrix in C++, for the instruction set of this processor."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import check_shape
from mlff_dyn.kernels import _compiled
from mlff_dyn.kernels.compiled.instruction_set import INSTRUCTION_SET
from mlff_dyn.kernels.compiled.local_design import local_force_rows
from mlff_dyn.kernels.compiled.tables.design_chunks import build_design_chunks
from mlff_dyn.kernels.reduction import Reduction, check_rows
from mlff_dyn.kernels.slot_atoms import EVERY_CELL, LARGEST_TABLE, cell_slices
from mlff_dyn.kernels.strain.moves import integrate_slopes, strain_displacements
from mlff_dyn.kernels.threads import share

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.kernels.gather import GatherTables
    from mlff_dyn.kernels.local_tables import LocalPlace
    from mlff_dyn.kernels.placement import Placement

_GROUP = 8
"""Columns of a factor, and atoms, that the kernel takes together."""
_CHUNK_ATOMS = 512
"""Atoms whose rows of the local part are kept at a time."""


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
    rows = np.empty((3 * place.n_sites * table.shape[1], reduction.n_columns))
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
    local: LocalPlace | None = None,
) -> NDArray[np.float64]:
    """Variance of the force components for a covariance of the independent parameters.

    Parameters
    ----------
    place : Placement
    reduction : Reduction
    displacements : ndarray, shape (n_atoms, 3), Å
    factor : ndarray, shape (n_parameters, any)
        Covariance = factor @ factor.T; zeros of a triangle cost nothing. The parameters of the reduction come
        first, then the functions of the local part.
    atoms : ndarray, optional
        Atoms whose variances are wanted, in this order; all by default.
    n_threads : int or None
        Threads that share the atoms of a large torus, which changes no number; None: all cores.
    local : LocalPlace, optional
        The local part of the energy, none by default.

    Returns
    -------
    ndarray, shape (n_atoms or len(atoms), 3), (eV/Å)²

    Raises
    ------
    DataError
        If the arrays do not fit the tables.
    """
    check_rows(place.tables.n_parameters, reduction, factor, local.tables.n_functions if local else 0)
    displacements = place.check_displacements(displacements)
    norms = _RowNorms(place, reduction, displacements, factor, local)
    return norms.of_all(n_threads) if atoms is None else norms.of_some(place.check_atoms(atoms))


class _RowNorms:
    """Squared lengths of the rows of the forces times a factor."""

    def __init__(
        self,
        place: Placement,
        reduction: Reduction,
        displacements: NDArray[np.float64],
        factor: NDArray[np.float64],
        local: LocalPlace | None,
    ) -> None:
        of_lattice, self._of_local = np.split(factor, [reduction.n_columns])
        self._place, self._displacements, self._local = place, displacements, local
        self._fill = _design_plan(place.tables).fill_variances
        self._columns = (*reduction.arrays, *_grouped_columns(of_lattice))
        self._n_slots = max(len(place.tables.slots), LARGEST_TABLE // _CHUNK_ATOMS if local else 0)

    def of_all(self, n_threads: int | None) -> NDArray[np.float64]:
        """Of all atoms, shape (n_atoms, 3)."""
        place = self._place
        norms = np.empty((place.n_sites, place.n_cells, 3))
        numbers = np.arange(place.n_atoms).reshape(place.n_sites, place.n_cells)

        def fill_piece(cells: slice) -> None:
            table = place.slot_atoms.of_cells(cells)
            for site in range(place.n_sites):
                norms[site, cells] = self._of_site(table, site, numbers[site, cells])

        share(fill_piece, cell_slices(place.n_cells, self._n_slots), n_threads)
        return norms.reshape(-1, 3)

    def of_some(self, atoms: NDArray[np.int64]) -> NDArray[np.float64]:
        """Of some atoms, shape (len(atoms), 3)."""
        norms = np.empty((len(atoms), 3))
        sites, cells = np.divmod(atoms, self._place.n_cells)
        for site in np.unique(sites).tolist():
            members = np.flatnonzero(sites == site)
            for piece in cell_slices(len(members), self._n_slots):
                own = members[piece]
                norms[own] = self._of_site(self._place.slot_atoms.of_cells(cells[own]), site, atoms[own])
        return norms

    def _of_site(self, table: NDArray[np.int32], site: int, atoms: NDArray[np.int64]) -> NDArray[np.float64]:
        """Of atoms of one site, in the cells of the table."""
        further = np.empty((0, 3, 0))
        if self._local:
            further = _local_products(self._local, self._displacements, self._of_local, atoms)
        norms = np.empty((len(atoms), 3))
        u, moves = self._displacements, self._place.moves
        self._fill(table, u, moves, site, *self._columns, further, norms)
        return norms


def _local_products(
    local: LocalPlace,
    displacements: NDArray[np.float64],
    factor: NDArray[np.float64],
    atoms: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Rows of the local part times the factor, (columns, 3, atoms); columns and atoms in whole groups."""
    rows = local_force_rows(local, displacements, atoms).reshape(len(atoms), 3, len(factor))
    products = np.zeros((_whole_groups(factor.shape[1]), 3, _whole_groups(len(atoms))))
    products[: factor.shape[1], :, : len(atoms)] = np.einsum("fk,iaf->kai", factor, rows, optimize=True)
    return products


def _whole_groups(count: int) -> int:
    return -(-count // _GROUP) * _GROUP


def _grouped_columns(
    factor: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.int32]]:
    """Columns padded to groups of eight, first and last row of each group that is not zero."""
    padded = np.zeros((len(factor), _whole_groups(factor.shape[1])))
    padded[:, : factor.shape[1]] = factor
    filled = (padded.reshape(len(factor), padded.shape[1] // _GROUP, _GROUP) != 0.0).any(axis=2)
    rows = np.arange(len(factor))[:, None]
    last = np.where(filled, rows + 1, 0).max(axis=0, initial=0)
    first = np.minimum(np.where(filled, rows, len(factor)).min(axis=0, initial=len(factor)), last)
    return padded, first.astype(np.int32), last.astype(np.int32)


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
