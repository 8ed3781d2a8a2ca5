"""Orbits of clusters under the space group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from mlff_dyn.lattice.clusters import canonical, decode, encode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from mlff_dyn.lattice.crystal import Crystal
    from mlff_dyn.lattice.torus import Torus

_CHUNK = 1 << 18


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
    keys, cluster_order = smallest(identity(clusters))
    index = RowIndex(keys)
    cluster_class = index.find(keys)
    first = np.unique(cluster_class, return_index=True)[1]
    members = np.take_along_axis(clusters[first], cluster_order[first], axis=1)
    n_classes = len(members)
    maps, orders = [], []
    root = np.arange(n_classes)
    ties = np.zeros(n_classes, np.int64)
    for chosen, images in images_under(crystal, members, operations):
        target, found = _landings(index, identity(images))
        np.minimum(root, target.reshape(len(chosen), n_classes).min(axis=0), out=root)
        operation, source = np.divmod(found[:, 0], n_classes)
        ties += np.bincount(source[chosen[operation] == operations[0]], minlength=n_classes)
        maps.append(np.stack([source, chosen[operation], target[found[:, 0]]], axis=1))
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
    winner, _ = smallest(candidates)
    found = []
    for key, positions in candidates:
        hit = np.flatnonzero((key == winner).all(axis=1))
        found.append(np.concatenate([hit[:, None], positions[hit]], axis=1))
    return index.find(winner), found[0] if len(found) == 1 else np.unique(np.concatenate(found), axis=0)


def images_under(
    crystal: Crystal, codes: NDArray[np.int64], operations: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Images of clusters under space-group operations, some operations at a time.

    Parameters
    ----------
    crystal : Crystal
    codes : ndarray of int, shape (n_clusters, order)
    operations : ndarray of int, shape (n_operations,)

    Yields
    ------
    chosen : ndarray of int, shape (n_chosen,)
        Operations, each of them once in all.
    images : ndarray of int, shape (n_chosen * n_clusters, order)
        Codes of the images, operation after operation.
    """
    sites, offsets = decode(codes, crystal.n_sites)
    per_chunk = max(1, _CHUNK // max(codes.size, 1))
    for start in range(0, len(operations), per_chunk):
        chosen = operations[start : start + per_chunk]
        moved = np.stack([offsets @ crystal.rotations[g].T + crystal.site_shift[g, sites] for g in chosen])
        images = encode(crystal.site_map[chosen][:, sites], moved, crystal.n_sites)
        yield chosen, images.reshape(-1, codes.shape[1])


def close_under_group(
    crystal: Crystal, clusters: NDArray[np.int64], operations: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Canonical clusters with all their images: a shell that a cutoff divides is taken whole."""
    found = [
        RowIndex(canonical(images, crystal.n_sites)[0]).rows
        for _, images in images_under(crystal, clusters, operations)
    ]
    return found[0] if len(found) == 1 else RowIndex(np.concatenate(found)).rows


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


def smallest(
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
