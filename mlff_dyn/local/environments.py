"""The neighbors that each site of a crystal may have, within the reach of its functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SAME_PLACE = 1e-6
"""Å, rounding of positions: an atom is no neighbor of itself, and all of a shell at the reach are out."""


class Environments(NamedTuple):
    """Neighbors of the sites of a primitive cell, see `mlff_dyn.kernels.local_tables.LocalTables`.

    Attributes
    ----------
    starts : ndarray, shape (n_sites + 1,), int32
    slots : ndarray, shape (n_neighbors, 4), int32
    vectors : ndarray, shape (n_neighbors, 3), Å
    """

    starts: NDArray[np.int32]
    slots: NDArray[np.int32]
    vectors: NDArray[np.float64]


def find_environments(
    lattice: NDArray[np.float64],
    positions: NDArray[np.float64],
    kinds: NDArray[np.int32],
    reach: float,
    periodic: tuple[bool, bool, bool] = (True, True, True),
) -> Environments:
    """Neighbors within a distance, sorted by kind, then by distance; each has the other as a neighbor.

    Parameters
    ----------
    lattice : ndarray, shape (3, 3), Å
        Primitive vectors as rows.
    positions : ndarray, shape (n_sites, 3), Å
    kinds : ndarray, shape (n_sites,)
    reach : float, Å
    periodic : tuple of bool
        Axes along which the crystal goes on.
    """
    heights = 1.0 / np.linalg.norm(np.linalg.inv(lattice), axis=0)
    span = np.ceil(reach / heights).astype(int) + 1
    ranges = [
        np.arange(-n, n + 1) if goes_on else np.zeros(1, int)
        for n, goes_on in zip(span, periodic, strict=True)
    ]
    offsets = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, 3)
    shifts = offsets @ lattice
    starts, slots, vectors = [0], [], []
    for position in positions:
        found = positions[:, None] + shifts - position
        distances = np.linalg.norm(found, axis=-1)
        sites, places = np.nonzero((distances < reach - _SAME_PLACE) & (distances > _SAME_PLACE))
        order = np.lexsort((distances[sites, places].round(6), kinds[sites]))
        sites, places = sites[order], places[order]
        slots.append(np.concatenate([sites[:, None], offsets[places]], axis=1))
        vectors.append(found[sites, places])
        starts.append(starts[-1] + len(sites))
    return Environments(
        np.array(starts, np.int32),
        np.concatenate(slots).astype(np.int32),
        np.concatenate(vectors),
    )
