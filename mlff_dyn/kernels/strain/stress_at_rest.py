"""Work of the stress that a part of the energy has at rest, which another part takes back.

A force constant of order 2 knows long waves, not strains: its energy at a strain is that of a crystal without
stress with the same sound. A part with stress s at rest has the sound of such a crystal once
V s : (e - e e / 2 + tr(e) e / 2) is taken from its energy; the second order moves no wave.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def second_order_strain(strain: NDArray[np.float64]) -> NDArray[np.float64]:
    """Strain whose product with the virial at rest is the work, shape (3, 3)."""
    return np.asarray(strain - 0.5 * strain @ strain + 0.5 * np.trace(strain) * strain)


def strained_virial(virial: NDArray[np.float64], strain: NDArray[np.float64]) -> NDArray[np.float64]:
    """Derivative of the work with respect to the strain, for virials of shape (3, 3) or (3, 3, n)."""
    turned = np.einsum("ac...,cb->ab...", virial, strain)
    product = np.einsum("ab...,ab->...", virial, strain)
    grown = 0.5 * (np.trace(strain) * virial + np.multiply.outer(np.eye(3), product))
    return np.asarray(virial - 0.5 * (turned + np.swapaxes(turned, 0, 1)) + grown)
