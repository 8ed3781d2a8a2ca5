"""Left-out configurations in closed form: are the error bars right where the model was not trained?

With the posterior covariance S, the noise variance v_k, the rows X_k of configuration k and its residuals
e_k, put H_k = X_k S X_k^T / v_k. The prediction of configuration k by a fit to all others has

    e_k' = (1 - H_k)^-1 e_k                       error
    h_k' = diag[(1 - H_k)^-1 H_k]                 epistemic variance / v_k

exactly, with the hyperparameters held fixed. H_k is P P^T with P = X_k F / v_k^(1/2), S = F F^T; where there
are fewer parameters than rows, the smaller matrix P^T P gives the same:

    (1 - H_k)^-1 = 1 + P (1 - P^T P)^-1 P^T

The score z^2 = e'^2 / (v_k (1 + h')) averages to one where the model of noise and prior is right, whatever
the number of data; the scale c^2 = (1 + 1 / K) median of z^2 over configurations corrects all error bars
where it is not. The factor 1 + 1 / K pays for hyperparameters that the K configurations determined; the
median is not moved by one configuration unlike all others.

| symbol | variable |
|---|---|
| X_k, e_k, v_k | design, residuals, noise_variance |
| P | projected |
| e', h' | errors, leverages |
| c | scale |

References
----------
Leave-one-out of linear smoothers: Allen, Technometrics 16, 125 (1974), for blocks of rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import cholesky, solve_triangular

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mlff_dyn.regression.posterior import Posterior

_SMALLEST_GAP = 1e-8
_SMALLEST_PIVOT = 1e-7
_SMALLEST_SCALE = 0.5


@dataclass(frozen=True, eq=False)
class LeftOut:
    """Predictions of a configuration by a fit to all others.

    Attributes
    ----------
    errors : ndarray, shape (n_rows,)         prediction minus target, up to sign; unit of the targets
    leverages : ndarray, shape (n_rows,)      epistemic variance over noise variance
    noise_variance : float
    """

    errors: NDArray[np.float64]
    leverages: NDArray[np.float64]
    noise_variance: float

    @property
    def mean_square_score(self) -> float:
        """Mean of error squared over predictive variance."""
        return float(np.mean(self.errors**2 / (self.noise_variance * (1.0 + self.leverages))))


def leave_out(
    posterior: Posterior, design: NDArray[np.float64], targets: NDArray[np.float64], noise_variance: float
) -> LeftOut:
    """Predict one configuration of the data from all the others, without a refit.

    Parameters
    ----------
    posterior : Posterior
        Of all data, this configuration included.
    design : ndarray, shape (n_rows, n_parameters)
    targets : ndarray, shape (n_rows,)
    noise_variance : float
        Of this configuration.
    """
    projected = design @ (posterior.covariance_factor / np.sqrt(noise_variance))
    residuals = targets - design @ posterior.mean
    is_wide = projected.shape[0] <= projected.shape[1]
    gram = projected @ projected.T if is_wide else projected.T @ projected
    try:
        factor = cholesky(np.eye(len(gram)) - gram, lower=True, check_finite=False)
    except np.linalg.LinAlgError:
        return _leave_out_near_interpolation(projected, residuals, noise_variance)
    if np.diag(factor).min() ** 2 < _SMALLEST_PIVOT:
        return _leave_out_near_interpolation(projected, residuals, noise_variance)
    if is_wide:
        half = solve_triangular(factor, np.eye(len(factor)), lower=True, check_finite=False)
        errors, leverages = half.T @ (half @ residuals), np.einsum("ij,ij->j", half, half) - 1.0
    else:
        half = solve_triangular(factor, projected.T, lower=True, check_finite=False)
        errors, leverages = residuals + half.T @ (half @ residuals), np.einsum("ij,ij->j", half, half)
    return LeftOut(errors, np.maximum(leverages, 0.0), noise_variance)


def _leave_out_near_interpolation(
    projected: NDArray[np.float64], residuals: NDArray[np.float64], noise_variance: float
) -> LeftOut:
    """By eigenvalues, those of 1 - H that rounding makes too small being raised."""
    values, vectors = np.linalg.eigh(projected @ projected.T)
    gap = np.maximum(1.0 - values, _SMALLEST_GAP)
    return LeftOut(
        errors=vectors @ ((vectors.T @ residuals) / gap),
        leverages=(vectors**2) @ (np.maximum(values, 0.0) / gap),
        noise_variance=noise_variance,
    )


def calibration_scale(left_out: Sequence[LeftOut]) -> float:
    """Factor c that turns standard deviations into the size of the errors found.

    Parameters
    ----------
    left_out : sequence of LeftOut
        All configurations of the data; a single one, which nothing predicts, leaves the scale at 1. Error
        bars are never narrowed to less than half.
    """
    n = len(left_out)
    if n < 2:
        return 1.0
    typical = float(np.median([part.mean_square_score for part in left_out]))
    return max(_SMALLEST_SCALE, float(np.sqrt((1.0 + 1.0 / n) * typical)))
