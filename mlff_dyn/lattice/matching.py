"""Find the supercell and the ideal site of every atom of a displaced structure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import DataError
from mlff_dyn.lattice.aperiodic import onto_reference
from mlff_dyn.lattice.deformation import Deformation, polar
from mlff_dyn.lattice.ideal_cell import ROUNDING_ANGSTROM
from mlff_dyn.lattice.lattice_limits import LATTICE_LIMITS, LatticeLimits
from mlff_dyn.lattice.magnetism import another_order
from mlff_dyn.lattice.torus import Torus

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from mlff_dyn.lattice.crystal import Crystal


@dataclass(frozen=True, eq=False)
class Match:
    """A structure in terms of the ideal crystal.

    Position = rotation @ ((1 + strain) @ site + displacement) + rigid shift, for column vectors.

    Attributes
    ----------
    torus : Torus                                      its supercell
    atoms : ndarray of int, shape (n_atoms,)           row of the input for each atom of the torus
    displacements : ndarray, shape (n_atoms, 3)        Å, in the order of the torus, without rigid shift
    strain : ndarray, shape (3, 3)                     symmetric; zeros for the cell of the crystal itself
    rotation : ndarray, shape (3, 3)
    stress_factor : float
        From the stress of the input to that in a cell with the vacuum of the crystal; 1 without vacuum.
    """

    torus: Torus
    atoms: NDArray[np.int64]
    displacements: NDArray[np.float64]
    strain: NDArray[np.float64]
    rotation: NDArray[np.float64]
    stress_factor: float = 1.0


def match_structure(
    crystal: Crystal,
    cell: ArrayLike,
    positions: ArrayLike,
    numbers: ArrayLike,
    magnetic_moments: NDArray[np.float64] | None = None,
    *,
    limits: LatticeLimits = LATTICE_LIMITS,
) -> Match:
    """Match a structure to a strained supercell of the crystal; atoms in any order and rigidly shifted.

    Strains and rotations of the cell are recognized up to a limit. The length of a vacuum does not matter.

    Parameters
    ----------
    crystal : Crystal
    cell : array_like, shape (3, 3)          rows, Å
    positions : array_like, shape (n, 3)     Cartesian, Å
    numbers : array_like, shape (n,)         atomic numbers
    magnetic_moments : ndarray, shape (n,), optional
        Bohr magnetons; with them, atoms go to sites of their magnetic sublattice.
    limits : LatticeLimits

    Raises
    ------
    DataError
        If the cell is not a supercell of the crystal, atoms and sites are not one to one, or the magnetic
        order is another.
    """
    species = np.asarray(numbers, np.int64)
    lattice, points, factor = onto_reference(crystal, *_checked_lengths(crystal, cell, positions, limits))
    lattice, points = _in_ideal_cell(crystal, lattice, points, limits.no_strain)
    matrix, (strain, rotation) = _strained_supercell(crystal, lattice, len(species), limits)
    torus = Torus(crystal, matrix)
    if len(species) != torus.n_atoms:
        raise DataError(
            f"the cell holds {len(species)} atoms, that supercell of the reference crystal {torus.n_atoms}",
            fix="drop the frame, or give the crystal that it is made of as structure.file",
        )
    stretch = np.eye(3) + strain
    if strain.any() or (rotation != np.eye(3)).any():
        points = points @ rotation @ np.linalg.inv(stretch)
    wrong_orders: list[str] = []
    for shift in _candidate_shifts(crystal, points, species):
        sites, displacements = torus.match(points - shift)
        drift = displacements.mean(axis=0)
        sites, displacements = torus.match(points - shift - drift)
        if len(np.unique(sites)) == torus.n_atoms and np.array_equal(torus.numbers[sites], species):
            atoms = np.argsort(sites)
            problem = _wrong_order(torus, sites, magnetic_moments)
            if problem is not None:
                wrong_orders.append(problem)
                continue
            centered = (displacements - displacements.mean(axis=0))[atoms]
            if strain.any():
                centered = centered @ stretch
            is_slight = np.linalg.norm(strain, 2) < limits.slight_strain
            small = np.zeros((3, 3)) if is_slight else strain
            return Match(torus, atoms, centered, small, rotation, factor)
    raise _unmatched(wrong_orders)


def _wrong_order(torus: Torus, sites: NDArray[np.int64], moments: NDArray[np.float64] | None) -> str | None:
    """What makes the magnetic order another one when atoms are on these sites."""
    if moments is None:
        return None
    reference = torus.magnetic_moments
    return another_order(torus.numbers[sites], None if reference is None else reference[sites], moments)


def _unmatched(wrong_orders: list[str]) -> DataError:
    if wrong_orders:
        return DataError(
            f"the magnetic order is not that of the reference: {wrong_orders[0]}",
            fix="leave it out, or give structure.magnetic_moments as they are in it",
        )
    return DataError(
        "atoms and ideal sites are not one to one",
        fix="the structure melted, hopped or is another phase: leave it out or change structure.file",
    )


def _checked_lengths(
    crystal: Crystal, cell: ArrayLike, positions: ArrayLike, limits: LatticeLimits
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cell and positions as arrays."""
    lattice, points = np.asarray(cell, float), np.asarray(positions, float)
    for what, vectors in (("a cell vector", lattice), ("the position of an atom", points)):
        if not np.abs(vectors @ np.linalg.inv(crystal.lattice)).max(initial=0.0) < limits.longest_supercell:
            raise DataError(
                f"{what} has a component of {np.abs(vectors).max():.3g} Å",
                fix="write cells and positions in Å, or drop the frame if it is damaged",
            )
    return lattice, points


def _in_ideal_cell(
    crystal: Crystal, lattice: NDArray[np.float64], points: NDArray[np.float64], no_strain: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Supercell of the cell that the user gave as the same one of the ideal crystal; others as they are."""
    given = np.linalg.solve(crystal.input_matrix.astype(float), crystal.input_lattice)
    if np.abs(given - crystal.lattice).max() < ROUNDING_ANGSTROM:
        return lattice, points
    matrix = np.rint(lattice @ np.linalg.inv(given))
    if round(np.linalg.det(matrix)) == 0 or _size(np.linalg.solve(matrix @ given, lattice)) > no_strain:
        return lattice, points
    ideal = matrix @ crystal.lattice
    return ideal, points @ np.linalg.solve(lattice, ideal)


def _strained_supercell(
    crystal: Crystal, lattice: NDArray[np.float64], n_atoms: int, limits: LatticeLimits
) -> tuple[NDArray[np.int64], Deformation]:
    """Supercell matrix and how its cell is deformed."""
    raw = lattice @ np.linalg.inv(crystal.lattice)
    matrix = np.rint(raw).astype(np.int64)
    misfit = float(np.abs((raw - matrix) @ crystal.lattice).max())
    is_near = round(np.linalg.det(matrix)) != 0 and _size(_gradients(crystal, matrix, lattice)) < 0.01
    if not is_near:
        matrix = _nearest_supercell(crystal, lattice, raw, max(1, round(n_atoms / crystal.n_sites)))
    gradient = (
        _gradients(crystal, matrix, lattice) if round(np.linalg.det(matrix)) else np.full((3, 3), np.inf)
    )
    if not _size(gradient) <= limits.largest_strain:
        raise DataError(
            f"the cell is not a supercell of the reference crystal (off by {misfit:.3g} Å)",
            fix="use snapshots of the same lattice and orientation as structure.file, strained by at most "
            f"{100 * limits.largest_strain:.0f} %",
        )
    if _size(gradient) < limits.no_strain:
        return matrix, Deformation(np.zeros((3, 3)), np.eye(3))
    return matrix, polar(gradient)


def _nearest_supercell(
    crystal: Crystal, lattice: NDArray[np.float64], raw: NDArray[np.float64], n_cells: int
) -> NDArray[np.int64]:
    """Matrix of so many primitive cells that a cell is the least deformation of."""
    scale = (abs(np.linalg.det(raw)) / n_cells) ** (1 / 3)
    steps = np.array(list(np.ndindex(*(3,) * 9)), np.int64).reshape(-1, 3, 3) - 1
    candidates = np.rint(raw / max(scale, 1e-9)).astype(np.int64) + steps
    fits = np.abs(np.rint(np.linalg.det(candidates))) == n_cells
    if not fits.any():
        return np.zeros((3, 3), np.int64)
    candidates = candidates[fits]
    changes = _gradients(crystal, candidates, lattice) - np.eye(3)
    return np.asarray(candidates[int(np.argmin(np.linalg.norm(changes, 2, axis=(1, 2))))])


def _gradients(
    crystal: Crystal, matrices: NDArray[np.int64], lattice: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Deformation gradient from a supercell of the crystal to a cell; shape (..., 3, 3)."""
    gradients = np.linalg.solve(matrices @ crystal.lattice, np.broadcast_to(lattice, matrices.shape))
    return np.asarray(gradients.swapaxes(-1, -2))


def _size(gradient: NDArray[np.float64]) -> float:
    """Largest change of a vector, relative to its length."""
    return float(np.linalg.norm(gradient - np.eye(3), 2)) if np.isfinite(gradient).all() else np.inf


def _candidate_shifts(
    crystal: Crystal, positions: NDArray[np.float64], numbers: NDArray[np.int64]
) -> list[NDArray[np.float64]]:
    """No shift first, then those that put the first atom on each site of its element."""
    sites = crystal.positions[crystal.numbers == numbers[0]]
    return [np.zeros(3), *(positions[0] - site for site in sites)]
