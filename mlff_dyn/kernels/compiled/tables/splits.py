"""How clusters of order 3 and higher are split into two factors, and how components of a factor are numbered.

A factor is a sorted tuple of one to three slots. Its components are the distinct products of one displacement
component per slot: 3 for one slot, 9 for a pair, 6 for a pair of the same slot, and so on. A factor of k
slots is made from a factor of k - 1 slots (its parent) times a single slot:

========  ========  ======  =====================================================
slots     parent    single  component
========  ========  ======  =====================================================
a         -         -       axis of a
a b       a         b       3 * axis of a + axis of b
a a       a         a       place of the two axes among the 6 sorted pairs
a b c     a b       c       3 * component of a b + axis of c
a a b     a a       b       3 * component of a a + axis of b
a b b     b b       a       3 * component of b b + axis of a
a a a     a a       a       place of the three axes among the 10 sorted triples
========  ========  ======  =====================================================
"""

from __future__ import annotations

import itertools
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Factor = tuple[int, ...]

OUTER, SQUARE, CUBE, DIFFERENCE = 0, 1, 2, 3

ROW_SIZES = {3: 2, 4: 2, 5: 2, 6: 3}
"""Slots of the factor whose components stay in registers, by order, as a rule."""


def _symmetric_places(size: int) -> NDArray[np.int64]:
    """Place of each tuple of axes among the sorted tuples."""
    places = np.zeros((3,) * size, dtype=np.int64)
    for place, axes in enumerate(itertools.combinations_with_replacement(range(3), size)):
        for permuted in itertools.permutations(axes):
            places[permuted] = place
    return places


_PAIRS = _symmetric_places(2)
_TRIPLES = _symmetric_places(3)


class LiftRule(NamedTuple):
    """How the components of a factor are made."""

    kind: int
    parent: Factor
    single: int


def lift_rule(factor: Factor) -> LiftRule:
    """How a factor of two or three slots is made from smaller ones.

    Parameters
    ----------
    factor : tuple of int

    Returns
    -------
    LiftRule
    """
    distinct = len(set(factor))
    if len(factor) == 2:
        return LiftRule(SQUARE if distinct == 1 else OUTER, factor[:1], factor[1])
    if distinct == 1:
        return LiftRule(CUBE, factor[:2], factor[2])
    if distinct == 2 and factor[1] == factor[2]:
        return LiftRule(OUTER, factor[1:], factor[0])
    return LiftRule(OUTER, factor[:2], factor[2])


def factor_width(factor: Factor) -> int:
    """Number of components of a factor.

    Parameters
    ----------
    factor : tuple of int

    Returns
    -------
    int
    """
    if len(factor) == 1:
        return 3
    rule = lift_rule(factor)
    if rule.kind == OUTER:
        return 3 * factor_width(rule.parent)
    return 6 if rule.kind == SQUARE else 10


def factor_components(variables: NDArray[np.int32]) -> NDArray[np.int64]:
    """Component of its factor that each product of variables is.

    Parameters
    ----------
    variables : ndarray, shape (n, 1 to 3)
        Variables 3 * slot + axis, ascending within a row.

    Returns
    -------
    ndarray, shape (n,)
    """
    slots, axes = np.divmod(variables, 3)
    if variables.shape[1] == 1:
        return axes[:, 0].astype(np.int64)
    first, second = axes[:, 0], axes[:, 1]
    same_first = slots[:, 0] == slots[:, 1]
    pair = np.where(same_first, _PAIRS[first, second], 3 * first + second)
    if variables.shape[1] == 2:
        return pair
    third = axes[:, 2]
    same_last = slots[:, 1] == slots[:, 2]
    component = np.where(same_last & ~same_first, 3 * _PAIRS[second, third] + first, 3 * pair + third)
    return np.where(same_last & same_first, _TRIPLES[first, second, third], component)


class Split(NamedTuple):
    """Places of a cluster in the order row factor, column factor."""

    places: tuple[int, ...]
    n_rows: int

    def factors(self, slots: list[int]) -> tuple[Factor, Factor]:
        """Row and column factor of a cluster with these slots."""
        arranged = tuple(slots[place] for place in self.places)
        return arranged[: self.n_rows], arranged[self.n_rows :]


def choose_splits(clusters: dict[int, NDArray[np.int32]]) -> dict[int, list[Split]]:
    """Split every cluster into a row factor and a column factor, sharing factors as far as possible.

    Parameters
    ----------
    clusters : dict of order to ndarray, shape (n_clusters, order)
        Slots of the clusters, ascending within a row.

    Returns
    -------
    dict of order to list of Split
    """
    popularity: Counter[Factor] = Counter()
    for members in clusters.values():
        for slots in members.tolist():
            candidates = (split.factors(slots) for split in _splits(slots))
            popularity.update(set(itertools.chain.from_iterable(candidates)))
    used: set[Factor] = set()
    chosen: dict[int, list[Split]] = {}
    for order in sorted(clusters, key=lambda order: (ROW_SIZES[order] * 2 != order, -order)):
        chosen[order] = []
        for slots in clusters[order].tolist():
            best = min(
                (split.factors(slots) for split in _splits(slots)),
                key=lambda factors: _split_cost(factors, used, popularity),
            )
            used.update(best)
            chosen[order].append(next(split for split in _splits(slots) if split.factors(slots) == best))
    return chosen


@lru_cache(maxsize=64)
def _combinations(order: int, n_rows: int) -> tuple[Split, ...]:
    """Every choice of places for the row factor."""
    places = range(order)
    return tuple(
        Split((*rows, *(place for place in places if place not in rows)), n_rows)
        for rows in itertools.combinations(places, n_rows)
    )


def _splits(slots: list[int]) -> list[Split]:
    """Candidates: pairs (triples for order 6) as rows, or the cube of an atom that is in a quartet thrice."""
    order = len(slots)
    splits = list(_combinations(order, ROW_SIZES[order]))
    if order == 4 and slots[1] == slots[2]:
        cubes = _combinations(order, 3)
        splits += [split for split in cubes if len(set(split.factors(slots)[0])) == 1]
    return splits


def _split_cost(
    factors: tuple[Factor, Factor], used: set[Factor], popularity: Counter[Factor]
) -> tuple[int, int, int, int]:
    """Fewest coefficients first, then factors that exist already, then popular rows, then popular columns."""
    row, column = factors
    n_new = (row not in used) + (column not in used)
    return factor_width(row) * factor_width(column), n_new, -popularity[row], -popularity[column]
