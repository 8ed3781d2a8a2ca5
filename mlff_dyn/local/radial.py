"""Radial functions of the local part, as polynomials below a smooth cutoff."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial import chebyshev

from mlff_dyn.kernels.local_tables import CUTOFF_POWER
from mlff_dyn.local.function_limits import FUNCTION_LIMITS, FunctionLimits

if TYPE_CHECKING:
    from numpy.typing import NDArray


def gaussians(cutoff: float, n_radial: int, limits: FunctionLimits = FUNCTION_LIMITS) -> NDArray[np.float64]:
    """Chebyshev coefficients of Gaussians exp(-(r - r_n)^2 / w^2), r_n evenly spaced from 0 to the cutoff.

    They fall off at the cutoff as (1 + cos(pi r / r_c)) / 2 and are matched, by least squares where atoms may
    be, by polynomials times the cutoff function of the kernels.

    Parameters
    ----------
    cutoff : float        Å
    n_radial : int
    limits : FunctionLimits

    Returns
    -------
    ndarray, shape (n_radial, n_polynomials)
    """
    x = np.cos(np.pi * (np.arange(limits.n_points) + 0.5) / limits.n_points)
    r = 0.5 * (x + 1.0) * cutoff
    x, r = x[r > limits.closest_angstrom], r[r > limits.closest_angstrom]
    fall = (1.0 - (r / cutoff) ** 2) ** CUTOFF_POWER
    centers = radial_centers(cutoff, n_radial)
    gaussian = np.exp(-(((r[:, None] - centers) / limits.width_angstrom) ** 2))
    wanted = gaussian * 0.5 * (1.0 + np.cos(np.pi * r / cutoff))[:, None]
    columns = chebyshev.chebvander(x, limits.n_polynomials - 1) * fall[:, None]
    return np.asarray(np.linalg.lstsq(columns, wanted, rcond=1e-12)[0].T)


def radial_centers(cutoff: float, n_radial: int) -> NDArray[np.float64]:
    """Distances r_n of the Gaussians, Å, shape (n_radial,)."""
    return np.linspace(0.0, cutoff, n_radial)
