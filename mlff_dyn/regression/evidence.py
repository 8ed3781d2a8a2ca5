"""Evidence of a Gaussian linear model and the hyperparameters that maximize it.

The model is y = X w + noise with noise sd s and the prior w_j ~ N(0, t_g^2), one prior sd t_g per group g of
parameters. With A = X^T X / s^2 + T^-1, T = diag(t^2), and the posterior mean m = A^-1 X^T y / s^2,

    log N(y | 0, s^2 1 + X T X^T) = -1/2 [ n log(2 pi s^2) + |y - X m|^2 / s^2 + m^T T^-1 m
                                           + log det A + log det T ]

    d/d log t_g = sum_{j in g} (m_j^2 + S_jj) / t_g^2 - P_g,                 S = A^-1
    d/d log s   = |y - X m|^2 / s^2 + sum_g gamma_g - n,      gamma_g = P_g - sum_{j in g} S_jj / t_g^2

| symbol | variable |
|---|---|
| s, t_g | noise_sd, prior_sd |
| X^T X, X^T y, y^T y, n | statistics.gram, .moment, .target_sq, .n_targets |
| m, S | mean, covariance |
| gamma_g | effective number of parameters of a group |

Few rows determine no noise: with fewer rows than parameters the evidence is largest where the model passes
through every point. ``noise_hint`` then acts as n_parameters - n_targets further residuals of that size.

References
----------
MacKay, Neural Comput. 4, 415 (1992); Tipping, J. Mach. Learn. Res. 1, 211 (2001).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg import cho_solve, cholesky
from scipy.linalg.lapack import dpotri
from scipy.optimize import minimize

from mlff_dyn.errors import FitError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.regression.statistics import SufficientStatistics

_SMALLEST_NOISE = 1e-7
_LOG_RANGE = 14.0
_ROUNDING_SHIFTS = (0.0, 1e-14, 1e-13, 1e-12)


@dataclass(frozen=True, eq=False)
class Hyperparameters:
    """Noise and prior of a Gaussian linear model.

    Attributes
    ----------
    noise_sd : float                           unit of the targets
    prior_sd : ndarray, shape (n_groups,)      prior sd of the parameters of each group
    """

    noise_sd: float
    prior_sd: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Evaluation:
    log_evidence: float
    gradient: NDArray[np.float64]


def log_evidence(
    statistics: SufficientStatistics, groups: NDArray[np.int64], hyperparameters: Hyperparameters
) -> float:
    """Log marginal likelihood of the data.

    Parameters
    ----------
    statistics : SufficientStatistics
    groups : ndarray of int, shape (n_parameters,)
        Group of each parameter.
    hyperparameters : Hyperparameters

    Raises
    ------
    FitError
        If the posterior precision is not positive definite.
    """
    return _evaluate(statistics, groups, hyperparameters, pseudo_targets=0.0, noise_hint=1.0).log_evidence


def maximize_evidence(
    statistics: SufficientStatistics,
    groups: NDArray[np.int64],
    *,
    noise_hint: float,
    max_iterations: int = 200,
) -> Hyperparameters:
    """Noise and prior sd that make the data most probable.

    Parameters
    ----------
    statistics : SufficientStatistics
    groups : ndarray of int, shape (n_parameters,)
        Group of each parameter; groups are numbered from 0.
    noise_hint : float
        Residual assumed for every parameter that has no row of data, unit of the targets.
    max_iterations : int

    Raises
    ------
    FitError
        If there are no data, or all targets vanish.
    """
    if statistics.n_targets == 0 or statistics.target_sq <= 0.0:
        raise FitError(
            "there is nothing to fit: no data, or all forces are zero", fix="add displaced snapshots"
        )
    target_rms = float(np.sqrt(statistics.target_sq / statistics.n_targets))
    pseudo = float(max(0, statistics.n_parameters - statistics.n_targets))
    start: Any = np.log(
        np.concatenate([[0.05 * target_rms], _initial_prior_sd(statistics, groups, target_rms)])
    )
    bounds: Any = [(np.log(_SMALLEST_NOISE * target_rms), np.log(10 * target_rms))]
    bounds += [(value - _LOG_RANGE, value + _LOG_RANGE) for value in start[1:]]

    def objective(log_values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        values = np.exp(log_values)
        trial = Hyperparameters(float(values[0]), values[1:])
        found = _evaluate(statistics, groups, trial, pseudo_targets=pseudo, noise_hint=noise_hint)
        return -found.log_evidence, -found.gradient

    options: Any = {"maxiter": max_iterations, "ftol": 1e-11, "gtol": 1e-7 * statistics.n_targets}
    result: Any = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    values = np.exp(result.x)
    return Hyperparameters(float(values[0]), np.asarray(values[1:]))


def _initial_prior_sd(
    statistics: SufficientStatistics, groups: NDArray[np.int64], target_rms: float
) -> NDArray[np.float64]:
    """Prior sd with which each group alone would explain the size of the targets."""
    n_groups = int(groups.max()) + 1
    power = np.bincount(groups, weights=np.diag(statistics.gram), minlength=n_groups) / statistics.n_targets
    return np.asarray(target_rms / np.sqrt(np.maximum(power, 1e-12 * power.max())))


def _evaluate(
    statistics: SufficientStatistics,
    groups: NDArray[np.int64],
    hyperparameters: Hyperparameters,
    *,
    pseudo_targets: float,
    noise_hint: float,
) -> _Evaluation:
    noise_sq = hyperparameters.noise_sd**2
    prior_variance = hyperparameters.prior_sd[groups] ** 2
    factor = posterior_factor(statistics.gram, noise_sq, prior_variance)
    mean = cho_solve((factor, True), statistics.moment / noise_sq)
    covariance_diagonal = np.diag(dpotri(factor, lower=1)[0])
    rest = statistics.target_sq - 2 * mean @ statistics.moment + mean @ statistics.gram @ mean
    residual_sq = max(float(rest), 0.0) + pseudo_targets * noise_hint**2
    n = statistics.n_targets + pseudo_targets
    log_determinant = 2 * np.log(np.diag(factor)).sum() + np.log(prior_variance).sum()
    fit = residual_sq / noise_sq + (mean**2 / prior_variance).sum()
    value = -0.5 * (n * np.log(2 * np.pi * noise_sq) + fit + log_determinant)
    n_groups = len(hyperparameters.prior_sd)
    spread = np.bincount(groups, weights=(mean**2 + covariance_diagonal) / prior_variance, minlength=n_groups)
    sizes = np.bincount(groups, minlength=n_groups)
    effective = len(groups) - (covariance_diagonal / prior_variance).sum()
    gradient = np.concatenate([[residual_sq / noise_sq + effective - n], spread - sizes])
    return _Evaluation(float(value), gradient)


def posterior_factor(
    gram: NDArray[np.float64], noise_sq: float, prior_variance: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Lower Cholesky factor of the posterior precision XᵀX/s² + T⁻¹.

    Where data without noise leave a direction open, rounding of XᵀX/s² hides the prior; the diagonal is then
    raised by as little as makes the matrix positive definite.

    Raises
    ------
    FitError
        If it is not positive definite.
    """
    precision = gram / noise_sq
    diagonal = np.diag_indices_from(precision)
    precision[diagonal] += 1.0 / prior_variance
    unshifted = precision[diagonal]
    for shift in _ROUNDING_SHIFTS:
        precision[diagonal] = unshifted * (1.0 + shift)
        try:
            return np.asarray(cholesky(precision, lower=True, check_finite=False))
        except np.linalg.LinAlgError:
            continue
    raise FitError(
        "the posterior precision is not positive definite",
        fix="look for duplicate or non-finite snapshots in the data set",
    )
