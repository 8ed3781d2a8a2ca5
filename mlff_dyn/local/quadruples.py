"""Which functions of three neighbors the local part has."""

from __future__ import annotations

from itertools import combinations_with_replacement
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.kernels.degrees import is_coupled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.local.function_limits import FunctionLimits


def number_quadruples(
    sizes: NDArray[np.float64],
    centers: NDArray[np.float64],
    nearest: NDArray[np.float64],
    *,
    l_max: int,
    first: int,
    limits: FunctionLimits,
) -> NDArray[np.int32]:
    """Products of three factors, see `mlff_dyn.kernels.local_tables.LocalTables.quadruples`.

    Those whose radial functions are, on average, farther out than the nearest neighbors of the central atom,
    or whose product is negligible, are left out: there are far more of them than of functions of fewer
    bodies, and data tell little about them. Kinds of atoms that have few of them get smaller ones.

    Parameters
    ----------
    sizes : ndarray, shape (n_kinds, n_channels)
        Largest value of each channel; zero for those that are left out.
    centers : ndarray, shape (n_radial,)
        Where the radial functions are largest, Å.
    nearest : ndarray, shape (n_kinds,)
        Distance of the nearest neighbors of each kind, Å.
    l_max : int
        Largest degree of the local part.
    first : int
        Number of the first of these functions.
    limits : FunctionLimits

    Returns
    -------
    ndarray, shape (n_quadruples, 8), int32
    """
    degrees = [
        each
        for each in combinations_with_replacement(range(min(l_max, limits.l_max_of_three) + 1), 3)
        if is_coupled(*np.array(each))
    ]
    rows: list[tuple[int, ...]] = []
    for kind, own in enumerate(sizes):
        candidates = np.concatenate([_products(np.flatnonzero(own > 0.0), each) for each in degrees])
        away = centers[candidates[:, :3] % len(centers)].mean(axis=1)
        near = candidates[away <= limits.farthest_of_three * nearest[kind]]
        products = own[near[:, :3]].prod(axis=1)
        kept = near[_are_kept(products, limits)]
        rows += [(kind, *each) for each in kept.tolist()]
    numbered = [(*row, first + place) for place, row in enumerate(rows)]
    return np.array(numbered, np.int32).reshape(-1, 8)


def _are_kept(products: NDArray[np.float64], limits: FunctionLimits) -> NDArray[np.bool_]:
    """Which products of radial functions count, by their sizes; the largest of them where there are few."""
    largest = np.sort(products)[::-1][: limits.enough_of_three]
    least = max(float(largest[-1:].sum()), limits.negligible)
    return np.asarray(products >= min(least, limits.negligible_of_three))


def _products(channels: NDArray[np.int64], degrees: tuple[int, ...]) -> NDArray[np.int64]:
    """Channels and degrees of three factors, each product once, shape (n_products, 6)."""
    found = np.stack(np.meshgrid(channels, channels, channels, indexing="ij"), axis=-1).reshape(-1, 3)
    for place in (0, 1):
        if degrees[place] == degrees[place + 1]:
            found = found[found[:, place] <= found[:, place + 1]]
    return np.concatenate([found, np.broadcast_to(degrees, (len(found), 3))], axis=1)
