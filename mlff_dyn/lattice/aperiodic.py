"""Sheets and wires: axes of the cell along which there is vacuum.

Along such an axis the atoms are taken as one piece, split where the gap between them is widest, and nothing
sees its images. The length of the vector is irrelevant; it is kept as it is given. Symmetry is searched in a
cell whose vacuum is so long that no operation mixes it with another axis, and no translation crosses it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import spglib

from mlff_dyn.errors import DataError
from mlff_dyn.lattice.ideal_cell import ROUNDING_ANGSTROM
from mlff_dyn.lattice.magnetism import SPGLIB_ERROR

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.lattice.crystal import Crystal

Periodic = tuple[bool, bool, bool]
THREE_DIMENSIONAL: Periodic = (True, True, True)


@dataclass(frozen=True)
class VacuumLimits:
    """What counts as vacuum.

    Attributes
    ----------
    smallest_gap_angstrom : float      between the atoms and their images; layers of a crystal are closer
    largest_tilt : float               cosine of the angle of a vacuum vector to others, and to Cartesian axes
    search_length_angstrom : float     of vacuum added for the symmetry search, in which no axes are alike
    """

    smallest_gap_angstrom: float = 4.5
    largest_tilt: float = 1e-3
    search_length_angstrom: float = 137.0


LIMITS = VacuumLimits()


def check_vacuum(cell: NDArray[np.float64], positions: NDArray[np.float64], periodic: Periodic) -> None:
    """Refuse axes that hold no vacuum, or vacuum along a tilted vector.

    Parameters
    ----------
    cell : ndarray, shape (3, 3)             rows, Å
    positions : ndarray, shape (n, 3)        Cartesian, Å
    periodic : tuple of 3 bool

    Raises
    ------
    DataError
        With the axis and the reason.
    """
    if not any(periodic):
        raise DataError(
            "structure.periodic: no axis is periodic", fix="a molecule has no force constants of a crystal"
        )
    unit = cell / np.linalg.norm(cell, axis=1)[:, None]
    for axis in np.flatnonzero(~np.array(periodic)).tolist():
        _, gap = _split(cell, positions, axis)
        if gap < LIMITS.smallest_gap_angstrom:
            raise DataError(
                f"structure.periodic: along axis {axis + 1} the widest gap between atoms is {gap:.2f} Å, "
                "which is no vacuum",
                fix=f"true for this axis in structure.periodic, or at least {LIMITS.smallest_gap_angstrom} Å",
            )
        others = np.abs(unit[[k for k in range(3) if k != axis]] @ unit[axis]).max()
        aligned = np.sort(np.abs(unit[axis]))[1] if sum(periodic) == 2 else _off_axis(unit[list(periodic)])
        if max(float(others), float(aligned)) > LIMITS.largest_tilt:
            raise DataError(
                f"structure.periodic: the vacuum vector {axis + 1} is not perpendicular to the others, "
                "or not along x, y or z",
                fix="turn the structure so that the vacuum is along one of the Cartesian axes",
            )


def in_one_piece(
    cell: NDArray[np.float64], positions: NDArray[np.float64], periodic: Periodic
) -> NDArray[np.float64]:
    """Positions without jumps across the vacuum, as near to the given ones as may be; shapes as above."""
    moved = np.array(positions, float)
    for axis in np.flatnonzero(~np.array(periodic)).tolist():
        start, _ = _split(cell, moved, axis)
        height = (moved @ np.linalg.inv(cell))[:, axis]
        steps = -np.floor(height - start + 1e-9)
        moved += np.outer(steps - np.rint(np.median(steps)), cell[axis])
    return moved


def search_cell(
    cell: NDArray[np.float64], positions: NDArray[np.float64], periodic: Periodic
) -> NDArray[np.float64]:
    """Cell with long vacuum, rows, Å; positions are of one piece."""
    wide = np.array(cell, float)
    for count, axis in enumerate(np.flatnonzero(~np.array(periodic))):
        length = float(np.linalg.norm(cell[axis]))
        extent = float(np.ptp(positions @ cell[axis])) / length
        largest = float(np.linalg.norm(cell, axis=1).max())
        wide[axis] *= (2.0 * extent + 3.0 * largest + (1 + count) * LIMITS.search_length_angstrom) / length
    return wide


def upright_cell(cell: NDArray[np.float64], periodic: Periodic) -> NDArray[np.float64]:
    """Cell whose vacuum vectors are perpendicular to all others, rows, Å."""
    upright = np.array(cell, float)
    others = upright[list(periodic)]
    for axis in np.flatnonzero(~np.array(periodic)):
        span = np.linalg.qr(others.T)[0]
        upright[axis] -= span @ (span.T @ upright[axis])
        others = np.vstack([others, upright[axis]])
    return cell if np.abs(upright - cell).max() < ROUNDING_ANGSTROM else upright


def primitive_matrix(
    cell: NDArray[np.float64],
    rotations: NDArray[np.int64],
    translations: NDArray[np.float64],
    periodic: Periodic,
) -> NDArray[np.int64]:
    """Vectors of a cell with long vacuum (rows) in the basis of its primitive cell.

    The shortest translations of the sheet or wire span the primitive cell; vacuum vectors stay.

    Parameters
    ----------
    cell : ndarray, shape (3, 3)                             rows, Å
    rotations : ndarray of int, shape (n_operations, 3, 3)
    translations : ndarray, shape (n_operations, 3)
    periodic : tuple of 3 bool
    """
    shifts = translations[(rotations == np.eye(3, dtype=int)).all(axis=(1, 2))]
    shifts = shifts - np.rint(shifts)
    if len(shifts) == 1:
        return np.eye(3, dtype=np.int64)
    axes = [k for k in range(3) if periodic[k]]
    whole = np.array(list(np.ndindex(*(3 if k in axes else 1 for k in range(3))))) - np.array(periodic)
    points = (shifts[:, None] + whole).reshape(-1, 3)
    lengths = np.linalg.norm(points @ cell, axis=1)
    points = points[np.lexsort((-points.sum(axis=1), np.round(lengths, 6)))][1:]
    basis = np.eye(3)
    n_cells = len(shifts)
    for chosen in combinations(range(min(len(points), 24)), len(axes)):
        basis[axes] = points[list(chosen)]
        size = float(np.linalg.det(basis))
        if abs(abs(size) * n_cells - 1.0) < 0.1:
            if size < 0.0:
                basis[axes[-1]] *= -1.0
            break
    return np.asarray(np.rint(np.linalg.inv(basis)), np.int64)


def leave_vacuum_alone(matrices: NDArray[np.int64], periodic: Periodic) -> NDArray[np.bool_]:
    """Whether supercells, three rows of integers each, repeat nothing along vacuum; shape (n,)."""
    outside = ~np.array(periodic)
    others = matrices - np.eye(3, dtype=np.int64)
    return np.asarray(~others[:, outside].any(axis=(1, 2)) & ~others[:, :, outside].any(axis=(1, 2)))


def own_operations(
    rotations: NDArray[np.int64], site_shift: NDArray[np.int64], periodic: Periodic
) -> NDArray[np.int64]:
    """Indices of the operations that keep vacuum axes apart and carry the piece as a whole.

    Parameters
    ----------
    rotations : ndarray of int, shape (n_operations, 3, 3)
    site_shift : ndarray of int, shape (n_operations, n_sites, 3)
    periodic : tuple of 3 bool
    """
    inside = np.array(periodic)
    mixed = rotations[:, inside][:, :, ~inside].any(axis=(1, 2))
    mixed |= rotations[:, ~inside][:, :, inside].any(axis=(1, 2))
    across = site_shift[:, :, ~inside]
    torn = (across != across[:, :1]).any(axis=(1, 2))
    return np.flatnonzero(~mixed & ~torn)


def layer_group(
    lattice: NDArray[np.float64],
    fractional: NDArray[np.float64],
    numbers: NDArray[np.int64],
    periodic: Periodic,
    symprec: float,
) -> str | None:
    """International symbol and number of the layer group; None for wires, or if it is not found."""
    if sum(periodic) != 2:
        return None
    cell, axis = (lattice, fractional, numbers), periodic.index(False)
    try:
        found = spglib.get_symmetry_layerdataset(cell, aperiodic_dir=axis, symprec=symprec)
    except SPGLIB_ERROR:
        return None
    return None if found is None else f"{found.international.strip()} (layer group {found.number})"


def onto_reference(
    crystal: Crystal, cell: NDArray[np.float64], positions: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """A structure with the vacuum of the reference instead of its own.

    Returns
    -------
    cell : ndarray, shape (3, 3)             Å
    positions : ndarray, shape (n, 3)        of one piece, Å
    factor : float
        On the stress: volume of the old cell over that of the new one.
    """
    if all(crystal.periodic) or abs(float(np.linalg.det(cell))) < 1e-9:
        return cell, positions, 1.0
    pieces = in_one_piece(cell, positions, crystal.periodic)
    new = np.array(upright_cell(cell, crystal.periodic))
    for axis in np.flatnonzero(~np.array(crystal.periodic)):
        new[axis] *= np.linalg.norm(crystal.lattice[axis]) / np.linalg.norm(new[axis])
    return new, pieces, abs(float(np.linalg.det(cell) / np.linalg.det(new)))


def _split(cell: NDArray[np.float64], positions: NDArray[np.float64], axis: int) -> tuple[float, float]:
    """Fractional height at which the piece begins, and the gap before it, Å."""
    inverse = np.linalg.inv(cell)
    heights = np.sort(np.mod((positions @ inverse)[:, axis], 1.0))
    gaps = np.diff(np.append(heights, heights[0] + 1.0))
    widest = int(np.argmax(gaps))
    start = float(heights[(widest + 1) % len(heights)])
    return start, float(gaps[widest] / np.linalg.norm(inverse[:, axis]))


def _off_axis(unit: NDArray[np.float64]) -> float:
    """How far a periodic vector of a wire is from a Cartesian axis."""
    return float(np.sort(np.abs(unit[0]))[1])
