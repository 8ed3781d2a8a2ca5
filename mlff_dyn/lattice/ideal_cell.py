"""The ideal crystal that a given one is meant to be: its space group holds exactly.

A cell that is rounded, or relaxed to some accuracy, has its symmetry within a tolerance only. In fractional
coordinates the rotations W_g are integers, so averages over the group are exact: with g(s) the site and
n_g(s) the offset that operation g takes site s to,

    L L^T = < W_g^T (L L^T)_given W_g >_g,
    x_t - x_s = < W_g^-1 (x_g(t) + n_g(t) - x_g(s) - n_g(s)) >_g.

The average leaves the orientation to choice: the vectors of the cell come nearest to the given ones. Where
the rotations are then within the tolerance of those of axes along x, y, z, the axes are turned there, because
the force constants have most zeros in such a frame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.lattice.crystal import Crystal

ROUNDING_ANGSTROM = 1e-9
"""A cell that is as near to the ideal one is left as it is given."""

_ELEMENTS = np.array([0.0, 0.5, np.sqrt(0.75), 1.0])
"""Sizes of the elements of rotation matrices of crystals whose axes are along x, y, z."""

_NEAR_ELEMENT = 0.02
"""Farthest from an element of a crystal along x, y, z that a symprec may turn one; they are 0.13 apart."""
_SAME_ROTATION = 1e-9
"""Rounding of products of rotations."""


class IdealCell(NamedTuple):
    """A primitive cell whose space group is exact.

    Attributes
    ----------
    lattice : ndarray, shape (3, 3)              rows, Å
    fractional : ndarray, shape (n_sites, 3)
    cartesian_rotations : ndarray, shape (n_operations, 3, 3)
    """

    lattice: NDArray[np.float64]
    fractional: NDArray[np.float64]
    cartesian_rotations: NDArray[np.float64]


def ideal_cell(
    lattice: NDArray[np.float64],
    fractional: NDArray[np.float64],
    rotations: NDArray[np.int64],
    site_map: NDArray[np.int64],
    site_shift: NDArray[np.int64],
    *,
    input_matrix: NDArray[np.int64],
    limit: float,
) -> IdealCell:
    """Average a primitive cell over its space group.

    Parameters
    ----------
    lattice : ndarray, shape (3, 3)              rows, Å
    fractional : ndarray, shape (n_sites, 3)
    rotations, site_map, site_shift : ndarray of int
        Space group as in `Crystal`.
    input_matrix : ndarray of int, shape (3, 3)
        Vectors of the cell that the user gave (rows) in the primitive basis.
    limit : float
        The axes are turned to x, y, z if no vector of that cell is then farther from the given one, Å.
    """
    averaged = _nearest_turned(_average_lattice(lattice, rotations), lattice, input_matrix)
    rotated = _cartesian_rotations(averaged, rotations)
    turn, turned = _turn_to_axes(rotated)
    if np.linalg.norm(input_matrix @ (averaged @ turn.T - lattice), axis=1).max() <= limit:
        averaged, rotated = averaged @ turn.T, turned
    separations = average_separations(fractional, rotations, site_map, site_shift)
    return IdealCell(averaged, fractional.mean(axis=0) - separations.mean(axis=1), rotated)


def _average_lattice(lattice: NDArray[np.float64], rotations: NDArray[np.int64]) -> NDArray[np.float64]:
    """Lattice whose metric is averaged over the group, by a symmetric strain; rows."""
    metric = lattice @ lattice.T
    averaged = np.einsum("gba,bc,gcd->ad", rotations, metric, rotations) / len(rotations)
    inverse = np.linalg.inv(lattice)
    values, vectors = np.linalg.eigh(inverse @ averaged @ inverse.T)
    return np.asarray(lattice @ (vectors * np.sqrt(values)) @ vectors.T)


def _nearest_turned(
    lattice: NDArray[np.float64], target: NDArray[np.float64], matrix: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Lattice turned so that the vectors of a cell, three rows of integers, come nearest to the target's."""
    left, _, right = np.linalg.svd((matrix @ lattice).T @ (matrix @ target))
    return np.asarray(lattice @ left @ right)


def average_separations(
    fractional: NDArray[np.float64],
    rotations: NDArray[np.int64],
    site_map: NDArray[np.int64],
    site_shift: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Fractional x_t - x_s of sites, averaged over the group; shape (n_sites, n_sites, 3) by s, t."""
    images = fractional[site_map] + site_shift
    back = np.einsum("gab,gsb->gsa", np.linalg.inv(rotations.astype(float)), images).mean(axis=0)
    return np.asarray(back[None] - back[:, None])


def _cartesian_rotations(lattice: NDArray[np.float64], rotations: NDArray[np.int64]) -> NDArray[np.float64]:
    """Rotations in Cartesian axes, orthogonal to rounding for a lattice of averaged metric."""
    return np.asarray(np.einsum("ba,gbc,cd->gad", lattice, rotations.astype(float), np.linalg.inv(lattice.T)))


def _turn_to_axes(rotated: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Small rotation E to axes along x, y, z, and E R E^T of all rotations R; R where there is none.

    With the elements of R rounded to R', the mean M of R' R^T carries one group to the other, R' M = M R, and
    so does its orthogonal factor E.
    """
    nearest = np.abs(np.abs(rotated)[..., None] - _ELEMENTS).argmin(axis=-1)
    rounded = np.copysign(_ELEMENTS[nearest], rotated) + 0.0
    if np.abs(rounded - rotated).max() > _NEAR_ELEMENT:
        return np.eye(3), rotated
    left, _, right = np.linalg.svd(np.einsum("gab,gcb->ac", rounded, rotated))
    turn = left @ right
    if np.abs(turn @ rotated @ turn.T - rounded).max() > _SAME_ROTATION:
        return np.eye(3), rotated
    return turn, rounded


def ideal_input(crystal: Crystal) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cell that the user gave, as the ideal crystal has it.

    Returns
    -------
    lattice : ndarray, shape (3, 3)              rows, Å
    positions : ndarray, shape (n_input, 3)      Å
    """
    lattice = crystal.input_matrix @ crystal.lattice
    given = crystal.input_positions @ np.linalg.solve(crystal.input_lattice, crystal.input_matrix)
    sites = crystal.positions @ np.linalg.inv(crystal.lattice)
    difference = given[:, None] - sites
    difference -= np.rint(difference)
    distance = np.linalg.norm(difference @ crystal.lattice, axis=-1)
    nearest = distance.argmin(axis=1)
    shifts = difference[np.arange(len(given)), nearest]
    turned = np.linalg.norm(crystal.input_lattice - lattice, axis=1)
    if max(turned.max(), distance.min(axis=1).max()) < ROUNDING_ANGSTROM:
        return crystal.input_lattice, crystal.input_positions
    return lattice, (given - shifts) @ crystal.lattice


def distance_from_given(crystal: Crystal) -> float:
    """Largest distance between the given cell and the ideal one, of cell vectors and of atoms in it, Å."""
    lattice, positions = ideal_input(crystal)
    given = crystal.input_positions @ np.linalg.solve(crystal.input_lattice, lattice)
    shifts = [crystal.input_lattice - lattice, given - positions]
    distance = float(max(np.linalg.norm(shift, axis=1).max() for shift in shifts))
    return distance if distance >= ROUNDING_ANGSTROM else 0.0
