"""Find the supercell and the ideal site of every atom of a displaced structure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import DataError
from mlff_dyn.lattice.torus import Torus

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from mlff_dyn.lattice.crystal import Crystal

_CELL_TOLERANCE = 5e-3


@dataclass(frozen=True, eq=False)
class Match:
    """A structure in terms of the ideal crystal.

    Attributes
    ----------
    torus : Torus                                      its supercell
    atoms : ndarray of int, shape (n_atoms,)           row of the input for each atom of the torus
    displacements : ndarray, shape (n_atoms, 3)        Å, in the order of the torus, without rigid shift
    """

    torus: Torus
    atoms: NDArray[np.int64]
    displacements: NDArray[np.float64]


def match_structure(crystal: Crystal, cell: ArrayLike, positions: ArrayLike, numbers: ArrayLike) -> Match:
    """Match a structure to a supercell of the crystal; atoms may come in any order and rigidly shifted.

    Parameters
    ----------
    crystal : Crystal
    cell : array_like, shape (3, 3)          rows, Å
    positions : array_like, shape (n, 3)     Cartesian, Å
    numbers : array_like, shape (n,)         atomic numbers

    Raises
    ------
    DataError
        If the cell is not a supercell of the crystal, or atoms and sites are not one to one.
    """
    lattice = np.asarray(cell, float)
    species = np.asarray(numbers, np.int64)
    points = np.asarray(positions, float)
    raw = lattice @ np.linalg.inv(crystal.lattice)
    matrix = np.rint(raw).astype(np.int64)
    misfit = float(np.abs((raw - matrix) @ crystal.lattice).max())
    if round(np.linalg.det(matrix)) == 0 or misfit > _CELL_TOLERANCE * max(1.0, float(np.abs(lattice).max())):
        raise DataError(
            f"the cell is not a supercell of the reference crystal (off by {misfit:.3g} Å)",
            fix="use snapshots of the same lattice constants and orientation as structure.file",
        )
    torus = Torus(crystal, matrix)
    if len(species) != torus.n_atoms:
        raise DataError(
            f"the cell holds {len(species)} atoms, that supercell of the reference crystal {torus.n_atoms}",
            fix="check structure.file",
        )
    for shift in _candidate_shifts(crystal, points, species):
        sites, displacements = torus.match(points - shift)
        drift = displacements.mean(axis=0)
        sites, displacements = torus.match(points - shift - drift)
        if len(np.unique(sites)) == torus.n_atoms and np.array_equal(torus.numbers[sites], species):
            atoms = np.argsort(sites)
            return Match(torus, atoms, (displacements - displacements.mean(axis=0))[atoms])
    raise DataError(
        "atoms and ideal sites are not one to one",
        fix="the structure melted, hopped or is another phase: leave it out or change structure.file",
    )


def _candidate_shifts(
    crystal: Crystal, positions: NDArray[np.float64], numbers: NDArray[np.int64]
) -> list[NDArray[np.float64]]:
    """No shift first, then those that put the first atom on each site of its element."""
    sites = crystal.positions[crystal.numbers == numbers[0]]
    return [np.zeros(3), *(positions[0] - site for site in sites)]
