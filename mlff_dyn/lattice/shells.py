"""Shells of neighbors of a crystal."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHELL_GAP_ANGSTROM = 0.25


def shell_distances(
    lattice: NDArray[np.float64], positions: NDArray[np.float64], radius: float
) -> list[float]:
    """Largest distance in each shell of neighbors; a gap of 0.25 Å parts two shells.

    Parameters
    ----------
    lattice : ndarray, shape (3, 3), Å
        Rows are the lattice vectors.
    positions : ndarray, shape (n_atoms, 3), Å
    radius : float
        Distances above it (Å) are not looked at; the shell that ends there is left out.

    Returns
    -------
    list of float
        Ascending, Å.
    """
    reach = np.ceil(radius / cell_heights(lattice)).astype(int)
    offsets = np.array(list(itertools.product(*(range(-n - 1, n + 2) for n in reach)))) @ lattice
    between = (positions[None, :, :] - positions[:, None, :]).reshape(-1, 1, 3)
    distances = np.linalg.norm(between + offsets, axis=2).ravel()
    distances = np.sort(distances[(distances > 1.0e-3) & (distances < radius)])
    ends = np.flatnonzero(np.diff(distances) > SHELL_GAP_ANGSTROM)
    return [float(distances[end]) for end in ends]


def cell_heights(lattice: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances between opposite faces of a cell, Å, shape (3,)."""
    normals = np.linalg.inv(lattice).T
    return np.asarray(1.0 / np.linalg.norm(normals, axis=1))
