"""Force constants that a cluster may have: invariants of its stabilizer, carried to the whole orbit.

The energy of a cluster of distinct atoms a1, ..., am with multiplicities k1, ..., km is a polynomial,
homogeneous of degree k_i in the displacement of atom i. Its coefficients form a tensor with one axis per
distinct atom, over the monomials of degree k_i; a rotation acts on each axis by a symmetric power
(`mlff_dyn.lattice.symmetric_powers`), and a permutation of atoms permutes axes.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import factorial
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from mlff_dyn.lattice.clusters import canonical, decode
from mlff_dyn.lattice.symmetric_powers import monomial_axes, symmetric_power

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.lattice.crystal import Crystal
    from mlff_dyn.lattice.orbits import Orbits


@dataclass(frozen=True, eq=False)
class OrbitTerms:
    """The polynomial of one order, linear in one set of parameters per orbit.

    Attributes
    ----------
    codes : ndarray of int, shape (n_monomials, order)
        Canonical atom codes of each monomial, ascending.
    axes : ndarray of int, shape (n_monomials, order)
        Cartesian axis of each factor.
    table : csr_matrix, shape (n_monomials, n_parameters)
        Coefficient of each monomial per parameter.
    metric : ndarray, shape (n_monomials,)
        Squared norm that a unit coefficient adds to the force-constant tensor of one primitive cell.
    parameter_orbit : ndarray of int, shape (n_parameters,)
    n_bodies : ndarray of int, shape (n_parameters,)
        Distinct atoms of the clusters that a parameter belongs to.
    radii : ndarray, shape (n_parameters,)
        Largest distance between their atoms, Å.
    multiplicities : ndarray of int, shape (n_parameters,)
        Their number per primitive cell.
    """

    codes: NDArray[np.int64]
    axes: NDArray[np.int64]
    table: sparse.csr_matrix
    metric: NDArray[np.float64]
    parameter_orbit: NDArray[np.int64]
    n_bodies: NDArray[np.int64]
    radii: NDArray[np.float64]
    multiplicities: NDArray[np.int64]

    @property
    def n_parameters(self) -> int:
        """Number of parameters before sum rules."""
        return len(self.parameter_orbit)


def build_terms(crystal: Crystal, orbits: Orbits) -> OrbitTerms:
    """Invariant tensors of every orbit, written out for all its clusters.

    Parameters
    ----------
    crystal : Crystal
    orbits : Orbits
        Of clusters of one order.
    """
    order = orbits.clusters.shape[1]
    powers = {degree: symmetric_power(crystal.cartesian_rotations, degree) for degree in range(1, order + 1)}
    by_class = _clusters_by_class(orbits)
    builder = _Builder(order, crystal)
    sorter = np.argsort(orbits.maps[:, 0], kind="stable")
    map_starts = np.searchsorted(orbits.maps[:, 0], np.arange(orbits.n_orbits + 1), sorter=sorter)
    for orbit in range(orbits.n_orbits):
        chosen = sorter[map_starts[orbit] : map_starts[orbit + 1]]
        shape = _composition(orbits.representatives[orbit])
        stabilizer = chosen[orbits.stabilizer[chosen]]
        dimension = int(np.prod([len(monomial_axes(degree)) for degree in shape.degrees]))
        images = _images(np.eye(dimension), shape, orbits, stabilizer, powers)
        tensors = _reduced_basis(np.mean(images, axis=0))
        if tensors.shape[1] == 0:
            continue
        reached, first = np.unique(orbits.maps[chosen, 2], return_index=True)
        images = _images(tensors, shape, orbits, chosen[first], powers)
        builder.add_orbit(orbit, orbits, reached, images, by_class)
    return builder.finish()


def _clusters_by_class(orbits: Orbits) -> list[NDArray[np.int64]]:
    order = np.argsort(orbits.cluster_class, kind="stable")
    bounds = np.cumsum(np.bincount(orbits.cluster_class))[:-1]
    return np.split(order, bounds)


@dataclass(frozen=True)
class _Composition:
    """Distinct atoms of a row of codes: first place and count of each, and the atom at each place."""

    first: NDArray[np.int64]
    degrees: tuple[int, ...]
    body: NDArray[np.int64]


def _composition(codes: NDArray[np.int64]) -> _Composition:
    _, first, body, counts = np.unique(codes, return_index=True, return_inverse=True, return_counts=True)
    by_place = np.argsort(first)
    rank = np.argsort(by_place)
    return _Composition(first[by_place], tuple(int(counts[b]) for b in by_place), rank[body])


def _images(
    tensors: NDArray[np.float64],
    shape: _Composition,
    orbits: Orbits,
    chosen: NDArray[np.int64],
    powers: dict[int, NDArray[np.float64]],
) -> NDArray[np.float64]:
    """Images of the columns of ``tensors`` under chosen maps, shape (n_maps, dimension, n_columns)."""
    operations = orbits.maps[chosen, 1]
    sizes = [len(monomial_axes(degree)) for degree in shape.degrees]
    columns = tensors.shape[1]
    work = np.broadcast_to(tensors, (len(chosen), *tensors.shape))
    left, right = 1, tensors.shape[0] * columns
    for size, degree in zip(sizes, shape.degrees, strict=True):
        right //= size
        work = work.reshape(len(chosen), left, size, right)
        work = powers[degree][operations][:, None] @ work
        left *= size
    work = work.reshape(len(chosen), *sizes, columns)
    result = np.empty((len(chosen), *tensors.shape))
    bodies = shape.body[orbits.map_order[chosen]]
    for j, row in enumerate(bodies):
        sequence = list(dict.fromkeys(row.tolist()))
        moved = work[j].transpose(*sequence, len(sizes)) if sequence != sorted(sequence) else work[j]
        result[j] = moved.reshape(tensors.shape)
    return result


def _reduced_basis(projector: NDArray[np.float64]) -> NDArray[np.float64]:
    """Column space of a projector in reduced column-echelon form, which is as sparse as it can be."""
    rows = projector.T.copy()
    pivots = 0
    for column in range(rows.shape[1]):
        candidate = pivots + int(np.abs(rows[pivots:, column]).argmax()) if pivots < len(rows) else pivots
        if pivots == len(rows) or abs(rows[candidate, column]) < 1e-8:
            continue
        rows[[pivots, candidate]] = rows[[candidate, pivots]]
        rows[pivots] /= rows[pivots, column]
        others = np.arange(len(rows)) != pivots
        rows[others] -= np.outer(rows[others, column], rows[pivots])
        pivots += 1
    basis = rows[:pivots].T
    basis[np.abs(basis) < 1e-12] = 0.0
    return np.asarray(basis)


class _Builder:
    """Collects monomials of clusters into flat arrays."""

    def __init__(self, order: int, crystal: Crystal) -> None:
        self._order = order
        self._crystal = crystal
        self._n_sites = crystal.n_sites
        self._codes: list[NDArray[np.int64]] = []
        self._axes: list[NDArray[np.int64]] = []
        self._metric: list[NDArray[np.float64]] = []
        self._blocks: list[tuple[NDArray[np.float64], int]] = []
        self._parameter_orbit: list[int] = []
        self._properties: list[tuple[int, float, int]] = []

    def add_orbit(
        self,
        orbit: int,
        orbits: Orbits,
        classes: NDArray[np.int64],
        images: NDArray[np.float64],
        by_class: list[NDArray[np.int64]],
    ) -> None:
        """Add the tensors of all clusters of an orbit; one image per class."""
        start = len(self._parameter_orbit)
        self._parameter_orbit += [orbit] * images.shape[2]
        atoms = np.unique(orbits.representatives[orbit])
        extent = (len(atoms), _largest_distance(self._crystal, atoms), len(classes))
        self._properties += [extent] * images.shape[2]
        for cls, image in zip(classes, images, strict=True):
            clusters = by_class[cls]
            weight = 1.0 / (len(clusters) * orbits.class_ties[cls])
            for k in clusters:
                self._add_cluster(orbits.clusters[k][orbits.cluster_order[k]], weight * image, weight, start)

    def _add_cluster(
        self, codes: NDArray[np.int64], tensor: NDArray[np.float64], weight: float, start: int
    ) -> None:
        shape = _composition(codes)
        axes = _cluster_axes(shape.degrees)
        atoms = np.repeat(codes[shape.first], shape.degrees)
        ordered, positions = canonical(atoms[None], self._n_sites)
        used = np.flatnonzero(np.abs(tensor).max(axis=1) > 1e-13 * np.abs(tensor).max())
        axes = axes[used][:, positions[0]]
        self._codes.append(np.broadcast_to(ordered, axes.shape))
        self._axes.append(axes)
        self._metric.append(_permutation_norm(shape.degrees, self._order)[used] / weight)
        self._blocks.append((tensor[used], start))

    def finish(self) -> OrbitTerms:
        """Assemble the flat arrays."""
        n_parameters = len(self._parameter_orbit)
        rows, columns, values, base = [], [], [], 0
        for block, start in self._blocks:
            row, column = np.nonzero(block)
            rows.append(row + base)
            columns.append(column + start)
            values.append(block[row, column])
            base += len(block)
        empty = np.zeros((0, self._order), np.int64)
        table = sparse.csr_matrix(
            (
                np.concatenate([np.zeros(0), *values]),
                (
                    np.concatenate([np.zeros(0, np.int64), *rows]),
                    np.concatenate([np.zeros(0, np.int64), *columns]),
                ),
            ),
            shape=(base, n_parameters),
        )
        return OrbitTerms(
            codes=np.concatenate([empty, *self._codes]),
            axes=np.concatenate([empty, *self._axes]),
            table=table,
            metric=np.concatenate([np.zeros(0), *self._metric]),
            parameter_orbit=np.array(self._parameter_orbit, np.int64),
            n_bodies=np.array([p[0] for p in self._properties], np.int64),
            radii=np.array([p[1] for p in self._properties], float),
            multiplicities=np.array([p[2] for p in self._properties], np.int64),
        )


def _largest_distance(crystal: Crystal, codes: NDArray[np.int64]) -> float:
    sites, offsets = decode(codes, crystal.n_sites)
    positions = crystal.positions[sites] + offsets @ crystal.lattice
    return float(np.linalg.norm(positions[:, None] - positions[None], axis=-1).max())


def _cluster_axes(degrees: tuple[int, ...]) -> NDArray[np.int64]:
    """Axes of all monomials of a cluster in the order of its tensor, shape (dimension, order)."""
    rows = np.zeros((1, 0), np.int64)
    for degree in degrees:
        axes = monomial_axes(degree)
        rows = np.concatenate([np.repeat(rows, len(axes), axis=0), np.tile(axes, (len(rows), 1))], axis=1)
    return rows


def _permutation_norm(degrees: tuple[int, ...], order: int) -> NDArray[np.float64]:
    """Squared norm n! prod(repeats!) of the full tensor whose polynomial is one monomial."""
    rows = _cluster_axes(degrees)
    bodies = np.repeat(np.arange(len(degrees)), degrees)
    variables = 3 * bodies + rows
    counts = np.stack([(variables == v).sum(axis=1) for v in range(3 * len(degrees))], axis=1)
    repeats = np.array([factorial(i) for i in range(order + 1)], float)[counts].prod(axis=1)
    return np.asarray(factorial(order) * repeats)
