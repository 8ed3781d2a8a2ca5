"""Clusters: sets of atoms, with repetition, that share one term of the expansion.

An atom (site s, offset n) is coded as one integer, code = pack(n) * n_sites + s, with pack linear in n.
Codes therefore sort by offset first and site second, an order that no lattice translation changes: the
canonical form of a cluster is its codes in ascending order, translated so that the first is in the home cell.
"""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import BasisError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from mlff_dyn.lattice.crystal import Crystal

_BASE = 1 << 11
_HALF = _BASE >> 1


def encode(sites: NDArray[np.int64], offsets: NDArray[np.int64], n_sites: int) -> NDArray[np.int64]:
    """Integer code of atoms; sites of shape (...), offsets of shape (..., 3)."""
    packed = (offsets[..., 0] * _BASE + offsets[..., 1]) * _BASE + offsets[..., 2]
    return np.asarray(packed * n_sites + sites)


def decode(codes: NDArray[np.int64], n_sites: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sites (...) and offsets (..., 3) of atom codes."""
    sites = codes % n_sites
    packed = codes // n_sites
    third = (packed + _HALF) % _BASE - _HALF
    packed = (packed - third) // _BASE
    second = (packed + _HALF) % _BASE - _HALF
    first = (packed - second) // _BASE
    return sites, np.stack([first, second, third], axis=-1)


def canonical(codes: NDArray[np.int64], n_sites: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Canonical codes of clusters and the order that sorts them.

    Parameters
    ----------
    codes : ndarray of int, shape (n_clusters, order)

    Returns
    -------
    sorted_codes, positions : ndarray of int, shape (n_clusters, order)
        ``positions[k, q]`` is the place in the input row of the atom at place q of the canonical row.
    """
    positions = np.argsort(codes, axis=1, kind="stable")
    ordered = np.take_along_axis(codes, positions, axis=1)
    home = ordered[:, :1] - ordered[:, :1] % n_sites
    return ordered - home, positions


def enumerate_clusters(crystal: Crystal, order: int, cutoffs: Mapping[int, float]) -> NDArray[np.int64]:
    """All translation-unique clusters of an order within cutoffs per number of bodies.

    Parameters
    ----------
    crystal : Crystal
    order : int
    cutoffs : mapping of int to float
        Largest pair distance (Å) of clusters with 2, 3, ... distinct atoms; numbers of bodies that are not
        named are left out. One-body clusters always belong.

    Returns
    -------
    ndarray of int, shape (n_clusters, order)
        Canonical codes.
    """
    found = [np.repeat(np.arange(crystal.n_sites)[:, None], order, axis=1)]
    for n_bodies, cutoff in sorted(cutoffs.items()):
        if n_bodies > order:
            continue
        repeats = [np.array(composition) for composition in _compositions(order, n_bodies)]
        for site in range(crystal.n_sites):
            bodies = _cliques(crystal, site, n_bodies, cutoff)
            found += [np.repeat(bodies, multiplicities, axis=1) for multiplicities in repeats]
    return np.concatenate(found)


def neighbors(crystal: Crystal, site: int, cutoff: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Codes and Cartesian positions of all atoms within a cutoff (Å) of a home-cell site, itself included."""
    heights = 1.0 / np.linalg.norm(np.linalg.inv(crystal.lattice), axis=0)
    spread = np.ptp(crystal.positions @ np.linalg.inv(crystal.lattice), axis=0)
    reach = np.ceil(cutoff / heights + spread).astype(int) * np.array(crystal.periodic)
    if reach.max() >= _HALF // 4:
        raise BasisError(
            f"cutoff {cutoff:g} Å reaches too many cells", fix="reduce expansion.cutoffs_angstrom"
        )
    offsets = np.array(list(np.ndindex(*(2 * reach + 1))), np.int64) - reach
    positions = (crystal.positions[:, None] + offsets @ crystal.lattice).reshape(-1, 3)
    distance = np.linalg.norm(positions - crystal.positions[site], axis=1)
    close = distance <= cutoff + _distance_tolerance(crystal)
    sites = np.repeat(np.arange(crystal.n_sites), len(offsets))[close]
    codes = encode(sites, np.tile(offsets, (crystal.n_sites, 1))[close], crystal.n_sites)
    return codes, positions[close]


def _distance_tolerance(crystal: Crystal) -> float:
    return max(1e-5, 2 * crystal.symprec)


def _compositions(order: int, n_bodies: int) -> Iterator[tuple[int, ...]]:
    """Ways to write ``order`` as an ordered sum of ``n_bodies`` positive integers."""
    for cuts in combinations(range(1, order), n_bodies - 1):
        edges = (0, *cuts, order)
        yield tuple(b - a for a, b in pairwise(edges))


def _cliques(crystal: Crystal, site: int, n_bodies: int, cutoff: float) -> NDArray[np.int64]:
    """Sets of distinct atoms, all pairs within the cutoff, whose first atom is the home-cell site."""
    codes, positions = neighbors(crystal, site, cutoff)
    later = codes >= site
    order = np.argsort(codes[later])
    codes, positions = codes[later][order], positions[later][order]
    distance = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    adjacent = np.triu(distance <= cutoff + _distance_tolerance(crystal), k=1)
    members = np.zeros((1, 1), np.int64)
    allowed = adjacent[:1].copy()
    for _ in range(n_bodies - 1):
        rows, columns = np.nonzero(allowed)
        members = np.concatenate([members[rows], columns[:, None]], axis=1)
        allowed = allowed[rows] & adjacent[columns]
    return codes[members]
