"""Orders whose clusters hold at most two atoms, as polynomials of differences of displacements.

Where the acoustic sum rule holds, such an order is a sum over bonds of polynomials P of d = u_j - u_i: a
mixed monomial with exponents e of u_i and f of u_j has the coefficient

    P_(e + f) (-1)^|e| prod_a binomial(e_a + f_a, f_a)

and the monomials of one atom have the sum over its bonds. So P is read off the mixed monomials with one
component of u_i, and the others only serve to check that the sum rule holds for given coefficients.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.kernels.gather import GatherTables
    from mlff_dyn.kernels.polynomial import OrderTerms

_TOLERANCE = 1e-11

Bond = tuple[int, int]


class _Mixed(NamedTuple):
    """A monomial of two atoms: bond, exponents of d and of u_i, weight of P in its coefficient."""

    bond: Bond
    powers: tuple[int, int, int]
    first_powers: tuple[int, int, int]
    weight: int


@dataclass(frozen=True, eq=False)
class BondTerms:
    """One order as polynomials of differences.

    Attributes
    ----------
    bonds : list of (int, int)
        Gather slots i and j of d = u_j - u_i, for each term.
    axes : ndarray, shape (n_terms, order)
        Ascending axes of the components of d.
    sources : ndarray, shape (n_terms,)
        Monomial of the order that the coefficient of the term is read from.
    weights : ndarray, shape (n_terms,)
        Coefficient of the term = weight * that of the monomial.
    expected : ndarray, shape (n_entries, 3)
        (monomial, term, weight): the coefficient that the sum rule asks for is the sum of weight times the
        coefficient of the term.
    n_missing : ndarray, shape (n_terms,)
        Mixed monomials of the term that the order does not have; with any, the term must vanish.
    """

    bonds: list[Bond]
    axes: NDArray[np.int64]
    sources: NDArray[np.int64]
    weights: NDArray[np.float64]
    expected: NDArray[np.int64]
    n_missing: NDArray[np.int64]

    def holds(self, coefficients: NDArray[np.float64]) -> bool:
        """Whether coefficients of the order's monomials obey the sum rule.

        Parameters
        ----------
        coefficients : ndarray, shape (n_monomials,)

        Returns
        -------
        bool
        """
        own = self.weights * coefficients[self.sources]
        monomials, terms, weights = self.expected.T
        wanted = np.bincount(monomials, weights=weights * own[terms], minlength=len(coefficients))
        limit = _TOLERANCE * np.abs(coefficients).max(initial=0.0)
        is_complete = (np.abs(own[self.n_missing > 0]) <= limit).all()
        return bool(is_complete and (np.abs(wanted - coefficients) <= limit).all())


def build_bond_terms(tables: GatherTables, terms: OrderTerms) -> BondTerms | None:
    """Differences instead of displacements, if no cluster holds more than two atoms and none comes twice.

    Parameters
    ----------
    tables : GatherTables
    terms : OrderTerms

    Returns
    -------
    BondTerms or None
    """
    members = terms.monomials // 3
    if terms.order < 3 or not len(members) or ((members[:, 1:] != members[:, :-1]).sum(axis=1) > 1).any():
        return None
    mixed, single = {}, {}
    for monomial, variables in enumerate(terms.monomials.tolist()):
        if variables[0] // 3 == variables[-1] // 3:
            site = int(tables.polynomial.slots[variables[0] // 3, 0])
            single[monomial] = (site, _powers([variable % 3 for variable in variables]))
        else:
            mixed[monomial] = _read_mixed(tables, variables)
    if len(set(mixed.values())) < len(mixed) or len(set(single.values())) < len(single):
        return None
    return _collect(tables, terms.order, mixed, single)


def _powers(axes: list[int]) -> tuple[int, int, int]:
    return axes.count(0), axes.count(1), axes.count(2)


def _read_mixed(tables: GatherTables, variables: list[int]) -> _Mixed:
    """The bond with its first atom at home; of the two ways to see it, the one with the smaller slots."""
    one, two = variables[0] // 3, variables[-1] // 3
    relative = tables.relative_slots
    seen = [
        (int(relative[one, one]), int(relative[two, one]), one),
        (int(relative[two, two]), int(relative[one, two]), two),
    ]
    home, other, first = min(seen)
    first_powers = _powers([variable % 3 for variable in variables if variable // 3 == first])
    powers = _powers([variable % 3 for variable in variables])
    n_first = sum(first_powers)
    weight = (-1) ** n_first * math.prod(math.comb(n, k) for n, k in zip(powers, first_powers, strict=True))
    return _Mixed((home, other), powers, first_powers, weight)


def _collect(
    tables: GatherTables,
    order: int,
    mixed: dict[int, _Mixed],
    single: dict[int, tuple[int, tuple[int, int, int]]],
) -> BondTerms:
    """Choose a source for every term and list what the sum rule expects."""
    sources: dict[tuple[Bond, tuple[int, int, int]], int] = {}
    for monomial, term in mixed.items():
        if sum(term.first_powers) == 1:
            sources.setdefault((term.bond, term.powers), monomial)
    number = {key: place for place, key in enumerate(sources)}
    expected, n_mixed = [], np.zeros(len(number), dtype=np.int64)
    for monomial, term in mixed.items():
        place = number.get((term.bond, term.powers))
        if place is not None:
            expected.append((monomial, place, term.weight))
            n_mixed[place] += 1
    of_site: defaultdict[tuple[int, tuple[int, int, int]], list[tuple[int, int]]] = defaultdict(list)
    for (bond, powers), place in number.items():
        for slot, sign in zip(bond, ((-1) ** order, 1), strict=True):
            of_site[int(tables.slots[slot, 0]), powers].append((place, sign))
    for monomial, key in single.items():
        expected += [(monomial, place, sign) for place, sign in of_site[key]]
    all_mixed = np.array([math.prod(n + 1 for n in powers) - 2 for _, powers in number], dtype=np.int64)
    return BondTerms(
        bonds=[bond for bond, _ in number],
        axes=np.array([np.repeat(range(3), powers) for _, powers in number], dtype=np.int64).reshape(
            -1, order
        ),
        sources=np.array(list(sources.values()), dtype=np.int64),
        weights=np.array([1.0 / mixed[monomial].weight for monomial in sources.values()]),
        expected=np.array(expected, dtype=np.int64).reshape(-1, 3),
        n_missing=all_mixed - n_mixed,
    )
