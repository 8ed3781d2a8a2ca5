"""Tensors of clusters of equal composition: how operations carry them, and which ones are invariant.

The energy of a cluster of distinct atoms a1, ..., am with multiplicities k1, ..., km is a polynomial,
homogeneous of degree k_i in the displacement of atom i. Its coefficients form a tensor with one axis per
distinct atom, over the monomials of degree k_i; a rotation acts on each axis by a symmetric power
(`mlff_dyn.lattice.symmetric_powers`), and a permutation of atoms permutes axes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import factorial, prod
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.lattice.symmetric_powers import monomial_axes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_CHUNK = 1 << 21
_SMALLEST_PIVOT = 1e-8
"""Of invariants of the size of one: smaller ones are rounding."""
_SMALL_BESIDE = 0.01
"""Pivot over the largest one, below which its column is passed over."""


@dataclass(frozen=True)
class Composition:
    """Multiplicities of the distinct atoms of a cluster, in the order of their places.

    Attributes
    ----------
    degrees : tuple of int
    """

    degrees: tuple[int, ...]

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Extent of each axis of the tensor."""
        return tuple(len(monomial_axes(degree)) for degree in self.degrees)

    @property
    def dimension(self) -> int:
        """Number of components of the tensor."""
        return prod(self.sizes)

    @cached_property
    def body(self) -> NDArray[np.int64]:
        """Distinct atom at each place, shape (order,)."""
        return np.repeat(np.arange(len(self.degrees)), self.degrees)

    @cached_property
    def axes(self) -> NDArray[np.int64]:
        """Cartesian axis of each factor of every component, shape (dimension, order)."""
        rows = np.zeros((1, 0), np.int64)
        for degree in self.degrees:
            axes = monomial_axes(degree)
            rows = np.concatenate([np.repeat(rows, len(axes), axis=0), np.tile(axes, (len(rows), 1))], axis=1)
        return rows

    @cached_property
    def permutation_norm(self) -> NDArray[np.float64]:
        """Squared norm n! prod(repeats!) of the full tensor of each monomial, shape (dimension,)."""
        order = sum(self.degrees)
        variables = 3 * self.body + self.axes
        counts = (variables[:, :, None] == np.arange(3 * len(self.degrees))).sum(axis=1)
        repeats = np.array([factorial(i) for i in range(order + 1)], float)[counts].prod(axis=1)
        return np.asarray(factorial(order) * repeats)


def carry(
    tensors: NDArray[np.float64],
    composition: Composition,
    powers: Sequence[NDArray[np.float64]],
    operations: NDArray[np.int64],
    orders: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Images of tensors, each under its own operation and order of places.

    Parameters
    ----------
    tensors : ndarray, shape (n_maps, dimension, n_columns)
    composition : Composition
    powers : sequence of ndarray
        Symmetric powers of all operations, by degree.
    operations : ndarray of int, shape (n_maps,)
    orders : ndarray of int, shape (n_maps, order)
        Place in the source of the atom that lands at each place of the image.

    Returns
    -------
    ndarray, shape (n_maps, dimension, n_columns)
        Axes in the order of the distinct atoms of the image.
    """
    n_maps, dimension, columns = tensors.shape
    work, left, right = tensors, 1, dimension * columns
    for size, degree in zip(composition.sizes, composition.degrees, strict=True):
        right //= size
        work = powers[degree][operations][:, None] @ work.reshape(n_maps, left, size, right)
        left *= size
    work = work.reshape(n_maps, dimension, columns)
    if len(composition.degrees) > 1:
        components = np.arange(dimension).reshape(composition.sizes)
        for sequence, chosen in group_rows(body_sequences(composition, orders)):
            if sequence != tuple(sorted(sequence)):
                work[chosen] = work[chosen][:, components.transpose(sequence).ravel()]
    return work


def body_sequences(composition: Composition, orders: NDArray[np.int64]) -> NDArray[np.int64]:
    """Distinct atoms of the source, as they follow in the image; shape (n_maps, n_bodies)."""
    bodies = composition.body[orders]
    fresh = np.ones(bodies.shape, bool)
    fresh[:, 1:] = bodies[:, 1:] != bodies[:, :-1]
    return bodies[fresh].reshape(len(bodies), -1)


def group_rows(rows: NDArray[np.int64]) -> list[tuple[tuple[int, ...], NDArray[np.int64]]]:
    """Distinct rows of small non-negative integers, each with the places where it stands."""
    keys = rows @ (8 ** np.arange(rows.shape[1]))
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    places = np.split(np.argsort(inverse, kind="stable"), np.cumsum(np.bincount(inverse))[:-1])
    return [(tuple(rows[f].tolist()), chosen) for f, chosen in zip(first, places, strict=True)]


def invariant_tensors(
    composition: Composition,
    powers: Sequence[NDArray[np.float64]],
    operations: NDArray[np.int64],
    orders: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> list[NDArray[np.float64]]:
    """Tensors that the stabilizer of a cluster leaves unchanged, for many clusters of one composition.

    Parameters
    ----------
    composition, powers, operations, orders
        As in `carry`, for all maps of a cluster onto itself, cluster after cluster.
    counts : ndarray of int, shape (n_clusters,)
        Number of maps of each cluster.

    Returns
    -------
    list of ndarray, shape (dimension, n_invariants)
        Column space in reduced column-echelon form, which is as sparse as it can be.
    """
    dimension = composition.dimension
    unity = np.eye(dimension)
    found = [unity] * len(counts)
    stops = np.cumsum(counts)
    lowered = np.flatnonzero(counts > 1)
    per_chunk = max(1, _CHUNK // (dimension * dimension * int(counts.max(initial=1))))
    for chosen in np.split(lowered, range(per_chunk, len(lowered), per_chunk)):
        if not len(chosen):
            continue
        maps = ranges(stops[chosen] - counts[chosen], counts[chosen])
        sources = np.broadcast_to(unity, (len(maps), dimension, dimension))
        images = carry(sources, composition, powers, operations[maps], orders[maps])
        starts = np.cumsum(counts[chosen]) - counts[chosen]
        projectors = np.add.reduceat(images, starts, axis=0) / counts[chosen][:, None, None]
        rows, ranks = reduced_echelon(projectors.transpose(0, 2, 1))
        for cluster, row, rank in zip(chosen.tolist(), rows, ranks.tolist(), strict=True):
            found[cluster] = row[:rank].T
    return found


def ranges(starts: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Concatenation of start, start + 1, ... for several runs."""
    steps = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.asarray(np.repeat(starts, counts) + steps)


def reduced_echelon(matrices: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Reduced row-echelon form of several matrices, shape (n, rows, columns), and their ranks, shape (n,).

    A column is passed over as long as its pivot would be small beside the largest one, so that axes turned by
    rounding errors make no pivots of rounding errors.
    """
    rows = matrices.copy()
    n, height, _ = rows.shape
    pivots = np.zeros(n, np.int64)
    for _ in range(height):
        sizes = np.abs(rows) * (np.arange(height) >= pivots[:, None])[:, :, None]
        by_column = sizes.max(axis=1)
        largest = by_column.max(axis=1)
        live = np.flatnonzero(largest >= _SMALLEST_PIVOT)
        if not len(live):
            break
        column = (by_column[live] >= _SMALL_BESIDE * largest[live, None]).argmax(axis=1)
        pivot, source = pivots[live], sizes[live, :, column].argmax(axis=1)
        chosen = rows[live, source] / rows[live, source, column, None]
        rows[live, source] = rows[live, pivot]
        factors = rows[live, :, column]
        factors[np.arange(len(live)), pivot] = 0.0
        rows[live] -= factors[:, :, None] * chosen[:, None, :]
        rows[live, pivot] = chosen
        pivots[live] += 1
    rows[np.abs(rows) < 1e-12] = 0.0
    return rows, pivots
