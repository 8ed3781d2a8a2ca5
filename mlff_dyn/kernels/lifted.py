"""Tables of the compiled force kernel for orders 3 and higher.

Each cluster is the product of a row factor and a column factor (`splits`). All clusters with the same row
factor form a dense block, cut into tiles of at most ten rows, which the kernel keeps in registers. Blocks
are collected into chunks whose factors fit into the cache. The tables do not depend on the parameters:
`LiftedChunk.fill` puts the coefficients of given parameters in place.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.kernels.gather import GatherTables, unique_rows
from mlff_dyn.kernels.splits import Factor, choose_splits, factor_components, factor_width
from mlff_dyn.kernels.tiles import FactorizedTerms, LiftedChunk, build_chunk, with_parents

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHUNK_COMPONENTS = 4096
"""Components of a chunk: with their adjoints 512 kB for eight cells."""


def build_lifted_chunks(tables: GatherTables) -> tuple[LiftedChunk, ...]:
    """Arrange the orders 3 and higher for the compiled kernel.

    Parameters
    ----------
    tables : GatherTables

    Returns
    -------
    tuple of LiftedChunk
        At least one, which may be empty.
    """
    terms = _factorize(tables)
    blocks: defaultdict[Factor, list[int]] = defaultdict(list)
    for cluster, row in enumerate(terms.rows):
        blocks[row].append(cluster)
    order = np.argsort(terms.clusters, kind="stable")
    starts = np.searchsorted(terms.clusters[order], np.arange(len(terms.rows) + 1))
    chunks = []
    for rows in _group_blocks(blocks, terms.columns):
        chosen = {row: blocks[row] for row in rows}
        members = [order[starts[k] : starts[k + 1]] for clusters in chosen.values() for k in clusters]
        chunks.append(build_chunk(terms, chosen, np.concatenate(members)))
    return tuple(chunks) or (build_chunk(terms, {}, np.empty(0, dtype=np.int64)),)


def _factorize(tables: GatherTables) -> FactorizedTerms:
    """Translate each monomial so that its most central atom is at home, and split its cluster."""
    high = [terms for terms in tables.polynomial.orders if terms.order >= 3]
    variables = {terms.order: _translate(tables, terms.monomials) for terms in high}
    unique = {order: unique_rows(rows // 3) for order, rows in variables.items()}
    splits = choose_splits({order: slots for order, (slots, _) in unique.items()})
    rows: list[Factor] = []
    columns: list[Factor] = []
    empty = np.empty(0, dtype=np.int64)
    clusters, row_components, column_components = [empty], [empty], [empty]
    for order, (slots, inverse) in unique.items():
        chosen = splits[order]
        places = np.array([split.places for split in chosen], dtype=np.int64).reshape(-1, order)
        n_rows = np.array([split.n_rows for split in chosen], dtype=np.int64)
        clusters.append(len(rows) + inverse)
        for split, members in zip(chosen, slots.tolist(), strict=True):
            row, column = split.factors(members)
            rows.append(row)
            columns.append(column)
        arranged = np.take_along_axis(variables[order], places[inverse], axis=1)
        row_of_term, column_of_term = (np.empty(len(inverse), dtype=np.int64) for _ in range(2))
        for size in np.unique(n_rows).tolist():
            own = n_rows[inverse] == size
            row_of_term[own] = factor_components(arranged[own, :size])
            column_of_term[own] = factor_components(arranged[own, size:])
        row_components.append(row_of_term)
        column_components.append(column_of_term)
    return FactorizedTerms(
        rows,
        columns,
        np.concatenate(clusters),
        np.concatenate(row_components),
        np.concatenate(column_components),
    )


def _translate(tables: GatherTables, monomials: NDArray[np.int32]) -> NDArray[np.int32]:
    """Monomials over the gather slots, ascending within a row."""
    members, axes = np.divmod(monomials, 3)
    offsets = tables.polynomial.slots[members, 1:].astype(np.int64)
    spreads = ((offsets[:, :, None] - offsets[:, None]) ** 2).sum(axis=(2, 3))
    center = np.take_along_axis(members, np.argmin(spreads, axis=1)[:, None], axis=1)
    return np.sort(3 * tables.relative_slots[members, center] + axes, axis=1)


def _group_blocks(blocks: dict[Factor, list[int]], columns: list[Factor]) -> list[list[Factor]]:
    """Row factors in groups whose factors fit into a chunk."""
    groups: list[list[Factor]] = []
    present: set[Factor] = set()
    n_components = CHUNK_COMPONENTS
    for row in sorted(blocks):
        needed = with_parents({row, *(columns[cluster] for cluster in blocks[row])})
        added = sum(factor_width(factor) for factor in needed - present)
        if n_components + added > CHUNK_COMPONENTS:
            groups.append([])
            present = set()
            n_components = 0
            added = sum(factor_width(factor) for factor in needed)
        groups[-1].append(row)
        present |= needed
        n_components += added
    return groups
