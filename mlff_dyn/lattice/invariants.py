"""Force constants that a cluster may have: invariants of its stabilizer, carried to the whole orbit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from mlff_dyn.lattice.clusters import canonical, decode
from mlff_dyn.lattice.tensors import (
    Composition,
    body_sequences,
    carry,
    group_rows,
    invariant_tensors,
    ranges,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from mlff_dyn.lattice.crystal import Crystal
    from mlff_dyn.lattice.orbits import Orbits

_CHUNK = 1 << 21


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
    longest_steps : ndarray, shape (n_parameters,)
        Longest step of the shortest path that joins their atoms, Å; see `longest_steps`.
    multiplicities : ndarray of int, shape (n_parameters,)
        Their number per primitive cell.
    """

    codes: NDArray[np.int64]
    axes: NDArray[np.int64]
    table: sparse.csr_matrix
    metric: NDArray[np.float64]
    parameter_orbit: NDArray[np.int64]
    n_bodies: NDArray[np.int64]
    longest_steps: NDArray[np.float64]
    multiplicities: NDArray[np.int64]

    @property
    def n_parameters(self) -> int:
        """Number of parameters before sum rules."""
        return len(self.parameter_orbit)


def build_terms(crystal: Crystal, orbits: Orbits, powers: Sequence[NDArray[np.float64]]) -> OrbitTerms:
    """Invariant tensors of every orbit, written out for all its clusters.

    Parameters
    ----------
    crystal : Crystal
    orbits : Orbits
        Of clusters of one order.
    powers : sequence of ndarray
        Symmetric powers of the Cartesian rotations of all operations, by degree.
    """
    sorter = np.argsort(orbits.maps[:, 0], kind="stable")
    maps, orders = orbits.maps[sorter], orbits.map_order[sorter]
    stabilizer = orbits.stabilizer[sorter]
    first = np.unique(maps[:, 2], return_index=True)[1]
    tensors: list[NDArray[np.float64]] = [np.zeros((0, 0))] * orbits.n_orbits
    groups = list(_compositions(orbits.representatives))
    for composition, members in groups:
        chosen = np.flatnonzero(stabilizer & np.isin(maps[:, 0], members))
        counts = np.bincount(maps[chosen, 0], minlength=orbits.n_orbits)[members]
        found = invariant_tensors(composition, powers, maps[chosen, 1], orders[chosen], counts)
        for orbit, tensor in zip(members.tolist(), found, strict=True):
            tensors[orbit] = tensor
    ranks = np.array([tensor.shape[1] for tensor in tensors], np.int64)
    collector = _Collector(crystal, orbits, np.cumsum(ranks) - ranks)
    class_orbit = maps[first, 0]
    for composition, members in groups:
        for rank in np.unique(ranks[members][ranks[members] > 0]).tolist():
            classes = np.flatnonzero(np.isin(class_orbit, members[ranks[members] == rank]))
            per_chunk = max(1, _CHUNK // (composition.dimension * rank))
            for start in range(0, len(classes), per_chunk):
                part = classes[start : start + per_chunk]
                sources = np.stack([tensors[orbit] for orbit in class_orbit[part].tolist()])
                reach = (maps[first[part], 1], orders[first[part]])
                images = carry(sources, composition, powers, *reach)
                collector.add(composition, part, class_orbit[part], images, reach[1])
    return collector.finish(ranks, np.bincount(class_orbit, minlength=orbits.n_orbits))


def _compositions(representatives: NDArray[np.int64]) -> Iterator[tuple[Composition, NDArray[np.int64]]]:
    """Compositions that occur, each with the orbits that have it; equal codes of a row are adjacent."""
    fresh = np.ones(representatives.shape, np.int64)
    fresh[:, 1:] = representatives[:, 1:] != representatives[:, :-1]
    for pattern, members in group_rows(fresh):
        starts = np.flatnonzero([*pattern, 1])
        yield Composition(tuple(np.diff(starts).tolist())), members


@dataclass
class _Collector:
    """Collects monomials of clusters into flat arrays."""

    crystal: Crystal
    orbits: Orbits
    parameter_starts: NDArray[np.int64]
    codes: list[NDArray[np.int64]] = field(default_factory=list)
    axes: list[NDArray[np.int64]] = field(default_factory=list)
    metric: list[NDArray[np.float64]] = field(default_factory=list)
    entries: list[tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]] = field(
        default_factory=list
    )
    n_monomials: int = 0

    def __post_init__(self) -> None:
        """Sort clusters by class."""
        classes = self.orbits.cluster_class
        self._by_class = np.argsort(classes, kind="stable")
        self._in_class = np.bincount(classes)
        self._class_starts = np.cumsum(self._in_class) - self._in_class

    def add(
        self,
        source: Composition,
        classes: NDArray[np.int64],
        class_orbit: NDArray[np.int64],
        images: NDArray[np.float64],
        orders: NDArray[np.int64],
    ) -> None:
        """Add the tensors of all clusters of classes, one image (dimension, n_columns) per class."""
        for sequence, chosen in group_rows(body_sequences(source, orders)):
            composition = Composition(tuple(source.degrees[body] for body in sequence))
            here = classes[chosen]
            counts = self._in_class[here]
            weights = 1.0 / (counts * self.orbits.class_ties[here])
            members = self._by_class[ranges(self._class_starts[here], counts)]
            image = np.repeat(np.arange(len(here)), counts)
            self._add_clusters(
                composition,
                np.take_along_axis(self.orbits.clusters[members], self.orbits.cluster_order[members], axis=1),
                images[chosen][image] * weights[image][:, None, None],
                weights[image],
                self.parameter_starts[class_orbit[chosen]][image],
            )

    def _add_clusters(
        self,
        composition: Composition,
        codes: NDArray[np.int64],
        tensors: NDArray[np.float64],
        weights: NDArray[np.float64],
        starts: NDArray[np.int64],
    ) -> None:
        ordered, positions = canonical(codes, self.crystal.n_sites)
        size = np.abs(tensors)
        used = size.max(axis=2) > 1e-13 * size.max(axis=(1, 2), initial=0.0)[:, None]
        cluster, component = np.nonzero(used)
        self.codes.append(ordered[cluster])
        self.axes.append(np.take_along_axis(composition.axes[component], positions[cluster], axis=1))
        self.metric.append(composition.permutation_norm[component] / weights[cluster])
        block = tensors[cluster, component]
        row, column = np.nonzero(block)
        self.entries.append((block[row, column], row + self.n_monomials, column + starts[cluster[row]]))
        self.n_monomials += len(block)

    def finish(self, ranks: NDArray[np.int64], multiplicities: NDArray[np.int64]) -> OrbitTerms:
        """Assemble the flat arrays."""
        representatives = self.orbits.representatives
        fresh = representatives[:, 1:] != representatives[:, :-1]
        empty = np.zeros((0, representatives.shape[1]), np.int64)
        none = np.zeros(0, np.int64)
        values = np.concatenate([np.zeros(0), *(entry[0] for entry in self.entries)])
        rows = np.concatenate([none, *(entry[1] for entry in self.entries)])
        columns = np.concatenate([none, *(entry[2] for entry in self.entries)])
        return OrbitTerms(
            codes=np.concatenate([empty, *self.codes]),
            axes=np.concatenate([empty, *self.axes]),
            table=sparse.csr_matrix((values, (rows, columns)), shape=(self.n_monomials, int(ranks.sum()))),
            metric=np.concatenate([np.zeros(0), *self.metric]),
            parameter_orbit=np.repeat(np.arange(len(ranks)), ranks),
            n_bodies=np.repeat(1 + fresh.sum(axis=1), ranks),
            longest_steps=np.repeat(longest_steps(self.crystal, representatives), ranks),
            multiplicities=np.repeat(multiplicities, ranks),
        )


def longest_steps(crystal: Crystal, codes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Longest step (Å) that joining the atoms of each cluster takes at least, shape (n_clusters,).

    It is the longest edge of the minimum spanning tree: the bond of a chain of bonded atoms, however far
    apart its ends are; the distance of a pair; zero for one atom. Found by the minimax recursion of Floyd and
    Warshall,

        d_ij = min(d_ij, max(d_ik, d_kj)).
    """
    sites, offsets = decode(codes, crystal.n_sites)
    positions = crystal.positions[sites] + offsets @ crystal.lattice
    steps = np.linalg.norm(positions[:, :, None] - positions[:, None], axis=-1)
    for k in range(codes.shape[1]):
        steps = np.minimum(steps, np.maximum(steps[:, :, k, None], steps[:, None, k, :]))
    return np.asarray(steps.max(axis=(1, 2)))
