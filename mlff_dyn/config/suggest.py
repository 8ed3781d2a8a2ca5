"""First guess of the training cell and the cutoffs of a structure, for the template."""

from __future__ import annotations

import numpy as np

from mlff_dyn.lattice.aperiodic import in_one_piece, search_cell
from mlff_dyn.lattice.shells import cell_heights, shell_distances

MIN_HEIGHT_ANGSTROM = 9.0
SEARCH_RADIUS_ANGSTROM = 6.5
CUTOFF_MARGIN_ANGSTROM = 0.05
LARGEST_CUTOFFS_ANGSTROM = {3: 5.0, 4: 4.0}
N_SHELLS = {3: 3, 4: 2}


THREE_DIMENSIONAL = (True, True, True)


def suggest_supercell(
    lattice: np.ndarray, periodic: tuple[bool, bool, bool] = THREE_DIMENSIONAL
) -> tuple[int, int, int]:
    """Repeat the cell until opposite faces are at least 9 Å apart.

    Parameters
    ----------
    lattice : ndarray, shape (3, 3), Å
        Rows are the lattice vectors.
    periodic : tuple of 3 bool
        Axes along which the cell is repeated.
    """
    repeats = np.ceil(MIN_HEIGHT_ANGSTROM / cell_heights(lattice) - 1.0e-9).clip(1).astype(int)
    x, y, z = np.where(periodic, repeats, 1).tolist()
    return (x, y, z)


def suggest_cutoffs(
    lattice: np.ndarray,
    positions: np.ndarray,
    supercell: tuple[int, int, int],
    periodic: tuple[bool, bool, bool] = THREE_DIMENSIONAL,
) -> dict[int, object]:
    """Choose cutoffs by shells of neighbors.

    Order 2 takes the whole training cell; order 3 reaches the third shell, order 4 the second, each bounded
    by a fixed length and by half of the training cell.

    Parameters
    ----------
    lattice : ndarray, shape (3, 3), Å
    positions : ndarray, shape (n_atoms, 3), Å
    supercell : tuple of 3 int
    periodic : tuple of 3 bool
        Axes along which atoms have images.

    Returns
    -------
    dict
        Order to "full" or cutoff, Å, rounded down to 0.05 Å.
    """
    if not all(periodic):
        positions = in_one_piece(lattice, positions, periodic)
        lattice = search_cell(lattice, positions, periodic)
    heights = cell_heights(lattice) * np.array(supercell)
    half_cell = 0.5 * float(heights.min()) - CUTOFF_MARGIN_ANGSTROM
    shells = shell_distances(lattice, positions, SEARCH_RADIUS_ANGSTROM)
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
