"""Coefficients of the radial functions of the local part, in the order of cpp/tables.hpp."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial import chebyshev

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.kernels.local_tables import LocalTables


def radial_coefficients(tables: LocalTables) -> NDArray[np.float64]:
    """Of the polynomial factors and of their derivatives by the distance, both in Chebyshev polynomials.

    Parameters
    ----------
    tables : LocalTables

    Returns
    -------
    ndarray, shape (n_polynomials, n_radial, 2)
    """
    values = tables.radial.T
    slopes = np.zeros_like(values)
    slopes[:-1] = chebyshev.chebder(values)[: len(values) - 1] * (2.0 / tables.cutoff)
    return np.ascontiguousarray(np.stack([values, slopes], axis=-1))
