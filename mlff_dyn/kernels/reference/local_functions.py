"""Radial functions and real spherical harmonics with their derivatives, in plain numpy."""

from __future__ import annotations

from math import factorial
from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial import chebyshev

from mlff_dyn.kernels.local_tables import CUTOFF_POWER

if TYPE_CHECKING:
    from numpy.typing import NDArray


def radial_functions(
    radial: NDArray[np.float64], cutoff: float, distances: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values and slopes of the radial functions; see `mlff_dyn.kernels.local_tables`.

    Parameters
    ----------
    radial : ndarray, shape (n_radial, n_polynomials)
    cutoff : float                                        Å
    distances : ndarray, shape (n,)                       Å

    Returns
    -------
    values, slopes : ndarray, shape (n, n_radial)         slopes in 1/Å
    """
    x = 2.0 * distances / cutoff - 1.0
    polynomials = chebyshev.chebval(x, radial.T).T
    slopes = chebyshev.chebval(x, chebyshev.chebder(radial.T)).T * (2.0 / cutoff)
    inside = np.maximum(1.0 - (distances / cutoff) ** 2, 0.0)[:, None]
    fall = inside ** (CUTOFF_POWER - 1)
    of_cutoff = -2.0 * CUTOFF_POWER * fall * distances[:, None] / cutoff**2
    return polynomials * fall * inside, slopes * fall * inside + polynomials * of_cutoff


def harmonics(directions: NDArray[np.float64], l_max: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Real spherical harmonics Y_lm, the sum of whose squares over m is 1, and their tangential gradients.

    Y_lm = N_lm Q_lm(z) Re or Im (x + iy)^m with Q_lm = d^m P_l / dz^m, m from -l (Im) to l (Re).

    Parameters
    ----------
    directions : ndarray, shape (n, 3)     unit vectors
    l_max : int

    Returns
    -------
    values : ndarray, shape (n, (l_max + 1)^2)           place l^2 + l + m
    gradients : ndarray, shape (n, (l_max + 1)^2, 3)
        Across the direction; divided by the distance, the derivative by the position of the neighbor.
    """
    x, y, z = directions.T
    legendre = _legendre_derivatives(z, l_max)
    powers = [np.ones_like(x, dtype=complex)]
    for _ in range(l_max):
        powers.append(powers[-1] * (x + 1j * y))
    values = np.zeros((len(x), (l_max + 1) ** 2))
    gradients = np.zeros((*values.shape, 3))
    for degree in range(l_max + 1):
        for m in range(degree + 1):
            norm = np.sqrt((2.0 if m else 1.0) * factorial(degree - m) / factorial(degree + m))
            q, slope = norm * legendre[degree, m], norm * legendre[degree, m + 1]
            by_x = m * powers[max(m - 1, 0)]
            together = (q * powers[m], q * by_x, 1j * q * by_x, slope * powers[m])
            for sign, part in ((1, np.real), (-1, np.imag)) if m else ((0, np.real),):
                place = degree * (degree + 1) + sign * m
                values[:, place] = part(together[0])
                gradients[:, place] = np.stack([part(each) for each in together[1:]], axis=1)
    along = np.einsum("pka,pa->pk", gradients, directions)
    return values, gradients - along[:, :, None] * directions[:, None]


def _legendre_derivatives(z: NDArray[np.float64], l_max: int) -> NDArray[np.float64]:
    """Derivatives m of the Legendre polynomials l, shape (l_max + 1, l_max + 2, n)."""
    q = np.zeros((l_max + 1, l_max + 2, len(z)))
    q[0, 0] = 1.0
    for degree in range(1, l_max + 1):
        q[degree, degree] = (2 * degree - 1) * q[degree - 1, degree - 1]
        for m in range(degree):
            before = q[degree - 2, m] if degree > 1 else 0.0
            q[degree, m] = ((2 * degree - 1) * z * q[degree - 1, m] - (degree + m - 1) * before) / (
                degree - m
            )
    return q
