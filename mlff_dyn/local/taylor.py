"""Derivatives of the energy of one atom in the crystal at rest, of any order.

With A the sums phi_1 + phi_2 + ... over the neighbors of the atom, each a function of one vector, and D^n A
their derivatives of order n by the displacements of n atoms (the atom itself or neighbors),

    E = p.A + A t A,      D^n E = (p + 2 t A).D^n A + sum_(0 < m < n) S [ D^m A t D^(n-m) A ]

where S adds up the ways to give m of the n atoms to the first factor. D^n A is not zero only where at most
one neighbor is among the n atoms; the atom itself counts with -1 for each time that it is there.
"""

from __future__ import annotations

from math import comb, factorial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mlff_dyn.kernels.local_tables import CUTOFF_POWER
from mlff_dyn.local.truncated import TruncatedPolynomials

if TYPE_CHECKING:
    from numpy.typing import NDArray

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
        self._densities = functions[None, ..., 0].sum(axis=1)
        self._places = {n: algebra.tensor_places(n) for n in range(1, order + 1)}
        self._by_order = [_by_atoms(algebra.derivatives(functions, n), n) for n in range(1, order + 1)]

    @property
    def functions(self) -> NDArray[np.int64]:
        """Functions that the energy of the atom depends on."""
        tables = self._tables
        every = tables.pair_functions[self._kind], tables.triple_functions[self._kind]
        found = np.unique(np.concatenate([each.ravel() for each in every]))
        return found[found >= 0].astype(np.int64)

    def derivatives(self, values: NDArray[np.float64]) -> SiteDerivatives:
        """Derivatives by the displacements of the atom and its neighbors.

        Parameters
        ----------
        values : ndarray, shape (n_functions,), eV
        """
        order, places = self._order, self._places
        pair, triple = (of_kinds[self._kind] for of_kinds in self._tables.coefficients(values))
        linear = 2.0 * _products(triple, self._densities)[0]
        linear[:, 0] += pair
        clusters, slopes = self._by_order[-1]
        found = [(clusters, np.einsum("rckx,ck->rx", slopes, linear)[:, places[order]])]
        for n in range(1, order // 2 + 1):
            weight = comb(order, n) * (1.0 if 2 * n == order else 2.0)
            found.append(
                _pairs(
                    self._by_order[n - 1],
                    self._by_order[order - n - 1],
                    weight * triple,
                    places[n],
                    places[order - n],
                )
            )
        blocks = np.concatenate([each for _, each in found]) / factorial(order)
        clusters = np.concatenate([each for each, _ in found])
        return SiteDerivatives(self.neighbors, clusters, blocks.reshape(-1, *(3,) * order))


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


def _products(triple: NDArray[np.float64], channels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Products t A for arrays of shape (n, n_channels, n_lm, ...)."""
    degrees = np.repeat(np.arange(len(triple)), 2 * np.arange(len(triple)) + 1)
    return np.asarray(np.einsum("kcd,rdk...->rck...", triple[degrees], channels, optimize=True))


def _pairs(
    first: tuple[NDArray[np.int64], NDArray[np.float64]],
    second: tuple[NDArray[np.int64], NDArray[np.float64]],
    triple: NDArray[np.float64],
    *places: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Products by t of all derivatives of two orders."""
    left, right = len(first[0]), len(second[0])
    blocks = np.tensordot(_products(triple, first[1]), second[1], axes=([1, 2], [1, 2]))
    blocks = blocks.transpose(0, 2, 1, 3)[:, :, places[0][:, None], places[1]]
    clusters = np.concatenate([np.repeat(first[0], right, axis=0), np.tile(second[0], (left, 1))], axis=1)
    return clusters, blocks.reshape(left * right, -1)
