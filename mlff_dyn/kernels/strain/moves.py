"""Homogeneous strain: what a slot moves when the crystal is strained.

A strain e moves the atom at R relative to the home cell by e R besides its displacement. In the force on an
atom, by the acoustic sum rule, the origin of R is irrelevant as long as all slots of the target share it. The
energy is that of the strained crystal at rest (`mlff_dyn.kernels.strain.energy`) and the work of displacing
its atoms against the forces, along the straight path:

    E(u, e) = n_cells W(e) + int_0^1 dx sum_i u_i g_i(x u, e),    g_i = dE/du_i

    dE/de = n_cells dW/de + int_0^1 dx sum_i u_i dg_i/de (x u, e)

which Gauss points integrate exactly. Without strain order n contributes to dE/de a polynomial of degree
n - 1, whose integral is the value at its end over n - 1. A residual stress of the undisplaced crystal is not
contained in the expansion. Strains are symmetric, their components in Voigt's order xx, yy, zz, yz, xz, xy.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import check_shape

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mlff_dyn.kernels.gather import GatherTables
    from mlff_dyn.kernels.placement import Placement

VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


def slot_positions(
    tables: GatherTables, lattice: NDArray[np.float64], site_positions: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Where the slots are when the home cell is at the origin.

    Parameters
    ----------
    tables : GatherTables
    lattice : ndarray, shape (3, 3), Å
        Primitive vectors as rows.
    site_positions : ndarray, shape (n_sites, 3), Å

    Returns
    -------
    ndarray, shape (n_slots, 3), Å
    """
    check_shape("lattice", lattice, (3, 3))
    check_shape("site_positions", site_positions, (tables.polynomial.n_sites, 3))
    positions: NDArray[np.float64] = site_positions[tables.slots[:, 0]] + tables.slots[:, 1:] @ lattice
    return positions


def strain_displacements(positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Displacement of each slot per unit of each strain component.

    Parameters
    ----------
    positions : ndarray, shape (n_slots, 3), Å

    Returns
    -------
    ndarray, shape (6, n_slots, 3), Å
        Off-diagonal components are those of the symmetric tensor: e_yz moves y by R_z / 2 and z by R_y / 2.
    """
    moves = np.zeros((6, len(positions), 3))
    for component, (a, b) in enumerate(VOIGT):
        moves[component, :, a] += 0.5 * positions[:, b]
        moves[component, :, b] += 0.5 * positions[:, a]
    return moves


def unit_strains() -> NDArray[np.float64]:
    """Strains of unit strength along each component; shape (6, 3, 3).

    An energy changes by its derivative with respect to a component of the symmetric tensor, so the
    off-diagonal ones have two entries of 1/2.
    """
    units = np.zeros((6, 3, 3))
    for component, (a, b) in enumerate(VOIGT):
        units[component, a, b] += 0.5
        units[component, b, a] += 0.5
    return units


def strain_components(strain: NDArray[np.float64]) -> NDArray[np.float64]:
    """Strengths, shape (6,), of the unit strains whose sum is a symmetric strain, shape (3, 3)."""
    return np.array([strain[a, b] if a == b else 2.0 * strain[a, b] for a, b in VOIGT])


def integrate_slopes(
    place: Placement,
    slopes: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    displacements: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Derivative of the work of displacing with respect to strain.

    Parameters
    ----------
    place : Placement
    slopes : callable
        Displacements u to the rows of sum_i u_i dg_i/de at u, shape (6, n_parameters).
    displacements : ndarray, shape (n_atoms, 3), Å

    Returns
    -------
    ndarray, shape (6, n_parameters)
    """
    orders = place.tables.polynomial.parameter_orders
    if not place.is_strained:
        return slopes(displacements) * np.where(orders > 1, 1.0 / np.maximum(orders - 1, 1), 0.0)
    degree = int(orders.max(initial=2)) - 2
    return gauss_sum(lambda x: slopes(x * displacements) / x, degree)


def gauss_sum(function: Callable[[float], NDArray[np.float64]], degree: int) -> NDArray[np.float64]:
    """Integral from 0 to 1 of a polynomial of this degree."""
    points, weights = np.polynomial.legendre.leggauss(max(1, ceil((degree + 1) / 2)))
    parts = [
        0.5 * weight * function(0.5 * (1.0 + point)) for point, weight in zip(points, weights, strict=True)
    ]
    return np.asarray(np.sum(parts, axis=0))
