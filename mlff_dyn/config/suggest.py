"""First guess of the training cell and the cutoffs of a structure, for the template."""

from __future__ import annotations

import itertools

import numpy as np

MIN_HEIGHT_ANGSTROM = 9.0
SEARCH_RADIUS_ANGSTROM = 6.5
SHELL_GAP_ANGSTROM = 0.25
CUTOFF_MARGIN_ANGSTROM = 0.05
LARGEST_CUTOFFS_ANGSTROM = {3: 5.0, 4: 4.0}
N_SHELLS = {3: 3, 4: 2}


def suggest_supercell(lattice: np.ndarray) -> tuple[int, int, int]:
    """Repeat the cell until opposite faces are at least 9 Å apart.

    Parameters
    ----------
    lattice : ndarray, shape (3, 3), Å
        Rows are the lattice vectors.
    """
    repeats = [max(1, int(np.ceil(MIN_HEIGHT_ANGSTROM / height - 1.0e-9))) for height in _heights(lattice)]
    return (repeats[0], repeats[1], repeats[2])


def suggest_cutoffs(
    lattice: np.ndarray, positions: np.ndarray, supercell: tuple[int, int, int]
) -> dict[int, object]:
    """Choose cutoffs by shells of neighbors.

    Order 2 takes the whole training cell; order 3 reaches the third shell, order 4 the second, each bounded
    by a fixed length and by half of the training cell.

    Parameters
    ----------
    lattice : ndarray, shape (3, 3), Å
    positions : ndarray, shape (n_atoms, 3), Å
    supercell : tuple of 3 int

    Returns
    -------
    dict
        Order to "full" or cutoff, Å, rounded down to 0.05 Å.
    """
    heights = _heights(lattice) * np.array(supercell)
    half_cell = 0.5 * float(heights.min()) - CUTOFF_MARGIN_ANGSTROM
    shells = _shell_distances(lattice, positions)
    cutoffs: dict[int, object] = {2: "full"}
    for order, n_shells in N_SHELLS.items():
        outer = shells[min(n_shells, len(shells)) - 1] if shells else half_cell
        cutoff = min(outer + CUTOFF_MARGIN_ANGSTROM, LARGEST_CUTOFFS_ANGSTROM[order], half_cell)
        steps = (
            np.floor(cutoff / 0.05 + 1.0e-9)
            if cutoff < outer + CUTOFF_MARGIN_ANGSTROM
            else np.ceil(cutoff / 0.05)
        )
        cutoffs[order] = round(float(min(steps * 0.05, half_cell)), 2)
    return cutoffs


def _heights(lattice: np.ndarray) -> np.ndarray:
    """Distances between opposite faces of the cell, Å."""
    normals = np.linalg.inv(lattice).T
    heights: np.ndarray = 1.0 / np.linalg.norm(normals, axis=1)
    return heights


def _shell_distances(lattice: np.ndarray, positions: np.ndarray) -> list[float]:
    """Largest distance in each shell of neighbors, ascending, Å; a gap of 0.25 Å parts two shells."""
    reach = np.ceil(SEARCH_RADIUS_ANGSTROM / _heights(lattice)).astype(int)
    offsets = np.array(list(itertools.product(*(range(-n - 1, n + 2) for n in reach)))) @ lattice
    between = (positions[None, :, :] - positions[:, None, :]).reshape(-1, 1, 3)
    distances = np.linalg.norm(between + offsets, axis=2).ravel()
    distances = np.sort(distances[(distances > 1.0e-3) & (distances < SEARCH_RADIUS_ANGSTROM)])
    ends = np.flatnonzero(np.diff(distances) > SHELL_GAP_ANGSTROM)
    return [float(distances[end]) for end in ends]
