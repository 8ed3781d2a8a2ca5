"""Orbits of clusters under the space group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from mlff_dyn.lattice.clusters import canonical, decode, encode

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.lattice.crystal import Crystal
    from mlff_dyn.lattice.torus import Torus


class Identity(Protocol):
    """What makes two clusters the same: every way to bring a cluster into canonical form."""

    def __call__(self, codes: NDArray[np.int64]) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Candidate keys and orders, each of shape (n_clusters, order); the smallest key is canonical."""


@dataclass(frozen=True)
class InCrystal:
    """Clusters are the same if a lattice translation maps one to the other."""

    n_sites: int

    def __call__(self, codes: NDArray[np.int64]) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Return the one canonical form."""
        return [canonical(codes, self.n_sites)]


@dataclass(frozen=True)
class OnTorus:
    """Clusters are the same if they coincide modulo supercell vectors as well."""

    torus: Torus

    def __call__(self, codes: NDArray[np.int64]) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Return one form per choice of the atom that is moved to the home cell."""
        sites, offsets = decode(codes, self.torus.crystal.n_sites)
        forms = []
        for anchor in range(codes.shape[1]):
            cells = self.torus.cell_index(offsets - offsets[:, anchor : anchor + 1])
            atoms = cells * self.torus.crystal.n_sites + sites
            positions = np.argsort(atoms, axis=1, kind="stable")
            forms.append((np.take_along_axis(atoms, positions, axis=1), positions))
        return forms


@dataclass(frozen=True, eq=False)
class Orbits:
    """Clusters sorted into symmetry classes.

    Clusters with one key form a class; classes that operations connect form an orbit, whose first class
    represents it. ``maps`` list every operation and order that carry a representative onto a class.

    Attributes
    ----------
    clusters : ndarray of int, shape (n_clusters, order)
        Codes of the clusters.
    cluster_class : ndarray of int, shape (n_clusters,)
    cluster_order : ndarray of int, shape (n_clusters, order)
        ``cluster_order[k, q]``: place in cluster k of the atom at place q of its class.
    class_ties : ndarray of int, shape (n_classes,)
        Number of orders in which a class coincides with itself without any rotation.
    representatives : ndarray of int, shape (n_orbits, order)
        Codes of the representatives, in the order of their classes.
    maps : ndarray of int, shape (n_maps, 3)
        Orbit, operation, class.
    map_order : ndarray of int, shape (n_maps, order)
        ``map_order[j, q]``: place in the representative of the atom that lands at place q of the class.
    stabilizer : ndarray of bool, shape (n_maps,)
        Whether the map carries the representative onto itself.
    """

    clusters: NDArray[np.int64]
    cluster_class: NDArray[np.int64]
    cluster_order: NDArray[np.int64]
    class_ties: NDArray[np.int64]
    representatives: NDArray[np.int64]
    maps: NDArray[np.int64]
    map_order: NDArray[np.int64]
    stabilizer: NDArray[np.bool_]

    @property
    def n_orbits(self) -> int:
        """Number of orbits."""
        return len(self.representatives)


def find_orbits(
    crystal: Crystal,
    clusters: NDArray[np.int64],
    identity: Identity,
    operations: NDArray[np.int64],
) -> Orbits:
    """Sort clusters into orbits.

    Parameters
    ----------
    crystal : Crystal
    clusters : ndarray of int, shape (n_clusters, order)
        Codes; the classes must be closed under the operations (see `close_under_group`).
    identity : Identity
        `InCrystal` or `OnTorus`.
    operations : ndarray of int
        Indices of the operations of the group; the first must be the identity.
    """
    keys, cluster_order = _smallest(identity(clusters))
    index = RowIndex(keys)
    cluster_class = index.find(keys)
    first = np.unique(cluster_class, return_index=True)[1]
    members = np.take_along_axis(clusters[first], cluster_order[first], axis=1)
    maps, orders = [], []
    root = np.arange(len(members))
    ties = np.zeros(len(members), np.int64)
    for g in operations:
        target, found = _landings(index, identity(apply_operation(crystal, members, int(g))))
        np.minimum(root, target, out=root)
        if g == operations[0]:
            ties = np.bincount(found[:, 0], minlength=len(members))
        maps.append(np.stack([found[:, 0], np.full(len(found), g), target[found[:, 0]]], axis=1))
        orders.append(found[:, 1:])
    roots = np.unique(root)
    all_maps, all_orders = np.concatenate(maps), np.concatenate(orders)
    from_root = np.isin(all_maps[:, 0], roots)
    all_maps, all_orders = all_maps[from_root], all_orders[from_root]
    return Orbits(
        clusters=clusters,
        cluster_class=cluster_class,
        cluster_order=cluster_order,
        class_ties=ties,
        representatives=members[roots],
        maps=np.stack([np.searchsorted(roots, all_maps[:, 0]), all_maps[:, 1], all_maps[:, 2]], axis=1),
        map_order=all_orders,
        stabilizer=all_maps[:, 0] == all_maps[:, 2],
    )


def _landings(
    index: RowIndex, candidates: list[tuple[NDArray[np.int64], NDArray[np.int64]]]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Class that each image falls on, and the distinct (image, order) pairs in which it does."""
    smallest, _ = _smallest(candidates)
    found = []
    for key, positions in candidates:
        hit = np.flatnonzero((key == smallest).all(axis=1))
        found.append(np.concatenate([hit[:, None], positions[hit]], axis=1))
    return index.find(smallest), found[0] if len(found) == 1 else np.unique(np.concatenate(found), axis=0)


def apply_operation(crystal: Crystal, codes: NDArray[np.int64], operation: int) -> NDArray[np.int64]:
    """Codes of the images of atoms under one space-group operation."""
    sites, offsets = decode(codes, crystal.n_sites)
    moved = offsets @ crystal.rotations[operation].T + crystal.site_shift[operation, sites]
    return encode(crystal.site_map[operation, sites], moved, crystal.n_sites)


def close_under_group(
    crystal: Crystal, clusters: NDArray[np.int64], operations: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Canonical clusters with all their images: a shell that a cutoff divides is taken whole."""
    images = [canonical(apply_operation(crystal, clusters, int(g)), crystal.n_sites)[0] for g in operations]
    stacked = np.concatenate(images)
    return RowIndex(stacked).rows


class RowIndex:
    """Distinct rows of an integer array and their look-up.

    Rows are compared by a 64-bit linear hash first; equality is then verified, never assumed.
    """

    def __init__(self, rows: NDArray[np.int64]) -> None:
        order = rows.shape[1]
        self._multipliers = np.random.default_rng(order).integers(1 << 62, size=order) * 2 + 1
        self._hashes, first = np.unique(self._hash(rows), return_index=True)
        self.rows = rows[first]
        self.find(rows)

    def _hash(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.asarray((rows * self._multipliers).sum(axis=1))

    def find(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Index of each row among the distinct rows.

        Raises
        ------
        KeyError
            If a row is not there.
        """
        position = np.searchsorted(self._hashes, self._hash(rows))
        position = np.minimum(position, len(self._hashes) - 1)
        if not np.array_equal(self.rows[position], rows):
            raise KeyError("a row is not among the indexed ones")
        return position


def _smallest(
    candidates: list[tuple[NDArray[np.int64], NDArray[np.int64]]],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Lexicographically smallest key of each cluster and its order."""
    key, positions = (array.copy() for array in candidates[0])
    for other, order in candidates[1:]:
        different = other != key
        column = different.argmax(axis=1)[:, None]
        smaller = different.any(axis=1)
        smaller &= (np.take_along_axis(other, column, axis=1) < np.take_along_axis(key, column, axis=1))[:, 0]
        key[smaller], positions[smaller] = other[smaller], order[smaller]
    return key, positions
