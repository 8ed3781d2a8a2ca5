"""Tables of the compiled force kernel for orders 3 and higher.

Each cluster is the product of a row factor and a column factor (`splits`). All clusters with the same row
factor form a dense block, cut into tiles of at most nine rows, which the kernel keeps in registers. Blocks
are collected into chunks whose factors fit into the cache. The tables do not depend on the parameters:
`LiftedChunk.fill` puts the coefficients of given parameters in place.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mlff_dyn.kernels.gather import GatherTables, unique_rows
from mlff_dyn.kernels.splits import (
    ROW_SIZES,
    Factor,
    choose_splits,
    factor_components,
    factor_width,
    lift_rule,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHUNK_COMPONENTS = 4096
"""Components of a chunk: with their adjoints 512 kB for eight cells."""

_MAX_ROWS = 9


@dataclass(frozen=True, eq=False)
class LiftedChunk:
    """One chunk; the columns of `lifts` and `tiles` are those of cpp/tables.hpp.

    Attributes
    ----------
    slots : ndarray, shape (n_slots,), int32
        Slots of the gather tables.
    n_lifted : int
        Components of all factors.
    lifts : ndarray, shape (n_lifts, 5), int32
    tiles : ndarray, shape (n_tiles, 5), int32
    columns : ndarray, int32
        Component of each column of each tile.
    n_coefficients : int
    monomials, positions : ndarray, shape (n_terms,)
        The coefficient of this monomial (over orders 3 and higher) is added at this position.
    """

    slots: NDArray[np.int32]
    n_lifted: int
    lifts: NDArray[np.int32]
    tiles: NDArray[np.int32]
    columns: NDArray[np.int32]
    n_coefficients: int
    monomials: NDArray[np.int64]
    positions: NDArray[np.int64]

    def fill(self, coefficients: NDArray[np.float64]) -> NDArray[np.float64]:
        """Dense coefficients of the tiles.

        Parameters
        ----------
        coefficients : ndarray, shape (n_monomials,)
            Of all orders 3 and higher.

        Returns
        -------
        ndarray, shape (n_coefficients,)
        """
        weights = coefficients[self.monomials]
        return np.bincount(self.positions, weights=weights, minlength=self.n_coefficients).astype(np.float64)


class _Terms(NamedTuple):
    """Monomials of orders 3 and higher: factors by cluster, components by monomial."""

    rows: list[Factor]
    columns: list[Factor]
    clusters: NDArray[np.int64]
    row_components: NDArray[np.int64]
    column_components: NDArray[np.int64]


def build_lifted_chunks(tables: GatherTables) -> tuple[LiftedChunk, ...]:
    """Arrange the orders 3 and higher for the compiled kernel.

    Parameters
    ----------
    tables : GatherTables

    Returns
    -------
    tuple of LiftedChunk
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
        chunks.append(_build_chunk(terms, chosen, np.concatenate(members)))
    return tuple(chunks)


def _factorize(tables: GatherTables) -> _Terms:
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
        size = ROW_SIZES[order]
        arranged = np.take_along_axis(slots, splits[order], axis=1).tolist()
        clusters.append(len(rows) + inverse)
        rows += [tuple(members[:size]) for members in arranged]
        columns += [tuple(members[size:]) for members in arranged]
        sorted_variables = np.take_along_axis(variables[order], splits[order][inverse], axis=1)
        row_components.append(factor_components(sorted_variables[:, :size]))
        column_components.append(factor_components(sorted_variables[:, size:]))
    return _Terms(
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
        needed = _with_parents({row, *(columns[cluster] for cluster in blocks[row])})
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


def _with_parents(factors: set[Factor]) -> set[Factor]:
    """The factors and everything that they are made from."""
    result = set(factors)
    for factor in factors:
        result.update((slot,) for slot in factor)
        if len(factor) == 3:
            result.add(lift_rule(factor).parent)
    return result


def _build_chunk(terms: _Terms, blocks: dict[Factor, list[int]], members: NDArray[np.int64]) -> LiftedChunk:
    """Number components, tiles and coefficients of some blocks; members are the monomials in them."""
    factors = sorted(
        _with_parents({*blocks, *(terms.columns[cluster] for rows in blocks.values() for cluster in rows)}),
        key=lambda factor: (len(factor), factor),
    )
    ends = np.cumsum([factor_width(factor) for factor in factors]).tolist()
    first = dict(zip(factors, [0, *ends], strict=False))
    tiles: list[tuple[int, int, int, int, int]] = []
    columns: list[int] = []
    placement = np.zeros((len(terms.rows), 4), dtype=np.int64)
    n_coefficients = 0
    for row, clusters in blocks.items():
        width = factor_width(row)
        own = sorted((first[terms.columns[cluster]], cluster) for cluster in clusters)
        first_column = len(columns)
        for component, cluster in own:
            placement[cluster] = (n_coefficients, len(columns) - first_column, width, 0)
            columns += range(component, component + factor_width(terms.columns[cluster]))
        n_columns = len(columns) - first_column
        placement[clusters, 3] = n_columns
        for start in range(0, width, _MAX_ROWS):
            n_rows = min(_MAX_ROWS, width - start)
            tiles.append((n_rows, first[row] + start, n_columns, first_column, n_coefficients))
            n_coefficients += n_rows * n_columns
    lifts = [
        (rule.kind, first[factor], first[rule.parent], factor_width(rule.parent), first[(rule.single,)])
        for factor, rule in ((factor, lift_rule(factor)) for factor in factors if len(factor) > 1)
    ]
    return LiftedChunk(
        slots=np.array([factor[0] for factor in factors if len(factor) == 1], dtype=np.int32),
        n_lifted=ends[-1],
        lifts=np.array(lifts, dtype=np.int32).reshape(-1, 5),
        tiles=np.array(tiles, dtype=np.int32).reshape(-1, 5),
        columns=np.array(columns, dtype=np.int32),
        n_coefficients=n_coefficients,
        monomials=members,
        positions=_positions(terms, placement, members),
    )


def _positions(terms: _Terms, placement: NDArray[np.int64], members: NDArray[np.int64]) -> NDArray[np.int64]:
    """Place of each monomial's coefficient: tiles of at most nine rows, column-major within a tile."""
    block, column_offset, width, n_columns = placement[terms.clusters[members]].T
    tile, row_in_tile = np.divmod(terms.row_components[members], _MAX_ROWS)
    n_rows = np.minimum(_MAX_ROWS, width - tile * _MAX_ROWS)
    column = column_offset + terms.column_components[members]
    positions: NDArray[np.int64] = block + tile * _MAX_ROWS * n_columns + column * n_rows + row_in_tile
    return positions
