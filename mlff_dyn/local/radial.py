"""Radial functions of the local part, as polynomials below a smooth cutoff."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial import chebyshev

from mlff_dyn.kernels.local_tables import CUTOFF_POWER

if TYPE_CHECKING:
    from numpy.typing import NDArray

_N_POLYNOMIALS = 16
_N_POINTS = 400
_CLOSEST_ANGSTROM = 0.6


def gaussians(cutoff: float, n_radial: int) -> NDArray[np.float64]:
    """Chebyshev coefficients of Gaussians exp(-(r - r_n)^2 / Å^2), r_n evenly spaced from 0 to the cutoff.

    They fall off at the cutoff as (1 + cos(pi r / r_c)) / 2 and are matched, by least squares beyond 0.6 Å,
    by polynomials times the cutoff function of the kernels.

    Parameters
    ----------
    cutoff : float        Å
    n_radial : int

    Returns
    -------
    ndarray, shape (n_radial, n_polynomials)
    """
    x = np.cos(np.pi * (np.arange(_N_POINTS) + 0.5) / _N_POINTS)
    r = 0.5 * (x + 1.0) * cutoff
    x, r = x[r > _CLOSEST_ANGSTROM], r[r > _CLOSEST_ANGSTROM]
    fall = (1.0 - (r / cutoff) ** 2) ** CUTOFF_POWER
    centers = np.linspace(0.0, cutoff, n_radial)
    wanted = np.exp(-((r[:, None] - centers) ** 2)) * 0.5 * (1.0 + np.cos(np.pi * r / cutoff))[:, None]
    columns = chebyshev.chebvander(x, _N_POLYNOMIALS - 1) * fall[:, None]
    return np.asarray(np.linalg.lstsq(columns, wanted, rcond=1e-12)[0].T)
