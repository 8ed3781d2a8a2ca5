"""Shells of neighbors of a crystal."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.lattice.lattice_limits import LATTICE_LIMITS

if TYPE_CHECKING:
    from numpy.typing import NDArray


def shell_distances(
    lattice: NDArray[np.float64],
    positions: NDArray[np.float64],
    radius: float,
    gap_angstrom: float = LATTICE_LIMITS.shell_gap_angstrom,
) -> list[float]:
    """Largest distance in each shell of neighbors; a gap parts two shells.

    Parameters
    ----------
    lattice : ndarray, shape (3, 3), Å
        Rows are the lattice vectors.
    positions : ndarray, shape (n_atoms, 3), Å
    radius : float
        Distances above it (Å) are not looked at; the shell that ends there is left out.
    gap_angstrom : float

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
    ends = np.flatnonzero(np.diff(distances) > gap_angstrom)
    return [float(distances[end]) for end in ends]


def cell_heights(lattice: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances between opposite faces of a cell, Å, shape (3,)."""
    normals = np.linalg.inv(lattice).T
    return np.asarray(1.0 / np.linalg.norm(normals, axis=1))
