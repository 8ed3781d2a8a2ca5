"""Tables of the compiled design matrix: pieces of the gather tables that fit into the cache.

A piece holds the three targets of one site and consecutive parameters, with the derivative monomials that
they need.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.kernels.gather import GatherTables

CHUNK_ENTRIES = 8192
"""Entries of a chunk, at most, unless one parameter alone has more; each needs at most one monomial."""


@dataclass(frozen=True, eq=False)
class DesignChunk:
    """One piece; see DesignChunk in cpp/tables.hpp.

    Attributes
    ----------
    site : int
    slots : ndarray, shape (n_slots,), int32
        Slots of the gather tables; variables are numbered over these.
    node_parents, node_variables : ndarray, shape (n_nodes,), int32
        Node 0 is the constant 1.
    output_axes, output_parameters : ndarray, shape (n_outputs,), int32
    output_starts : ndarray, shape (n_outputs + 1,), int32
        Entries of each output.
    entry_nodes, entry_factors : ndarray, shape (n_entries,)
    """

    site: int
    slots: NDArray[np.int32]
    node_parents: NDArray[np.int32]
    node_variables: NDArray[np.int32]
    output_axes: NDArray[np.int32]
    output_parameters: NDArray[np.int32]
    output_starts: NDArray[np.int32]
    entry_nodes: NDArray[np.int32]
    entry_factors: NDArray[np.float64]


def build_design_chunks(tables: GatherTables) -> tuple[DesignChunk, ...]:
    """Cut the gather tables into pieces, at least one for each site.

    Parameters
    ----------
    tables : GatherTables

    Returns
    -------
    tuple of DesignChunk
    """
    sites = tables.entry_targets // 3
    chunks = []
    for site in range(tables.polynomial.n_sites):
        entries = np.flatnonzero(sites == site)
        counts = np.bincount(tables.entry_parameters[entries], minlength=tables.n_parameters)
        piece_of_parameter = _pieces(counts)
        pieces = piece_of_parameter[tables.entry_parameters[entries]]
        order, ends = np.argsort(pieces, kind="stable"), np.cumsum(np.bincount(pieces))[:-1]
        parts = np.split(entries[order], ends)
        chunks += [_build_chunk(tables, site, part) for part in parts if len(part) or len(parts) == 1]
    return tuple(chunks)


def _pieces(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Piece of each parameter, so that no piece of several parameters has too many entries."""
    pieces = np.zeros(len(counts), dtype=np.int64)
    piece = total = 0
    for parameter, count in enumerate(counts.tolist()):
        if total and total + count > CHUNK_ENTRIES:
            piece += 1
            total = 0
        total += count
        pieces[parameter] = piece
    return pieces


def _build_chunk(tables: GatherTables, site: int, entries: NDArray[np.int64]) -> DesignChunk:
    """Restrict tree and slots to what the entries need."""
    needed = np.zeros(len(tables.node_parents), dtype=bool)
    frontier = np.unique(tables.entry_nodes[entries])
    while len(frontier):
        needed[frontier] = True
        parents = tables.node_parents[frontier]
        frontier = np.unique(parents[parents >= 0])
    needed[0] = True
    nodes = np.flatnonzero(needed)
    local_node = np.cumsum(needed) - 1
    parents, variables = tables.node_parents[nodes[1:]], tables.node_variables[nodes[1:]]
    slots, local_slot = np.unique(variables // 3, return_inverse=True)
    axes, parameters = tables.entry_targets[entries] % 3, tables.entry_parameters[entries]
    is_new = np.ones(len(entries), dtype=bool)
    is_new[1:] = (axes[1:] != axes[:-1]) | (parameters[1:] != parameters[:-1])
    return DesignChunk(
        site=site,
        slots=slots.astype(np.int32),
        node_parents=np.concatenate([[-1], local_node[parents]]).astype(np.int32),
        node_variables=np.concatenate([[-1], 3 * local_slot + variables % 3]).astype(np.int32),
        output_axes=axes[is_new].astype(np.int32),
        output_parameters=parameters[is_new].astype(np.int32),
        output_starts=np.append(np.flatnonzero(is_new), len(entries)).astype(np.int32),
        entry_nodes=local_node[tables.entry_nodes[entries]].astype(np.int32),
        entry_factors=np.ascontiguousarray(tables.entry_factors[entries]),
    )
