"""Monomials of cells in plain numpy, for the reference kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.kernels.gather import GatherTables

_CHUNK_ELEMENTS = 4_000_000


def slot_variables(
    slot_atoms: NDArray[np.int32],
    displacements: NDArray[np.float64],
    moves: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Displacements that each cell sees, shape (3 * n_slots, n_cells), and what a strain adds if it does."""
    seen = displacements[slot_atoms]
    if moves is not None and len(moves):
        seen = seen + moves[:, None]
    return np.asarray(seen.transpose(0, 2, 1).reshape(-1, slot_atoms.shape[1]))


def node_values(tables: GatherTables, variables: NDArray[np.float64]) -> NDArray[np.float64]:
    """Derivative monomials of each cell, shape (n_nodes, n_cells)."""
    values = np.ones((len(tables.node_parents), variables.shape[1]))
    for first, last in zip(tables.degree_starts[1:-1], tables.degree_starts[2:], strict=True):
        parents = values[tables.node_parents[first:last]]
        values[first:last] = parents * variables[tables.node_variables[first:last]]
    return values


def group_starts(*keys: NDArray[np.int32] | NDArray[np.int64]) -> NDArray[np.int64]:
    """Where a new combination of the sorted keys begins."""
    changes = np.any([key[1:] != key[:-1] for key in keys], axis=0)
    return np.flatnonzero(np.concatenate([np.ones(min(len(keys[0]), 1), dtype=bool), changes]))


def cell_chunks(n_cells: int, elements_per_cell: int) -> list[NDArray[np.int64]]:
    """Cells in pieces that keep temporary arrays small."""
    length = max(1, _CHUNK_ELEMENTS // max(1, elements_per_cell))
    return [np.arange(first, min(first + length, n_cells)) for first in range(0, n_cells, length)]


def node_slopes(
    tables: GatherTables,
    variables: NDArray[np.float64],
    nodes: NDArray[np.float64],
    moves: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Derivatives of the monomials of each cell when variable v moves by moves[v]."""
    slopes = np.zeros_like(nodes)
    for first, last in zip(tables.degree_starts[1:-1], tables.degree_starts[2:], strict=True):
        parents, own = tables.node_parents[first:last], tables.node_variables[first:last]
        slopes[first:last] = slopes[parents] * variables[own] + nodes[parents] * moves[own, None]
    return slopes
