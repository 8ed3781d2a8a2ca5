"""Shortest images of atom pairs in a supercell: which pairs `full` means, and which cutoffs are safe."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from ase.geometry.minkowski_reduction import minkowski_reduce

from mlff_dyn.lattice.clusters import canonical, encode

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.lattice.torus import Torus

_TIE_ANGSTROM = 1e-4
"""Images whose distances differ by less are equally near: positions are rounded."""


class ShortestImages(NamedTuple):
    """The equally long shortest images of every atom of a supercell, seen from each site of the home cell.

    Attributes
    ----------
    sites : ndarray of int, shape (n_images,)
        Site that an image is seen from.
    atoms : ndarray of int, shape (n_images,)
        Atom of the torus that it is an image of.
    codes : ndarray of int, shape (n_images,)
        Its code, see `mlff_dyn.lattice.clusters`.
    shares : ndarray, shape (n_images,)
        One over the number of images of the same length.
    """

    sites: NDArray[np.int64]
    atoms: NDArray[np.int64]
    codes: NDArray[np.int64]
    shares: NDArray[np.float64]


def shortest_images(torus: Torus) -> ShortestImages:
    """Images of all pairs of atoms inside the Wigner-Seitz cell of a supercell or on its boundary."""
    n_sites = torus.crystal.n_sites
    partner = np.repeat(np.arange(n_sites), torus.n_cells)
    found = []
    for site in range(n_sites):
        offsets, distances = _images(torus, site)
        close = distances <= distances.min(axis=1, keepdims=True) + _tie(torus)
        rows, images = np.nonzero(close)
        codes = encode(partner[rows], offsets[rows, images], n_sites)
        found.append((np.full(len(rows), site), rows, codes, 1.0 / close.sum(axis=1)[rows]))
    return ShortestImages(*(np.concatenate(each) for each in zip(*found, strict=True)))


def wigner_seitz_pairs(torus: Torus) -> NDArray[np.int64]:
    """Canonical codes of all pairs that are closest images of each other in a supercell.

    A pair on the boundary of the Wigner-Seitz cell appears once for each of its equally long images.

    Returns
    -------
    ndarray of int, shape (n_clusters, 2)
        One-atom clusters included.
    """
    images = shortest_images(torus)
    ordered, _ = canonical(np.stack([images.sites, images.codes], axis=1), torus.crystal.n_sites)
    return np.unique(ordered, axis=0)


def wigner_seitz_triples(torus: Torus) -> NDArray[np.int64]:
    """Canonical codes of all triples of atoms of a supercell, each by its images of the shortest perimeter.

    A triple with several images of equal perimeter (sum of its three pair distances) appears once for each.

    Returns
    -------
    ndarray of int, shape (n_clusters, 3)
        Clusters of one and of two atoms included.
    """
    n_sites = torus.crystal.n_sites
    partner = np.repeat(np.arange(n_sites), torus.n_cells)
    found = []
    for site in range(n_sites):
        offsets, distances = _images(torus, site)
        positions = torus.crystal.positions[partner][:, None] + offsets @ torus.crystal.lattice
        codes = encode(partner[:, None], offsets, n_sites)
        for atom in range(torus.n_atoms):
            separation = positions[atom][None, :, None] - positions[atom:, None]
            perimeter = np.linalg.norm(separation, axis=-1)
            perimeter += distances[atom][None, :, None] + distances[atom:, None]
            limit = perimeter.min(axis=(1, 2), keepdims=True) + 3 * _tie(torus)
            other, first, second = np.nonzero(perimeter <= limit)
            pair = np.stack([codes[atom][first], codes[atom:][other, second]], axis=1)
            triple = np.insert(pair, 0, site, axis=1)
            found.append(np.unique(canonical(triple, n_sites)[0], axis=0))
    return np.unique(np.concatenate(found), axis=0)


def aliasing_distance(torus: Torus) -> float:
    """Shortest distance (Å) at which a pair of atoms already has a second image as close.

    A cutoff below it keeps all images of a cluster distinguishable on the supercell; one at or above it makes
    columns of the design matrix degenerate.
    """
    second = [
        np.partition(_images(torus, site)[1], 1, axis=1)[:, 1].min() for site in range(torus.crystal.n_sites)
    ]
    return float(min(second))


def largest_safe_cutoff(torus: Torus) -> float:
    """Largest cutoff (Å, rounded down to 0.001) that a supercell can tell apart from its images."""
    return float(np.floor((aliasing_distance(torus) - 2 * _tie(torus)) * 1000) / 1000)


def compatible_operations(torus: Torus) -> NDArray[np.int64]:
    """Operations of the space group that map the supercell lattice onto itself; the identity comes first."""
    matrix = torus.matrix
    rotated = np.einsum("gab,kb->gka", torus.crystal.rotations, matrix) @ np.linalg.inv(matrix)
    fits = np.abs(rotated - np.rint(rotated)).max(axis=(1, 2)) < 1e-6
    return identity_first(torus.crystal.rotations, torus.crystal.site_shift, np.flatnonzero(fits))


def identity_first(
    rotations: NDArray[np.int64], site_shift: NDArray[np.int64], operations: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Reorder operations so that the identity comes first."""
    is_identity = (rotations[operations] == np.eye(3, dtype=int)).all(axis=(1, 2))
    is_identity &= (site_shift[operations] == 0).all(axis=(1, 2))
    return np.concatenate([operations[is_identity], operations[~is_identity]])


def _tie(torus: Torus) -> float:
    return max(_TIE_ANGSTROM, 2 * torus.crystal.symprec)


def _images(torus: Torus, site: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Offsets and distances of the near images of every atom seen from a home-cell site.

    Shapes (n_atoms, 27, 3) and (n_atoms, 27); with a Minkowski-reduced supercell the two shortest images of
    any atom are among the 27. There are fewer where the crystal is not periodic along all axes.
    """
    crystal = torus.crystal
    inside = np.array(crystal.periodic)
    reduced, transform = minkowski_reduce(torus.lattice, crystal.periodic)
    vectors = np.asarray(transform, np.int64) @ torus.matrix
    partner = np.repeat(np.arange(crystal.n_sites), torus.n_cells)
    offsets = np.tile(torus.offsets, (crystal.n_sites, 1))
    separation = crystal.positions[partner] + offsets @ crystal.lattice - crystal.positions[site]
    fold = np.rint(separation @ np.linalg.inv(reduced) - 1e-9).astype(np.int64) * inside
    shifts = np.array(list(np.ndindex(*np.where(inside, 3, 1))), np.int64) - inside
    total = shifts[None] - fold[:, None]
    distances = np.linalg.norm(separation[:, None] + total @ reduced, axis=-1)
    return offsets[:, None] + total @ vectors, distances
