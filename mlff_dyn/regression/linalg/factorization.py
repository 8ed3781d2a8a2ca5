"""Cholesky factors of precisions that rounding may have robbed of eigenvalues, and triangular products."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg.blas import dtrmm, strmm
from scipy.linalg.lapack import dpotrf

from mlff_dyn.errors import FitError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ROUNDING_SHIFTS = (0.0, 1e-14, 1e-13, 1e-12)


def precision_factor(
    precision: NDArray[np.float64], name: str, *, may_shift: bool = True
) -> NDArray[np.float64]:
    """Lower Cholesky factor.

    Where data without noise leave a direction open, rounding hides the prior; the diagonal is then raised by
    as little as makes the matrix positive definite.

    Parameters
    ----------
    precision : ndarray, shape (n, n)
        Read on and below the diagonal.
    name : str
        What it is the precision of, for the message.
    may_shift : bool
        Whether the diagonal may be raised.

    Raises
    ------
    FitError
        If it is not positive definite beyond rounding.
    """
    for shift in _ROUNDING_SHIFTS if may_shift else (0.0,):
        shifted = precision
        if shift:
            shifted = precision.copy()
            shifted[np.diag_indices_from(shifted)] *= 1.0 + shift
        factor, failed = dpotrf(shifted, lower=1, clean=1)
        if not failed:
            return np.asarray(factor)
    raise FitError(
        f"the {name} precision is not positive definite",
        fix="look for duplicate or non-finite snapshots in the data set",
    )


def times_upper(rows: NDArray[Any], upper: NDArray[Any]) -> NDArray[Any]:
    """Rows times an upper triangular matrix.

    Parameters
    ----------
    rows : ndarray, shape (n_rows, n)
    upper : ndarray, shape (n, n)
        Read on and above the diagonal.
    """
    if not rows.size:
        return rows
    multiply = strmm if rows.dtype == upper.dtype == np.float32 else dtrmm
    return np.asarray(multiply(1.0, upper.T, rows.T, lower=1).T)
