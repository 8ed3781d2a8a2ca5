"""Derivatives of the energy of one atom in the crystal at rest, of any order.

The energy is a polynomial of the sums A = phi_1 + phi_2 + ... over the neighbors of the atom, each a function
of one vector. With their derivatives D^n A of order n by the displacements of n atoms (the atom itself or
neighbors), and those E_1, E_2, E_3 of the polynomial by the sums,

    D^n E = E_1.D^n A + sum S [ E_2(D^k A, D^l A) ] + sum S [ E_3(D^k A, D^l A, D^m A) ]

over k <= l with k + l = n, and k <= l <= m with k + l + m = n, where S adds up the ways to share the n atoms
out. D^n A is not zero only where at most one neighbor is among the n atoms; the atom itself counts with -1
for each time that it is there.
"""

from __future__ import annotations

from itertools import product
from math import comb, factorial, isqrt, prod
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mlff_dyn.kernels.local_cubic import cubic_terms
from mlff_dyn.kernels.local_tables import CUTOFF_POWER
from mlff_dyn.local.truncated import TruncatedPolynomials

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from mlff_dyn.kernels.local_cubic import CubicTerms
    from mlff_dyn.kernels.local_tables import LocalTables


class SiteDerivatives(NamedTuple):
    """Derivatives of the energy of one atom, not yet symmetric.

    The derivative by n atoms is the sum of the terms over all n! orders of their atoms, with their axes.

    Attributes
    ----------
    neighbors : ndarray of int, shape (n_inside,)
        Neighbors of the tables inside the cutoff.
    clusters : ndarray of int, shape (n_terms, order)
        0 for the atom itself, k + 1 for neighbor k of `neighbors`.
    blocks : ndarray, shape (n_terms, 3, ..., 3), eV/Å^order
    """

    neighbors: NDArray[np.int64]
    clusters: NDArray[np.int64]
    blocks: NDArray[np.float64]


class SiteAtRest:
    """What the derivatives of an order of the energy of an atom have in common, whatever the values.

    Parameters
    ----------
    tables : LocalTables
    site : int
    order : int

    Attributes
    ----------
    neighbors : ndarray of int, shape (n_inside,)
        Neighbors of the tables inside the cutoff.
    """

    def __init__(self, tables: LocalTables, site: int, order: int) -> None:
        self._tables, self._kind, self._order = tables, int(tables.kinds[site]), order
        mine = np.arange(tables.starts[site], tables.starts[site + 1])
        self.neighbors: NDArray[np.int64] = mine[np.linalg.norm(tables.vectors[mine], axis=1) < tables.cutoff]
        algebra = TruncatedPolynomials(order)
        functions = _channel_functions(tables, self.neighbors, algebra)
        functions = functions.reshape(len(self.neighbors), -1, functions.shape[-1])
        self._sums = functions[..., 0].sum(axis=0)
        self._factors = [
            _Factor(*_by_atoms(algebra.derivatives(functions, n), n), algebra.tensor_places(n))
            for n in range(1, order + 1)
        ]

    @property
    def functions(self) -> NDArray[np.int64]:
        """Functions that the energy of the atom depends on."""
        tables = self._tables
        of_three = tables.quadruples[tables.quadruples[:, 0] == self._kind, -1]
        every = tables.pair_functions[self._kind], tables.triple_functions[self._kind], of_three
        found = np.unique(np.concatenate([each.ravel() for each in every]))
        return found[found >= 0].astype(np.int64)

    def derivatives(self, values: NDArray[np.float64]) -> SiteDerivatives:
        """Derivatives by the displacements of the atom and its neighbors.

        Parameters
        ----------
        values : ndarray, shape (n_functions,), eV
        """
        order, cubic = self._order, cubic_terms(self._tables, values)[self._kind]
        first, second = self._of_sums(values, cubic)
        clusters, slopes, places = self._factors[-1]
        found = [(clusters, np.einsum("rcx,c->rx", slopes, first)[:, places])]
        for parts in _partitions(order):
            factors = [self._factors[n - 1] for n in parts]
            if len(parts) == 2:
                found.append(_pairs(factors, _n_ways(parts) * second))
            else:
                found += _triples(factors, _n_ways(parts), cubic)
        blocks = np.concatenate([each for _, each in found]) / factorial(order)
        clusters = np.concatenate([each for each, _ in found])
        return SiteDerivatives(self.neighbors, clusters, blocks.reshape(-1, *(3,) * order))

    def slopes(self, weigh: Callable[[NDArray[np.int64]], NDArray[np.float64]]) -> NDArray[np.float64]:
        """Slopes by the values of a weighted sum of the derivatives, without making them for each value.

        Parameters
        ----------
        weigh : callable
            Takes the clusters (n_terms, order) of `SiteDerivatives`; returns the weights of the elements of
            their blocks, shape (n_terms, 3^order).

        Returns
        -------
        ndarray, shape (n_functions,)
        """
        tables, order = self._tables, self._order
        last = self._factors[-1]
        of_first = np.einsum("rcx,rx->c", last.slopes, _distinct(weigh(last.clusters), last.places))
        of_second = np.zeros((len(self._sums),) * 2)
        used, _ = cubic_terms(tables, np.ones(tables.n_functions))[self._kind].third_derivatives()
        of_third = np.zeros((len(used),) * 3)
        for parts in _partitions(order):
            factors = [self._factors[n - 1] for n in parts]
            if len(parts) == 2:
                of_second += _n_ways(parts) * _weighted_pairs(factors, weigh)
            elif len(used):
                factors = [each._replace(slopes=each.slopes[:, used]) for each in factors]
                of_third += _n_ways(parts) * _weighted_triples(factors, weigh)
        found = np.zeros(tables.n_functions)
        for function in self.functions.tolist():
            values = np.zeros(tables.n_functions)
            values[function] = 1.0
            cubic = cubic_terms(tables, values)[self._kind]
            first, second = self._of_sums(values, cubic)
            mine, form = cubic.third_derivatives()
            places = np.searchsorted(used, mine)
            found[function] = of_first @ first + np.vdot(of_second, second)
            found[function] += np.vdot(of_third[np.ix_(places, places, places)], form)
        return found / factorial(order)

    def _of_sums(
        self, values: NDArray[np.float64], cubic: CubicTerms
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """First and second derivatives of the energy by the sums A, channels and lm as one axis."""
        tables, sums = self._tables, self._sums
        n_channels, n_lm = tables.n_channels, (tables.l_max + 1) ** 2
        pair, triple = (of_kinds[self._kind] for of_kinds in tables.coefficients(values))
        first = np.zeros((n_channels, n_lm))
        first[:, 0] = pair
        by_channels = np.zeros((n_channels, n_lm, n_channels, n_lm))
        for k in range(n_lm):
            by_channels[:, k, :, k] = 2.0 * triple[isqrt(k)]
        second = by_channels.reshape(len(sums), len(sums))
        of_three = cubic.second_derivatives(sums)
        return first.ravel() + second @ sums + 0.5 * of_three @ sums, second + of_three


def _partitions(order: int) -> list[tuple[int, ...]]:
    """Two or three numbers from 1 on, in ascending order, whose sum is the order."""
    numbers = range(1, order)
    candidates = [*product(numbers, repeat=2), *product(numbers, repeat=3)]
    return [each for each in candidates if sum(each) == order and each == tuple(sorted(each))]


def _n_ways(parts: tuple[int, ...]) -> float:
    """Ways to share as many atoms out to parts of given sizes."""
    same = prod(factorial(parts.count(n)) for n in set(parts))
    return factorial(sum(parts)) / prod(map(factorial, parts)) / same


def _channel_functions(
    tables: LocalTables, neighbors: NDArray[np.int64], algebra: TruncatedPolynomials
) -> NDArray[np.float64]:
    """g_n Y_lm of each neighbor in every channel, shape (n_neighbors, n_channels, n_lm, n_terms)."""
    vectors = algebra.variables(tables.vectors[neighbors])
    squares = algebra.multiply(vectors, vectors).sum(axis=0)
    inverse = algebra.power(squares, -0.5)
    radial = _radial_functions(tables, squares, algebra.multiply(squares, inverse), algebra)
    angular = _harmonics(algebra.multiply(vectors, inverse), tables.l_max, algebra)
    both = algebra.multiply(radial[:, :, None], angular[:, None])
    result = np.zeros((len(neighbors), tables.n_kinds, *both.shape[1:]))
    result[np.arange(len(neighbors)), tables.kinds[tables.slots[neighbors, 0]]] = both
    return result.reshape(len(neighbors), tables.n_channels, *both.shape[2:])


def _radial_functions(
    tables: LocalTables,
    squares: NDArray[np.float64],
    distances: NDArray[np.float64],
    algebra: TruncatedPolynomials,
) -> NDArray[np.float64]:
    """Shape (n_neighbors, n_radial, n_terms)."""
    x = distances * (2.0 / tables.cutoff)
    x[:, 0] -= 1.0
    chebyshev = [np.zeros_like(x), x]
    chebyshev[0][:, 0] = 1.0
    for _ in range(2, tables.radial.shape[1]):
        chebyshev.append(2.0 * algebra.multiply(x, chebyshev[-1]) - chebyshev[-2])
    inside = -squares / tables.cutoff**2
    inside[:, 0] += 1.0
    fall = algebra.power(inside, CUTOFF_POWER)
    polynomials = np.einsum("nk,kpx->pnx", tables.radial, chebyshev[: tables.radial.shape[1]])
    return np.asarray(algebra.multiply(polynomials, fall[:, None]))


def _harmonics(
    directions: NDArray[np.float64], l_max: int, algebra: TruncatedPolynomials
) -> NDArray[np.float64]:
    """Y_lm as of `mlff_dyn.kernels.reference.local_functions.harmonics`, (n_neighbors, n_lm, n_terms)."""
    x, y, z = directions
    one = np.zeros_like(z)
    one[:, 0] = 1.0
    power, result = one.astype(complex), np.zeros((len(z), (l_max + 1) ** 2, z.shape[1]))
    for m in range(l_max + 1):
        before, legendre = np.zeros_like(z), one * np.prod(np.arange(1, 2 * m, 2, dtype=float))
        for degree in range(m, l_max + 1):
            norm = np.sqrt((2.0 if m else 1.0) * factorial(degree - m) / factorial(degree + m))
            harmonic = norm * algebra.multiply(legendre, power)
            result[:, degree * (degree + 1) - m] = harmonic.imag
            result[:, degree * (degree + 1) + m] = harmonic.real
            raised = (2 * degree + 1) * algebra.multiply(z, legendre) - (degree + m) * before
            before, legendre = legendre, raised / (degree - m + 1)
        power = algebra.multiply(power, x + 1j * y)
    return result


def _by_atoms(slopes: NDArray[np.float64], order: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Derivatives by atoms from those by the vector of each neighbor, the atom itself last in a cluster."""
    places = np.arange(1, len(slopes) + 1)[:, None]
    clusters = [places * (np.arange(order) < order - n) for n in range(order)]
    rows = [(-1.0) ** n * comb(order, n) * slopes for n in range(order)]
    clusters.append(np.zeros((1, order), np.int64))
    rows.append((-1.0) ** order * slopes.sum(axis=0, keepdims=True))
    return np.concatenate(clusters), np.concatenate(rows)


class _Factor(NamedTuple):
    """Derivatives of one order of the sums A.

    Attributes
    ----------
    clusters : ndarray of int, shape (n, order)
    slopes : ndarray, shape (n, n_sums, n_distinct)
    places : ndarray of int, shape (3^order,)
        See `TruncatedPolynomials.tensor_places`.
    """

    clusters: NDArray[np.int64]
    slopes: NDArray[np.float64]
    places: NDArray[np.int64]


def _pairs(
    factors: list[_Factor], form: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Clusters and blocks of a bilinear form of all derivatives of two orders."""
    first, second = factors
    left, right = len(first.clusters), len(second.clusters)
    used = np.flatnonzero(form.any(axis=0))
    ends = [each.slopes[:, used] for each in factors]
    blocks = np.tensordot(np.tensordot(ends[0], form[np.ix_(used, used)], axes=(1, 0)), ends[1], axes=(2, 1))
    blocks = blocks.transpose(0, 2, 1, 3)[:, :, first.places[:, None], second.places]
    clusters = [np.repeat(first.clusters, right, axis=0), np.tile(second.clusters, (left, 1))]
    return np.concatenate(clusters, axis=1), blocks.reshape(left * right, -1)


def _triples(
    factors: list[_Factor], n_ways: float, cubic: CubicTerms
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """The same for products of derivatives of three orders."""
    used, form = cubic.third_derivatives()
    first, *others = (each._replace(slopes=each.slopes[:, used]) for each in factors)
    for atoms, slopes in zip(first.clusters, first.slopes, strict=True) if len(used) else ():
        found = [_pairs(others, each) for each in n_ways * np.tensordot(slopes, form, axes=(0, 0))]
        clusters = found[0][0]
        blocks = np.stack([each for _, each in found], axis=1)[:, first.places]
        whole = np.concatenate([np.tile(atoms, (len(clusters), 1)), clusters], axis=1)
        yield whole, blocks.reshape(len(whole), -1)


def _distinct(weights: NDArray[np.float64], places: NDArray[np.int64]) -> NDArray[np.float64]:
    """Weights of distinct derivatives from those of all elements, along the last axis."""
    return np.asarray(weights @ np.eye(int(places.max()) + 1)[places])


def _weighted_pairs(
    factors: list[_Factor], weigh: Callable[[NDArray[np.int64]], NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Weighted sum of all products of derivatives of two orders, by the two sums."""
    first, second = factors
    left, right = len(first.clusters), len(second.clusters)
    clusters = [np.repeat(first.clusters, right, axis=0), np.tile(second.clusters, (left, 1))]
    weights = weigh(np.concatenate(clusters, axis=1))
    weights = _distinct(weights.reshape(left, right, len(first.places), -1), second.places)
    weights = _distinct(weights.swapaxes(2, 3), first.places)
    half = np.tensordot(weights, second.slopes, axes=((1, 2), (0, 2)))
    return np.tensordot(first.slopes, half, axes=((0, 2), (0, 1)))


def _weighted_triples(
    factors: list[_Factor], weigh: Callable[[NDArray[np.int64]], NDArray[np.float64]]
) -> NDArray[np.float64]:
    """The same for three orders, by the three sums."""
    first, *others = factors
    found = np.zeros((first.slopes.shape[1],) * 3)
    for atoms, slopes in zip(first.clusters, first.slopes, strict=True):
        for element, column in enumerate(first.places.tolist()):

            def weigh_rest(
                clusters: NDArray[np.int64], atoms: NDArray[np.int64] = atoms, element: int = element
            ) -> NDArray[np.float64]:
                whole = np.concatenate([np.tile(atoms, (len(clusters), 1)), clusters], axis=1)
                return weigh(whole).reshape(len(whole), len(first.places), -1)[:, element]

            found += slopes[:, column, None, None] * _weighted_pairs(others, weigh_rest)
    return found
