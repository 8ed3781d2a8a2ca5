"""Homogeneous strain: what a slot moves when the crystal is strained.

A strain e moves the atom at R relative to the home cell by e R besides its displacement. Where the terms of
the energy that hold at least one displacement are concerned, the acoustic sum rule makes the origin of R
irrelevant as long as all slots of a target share it. At order n the part of the energy that is linear in the
strain is of degree n - 1 in the displacements, so it follows from the strained forces by Euler's theorem:

    dE_n/de = 1 / (n - 1) sum_i u_i d(dE_n/du_i)/de

Order 1 has no such part; a residual stress of the undisplaced crystal is not contained in the expansion.
Strains are symmetric, their components in Voigt's order xx, yy, zz, yz, xz, xy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import check_shape

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.kernels.gather import GatherTables

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


def strain_weights(tables: GatherTables) -> NDArray[np.float64]:
    """Weight 1 / (n - 1) of every parameter of order n, zero for order 1; shape (n_parameters,)."""
    orders = tables.polynomial.parameter_orders
    return np.where(orders > 1, 1.0 / np.maximum(orders - 1, 1), 0.0)
