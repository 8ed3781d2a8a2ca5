"""Numbering of one chunk of the compiled force kernel: values, lifts, tiles and places of coefficients.

A tile is a dense block of coefficients, rows times columns. Its rows stay in registers. Pairs of different
slots need no lift of their own where a tile can form their nine products as it goes:

- `PAIR_ROWS`: the row factor is such a pair and no column of the chunk;
- `PAIR_COLUMNS`: the row factor is the square of a slot, and the column factors are such pairs that only
  squares are multiplied with.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mlff_dyn.kernels.compiled.tables.splits import DIFFERENCE, OUTER, SQUARE, Factor, factor_width, lift_rule

if TYPE_CHECKING:
    from numpy.typing import NDArray

PLAIN, PAIR_ROWS, PAIR_COLUMNS = 0, 1, 2

_MAX_HEIGHT = 10
"""Rows of a tile that fit into 32 registers."""

_CUT_HEIGHT = 9
"""Rows of the tiles that a wider factor is cut into: 18 and 27 leave no rest."""


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
    tiles : ndarray, shape (n_tiles, 7), int32
    columns : ndarray, int32
        Component of each column of each tile; of pair columns, the first components of both slots.
    n_coefficients : int
    monomials, positions, weights : ndarray, shape (n_terms,)
        Weight times the coefficient of this monomial (over orders 3 and higher) is added at this position.
    """

    slots: NDArray[np.int32]
    n_lifted: int
    lifts: NDArray[np.int32]
    tiles: NDArray[np.int32]
    columns: NDArray[np.int32]
    n_coefficients: int
    monomials: NDArray[np.int64]
    positions: NDArray[np.int64]
    weights: NDArray[np.float64]

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
        weights = self.weights * coefficients[self.monomials]
        return np.bincount(self.positions, weights=weights, minlength=self.n_coefficients).astype(np.float64)


class FactorizedTerms(NamedTuple):
    """Orders 3 and higher: factors by cluster; cluster, components, monomial and its weight by term.

    Slots in `differences` are u_j - u_i of two other slots (i, j).
    """

    rows: list[Factor]
    columns: list[Factor]
    clusters: NDArray[np.int64]
    row_components: NDArray[np.int64]
    column_components: NDArray[np.int64]
    monomials: NDArray[np.int64]
    weights: NDArray[np.float64]
    differences: dict[int, tuple[int, int]]


def with_parents(factors: set[Factor], differences: dict[int, tuple[int, int]]) -> set[Factor]:
    """The factors and everything that they are made from.

    Parameters
    ----------
    factors : set of Factor
    differences : dict
        Slots that are differences of two other slots.

    Returns
    -------
    set of Factor
    """
    result = set(factors)
    for factor in factors:
        result.update((slot,) for slot in factor)
        result.update((end,) for slot in factor for end in differences.get(slot, ()))
        if len(factor) == 3:
            result.add(lift_rule(factor).parent)
    return result


def build_chunk(
    terms: FactorizedTerms, blocks: dict[Factor, list[int]], members: NDArray[np.int64]
) -> LiftedChunk:
    """Number components, tiles and coefficients of some blocks.

    Parameters
    ----------
    terms : FactorizedTerms
    blocks : dict
        Clusters of each row factor.
    members : ndarray, shape (n_terms,)
        Monomials in the blocks.

    Returns
    -------
    LiftedChunk
    """
    columns = {terms.columns[cluster] for clusters in blocks.values() for cluster in clusters}
    pair_rows, pair_columns = _unlifted_pairs(terms, blocks)
    lifted = with_parents({*blocks, *columns}, terms.differences) - pair_rows - pair_columns
    factors = sorted(lifted, key=lambda factor: (len(factor), factor))
    ends = np.cumsum([factor_width(factor) for factor in factors]).tolist()
    numbering = _Numbering(terms, dict(zip(factors, [0, *ends], strict=False)))
    for row, clusters in blocks.items():
        paired = [cluster for cluster in clusters if terms.columns[cluster] in pair_columns]
        plain = [cluster for cluster in clusters if terms.columns[cluster] not in pair_columns]
        if plain:
            numbering.add_block(row, plain, PAIR_ROWS if row in pair_rows else PLAIN)
        if paired:
            numbering.add_block(row, paired, PAIR_COLUMNS)
    singles = [factor[0] for factor in factors if len(factor) == 1]
    return LiftedChunk(
        slots=np.array([slot for slot in singles if slot not in terms.differences], dtype=np.int32),
        n_lifted=ends[-1] if ends else 0,
        lifts=np.array(numbering.lifts(factors), dtype=np.int32).reshape(-1, 5),
        tiles=np.array(numbering.tiles, dtype=np.int32).reshape(-1, 7),
        columns=np.array(numbering.columns, dtype=np.int32),
        n_coefficients=numbering.n_coefficients,
        monomials=terms.monomials[members],
        weights=terms.weights[members],
        positions=_positions(terms, numbering.placement, members),
    )


def _unlifted_pairs(
    terms: FactorizedTerms, blocks: dict[Factor, list[int]]
) -> tuple[set[Factor], set[Factor]]:
    """Pairs of different slots that tiles form themselves, as rows and as columns."""
    rows_of_column: defaultdict[Factor, set[Factor]] = defaultdict(set)
    for row, clusters in blocks.items():
        for cluster in clusters:
            rows_of_column[terms.columns[cluster]].add(row)
    parents = {lift_rule(factor).parent for factor in {*blocks, *rows_of_column} if len(factor) == 3}
    pair_rows = {row for row in blocks if _is_pair(row, OUTER)} - set(rows_of_column) - parents
    pair_columns = {
        column
        for column, rows in rows_of_column.items()
        if _is_pair(column, OUTER) and column not in blocks and all(_is_pair(row, SQUARE) for row in rows)
    }
    return pair_rows, pair_columns - parents


def _is_pair(factor: Factor, kind: int) -> bool:
    return len(factor) == 2 and lift_rule(factor).kind == kind


class _Numbering:
    """Tiles, columns and coefficients as blocks are added."""

    def __init__(self, terms: FactorizedTerms, first: dict[Factor, int]) -> None:
        self.first = first
        self.tiles: list[tuple[int, ...]] = []
        self.columns: list[int] = []
        self.n_coefficients = 0
        self.placement = np.zeros((len(terms.rows), 4), dtype=np.int64)
        self._terms = terms

    def add_block(self, row: Factor, clusters: list[int], kind: int) -> None:
        """All clusters of a row factor whose columns are of one kind."""
        width = factor_width(row)
        first_column = len(self.columns)
        n_columns = 0
        for _, cluster in sorted((self._column(cluster, kind), cluster) for cluster in clusters):
            self.placement[cluster] = (self.n_coefficients, n_columns, width, 0)
            self.columns += self._column(cluster, kind)
            n_columns += factor_width(self._terms.columns[cluster])
        self.placement[clusters, 3] = n_columns
        height = width if width <= _MAX_HEIGHT else _CUT_HEIGHT
        rows = [self.first[(slot,)] for slot in row] if kind == PAIR_ROWS else [self.first[row], 0]
        for start in range(0, width, height):
            n_rows = min(height, width - start)
            place = (first_column, self.n_coefficients)
            self.tiles.append((kind, n_rows, rows[0] + start, rows[1], n_columns, *place))
            self.n_coefficients += n_rows * n_columns

    def lifts(self, factors: list[Factor]) -> list[tuple[int, ...]]:
        """Differences and products, parents first."""
        first = self.first
        made: list[tuple[int, ...]] = []
        for factor in factors:
            if len(factor) > 1:
                rule = lift_rule(factor)
                parent = (first[rule.parent], factor_width(rule.parent))
                made.append((rule.kind, first[factor], *parent, first[(rule.single,)]))
            elif factor[0] in self._terms.differences:
                start, end = self._terms.differences[factor[0]]
                made.append((DIFFERENCE, first[factor], first[(start,)], 3, first[(end,)]))
        return made

    def _column(self, cluster: int, kind: int) -> list[int]:
        column = self._terms.columns[cluster]
        if kind == PAIR_COLUMNS:
            return [self.first[(slot,)] for slot in column]
        return list(range(self.first[column], self.first[column] + factor_width(column)))


def _positions(
    terms: FactorizedTerms, placement: NDArray[np.int64], members: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Place of each monomial's coefficient: tile after tile, column-major within a tile."""
    block, column_offset, width, n_columns = placement[terms.clusters[members]].T
    height = np.where(width <= _MAX_HEIGHT, width, _CUT_HEIGHT)
    tile, row_in_tile = np.divmod(terms.row_components[members], height)
    n_rows = np.minimum(height, width - tile * height)
    column = column_offset + terms.column_components[members]
    positions: NDArray[np.int64] = block + tile * height * n_columns + column * n_rows + row_in_tile
    return positions
