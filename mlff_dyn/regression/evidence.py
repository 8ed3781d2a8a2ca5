"""Evidence of a Gaussian linear model and the hyperparameters that maximize it.

The model is y = X w + noise with the noise variance v_k in frame k and a Gaussian prior of precision L. With
A = sum_k X_k^T X_k / v_k + L and the posterior mean m = A^-1 sum_k X_k^T y_k / v_k,

    log evidence = -1/2 [ sum_k (n_k log 2 pi v_k + |y_k - X_k m|^2 / v_k) + m^T L m + log det A - log det L ]

    d/d v_k = 1/2 [ (|y_k - X_k m|^2 + tr X_k S X_k^T) / v_k^2 - n_k / v_k ],     S = A^-1

and the derivatives by the hyperparameters of noise and prior follow by the chain rule. The search uses the
average information, the mean of observed and expected curvature, which needs no product of matrices: half of

    noise i, noise j     sum_k v_ik v_jk |y_k - X_k m|^2 / v_k^3 - g_i^T S g_j
    noise i, prior j     g_i^T S b_j
    prior i, prior j     b_i^T (L^-1 - S) b_j

with the derivatives v_ik of v_k, g_i = sum_k v_ik X_k^T (y_k - X_k m) / v_k^2 and b_j = -(d_j L) m.

| symbol | variable |
|---|---|
| X_k^T X_k, X_k^T y_k, y_k^T y_k, n_k | statistics: gram, moment, target_sq, n_targets |
| v_k, a_k | variances, amplitudes |
| m, S | mean, covariance |
| v_ik, g, b, L^-1 b | by_noise, push, pull, carried |

Few rows determine no noise: with fewer rows than parameters the evidence is largest where the model passes
through every point. ``noise_hint`` then acts as n_parameters - n_targets further residuals of that size.

References
----------
MacKay, Neural Comput. 4, 415 (1992); Tipping, J. Mach. Learn. Res. 1, 211 (2001).
Average information: Gilmour, Thompson and Cullis, Biometrics 51, 1440 (1995).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg import cho_solve
from scipy.linalg.lapack import dpotri

from mlff_dyn.errors import FitError
from mlff_dyn.regression.ascent import Point, climb, difference_quotients
from mlff_dyn.regression.factorization import precision_factor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mlff_dyn.regression.noise import NoiseFamily, NoiseModel
    from mlff_dyn.regression.priors import Prior
    from mlff_dyn.regression.statistics import SufficientStatistics

_BIN_WIDTH = 0.02


@dataclass(frozen=True, eq=False)
class Hyperparameters:
    """Noise and prior of a Gaussian linear model.

    Attributes
    ----------
    noise : NoiseModel
    prior_values : ndarray
        Values of the prior, see `StructuredPrior`.
    """

    noise: NoiseModel
    prior_values: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Observations:
    """Data of a fit: statistics of frames, or of groups of frames with the same amplitude.

    Attributes
    ----------
    statistics : tuple of SufficientStatistics
    amplitudes : ndarray, shape (n_frames,)
    """

    statistics: tuple[SufficientStatistics, ...]
    amplitudes: NDArray[np.float64]

    @property
    def n_targets(self) -> int:
        """Number of rows."""
        return sum(part.n_targets for part in self.statistics)

    @property
    def n_parameters(self) -> int:
        """Number of columns."""
        return self.statistics[0].n_parameters

    @property
    def target_rms(self) -> float:
        """Root mean square of the targets."""
        return float(np.sqrt(sum(part.target_sq for part in self.statistics) / self.n_targets))

    @property
    def column_power(self) -> NDArray[np.float64]:
        """Mean square of each column, shape (n_parameters,)."""
        return np.asarray(sum(np.diag(part.gram) for part in self.statistics) / self.n_targets)


@dataclass(frozen=True, eq=False)
class Fit:
    """Posterior at given hyperparameters.

    Attributes
    ----------
    log_evidence : float
    mean : ndarray, shape (n_parameters,)
    factor : ndarray, shape (n_parameters, n_parameters)     lower Cholesky factor of the posterior precision
    """

    log_evidence: float
    mean: NDArray[np.float64]
    factor: NDArray[np.float64]


def bin_by_amplitude(
    statistics: Sequence[SufficientStatistics], amplitudes: NDArray[np.float64]
) -> Observations:
    """Add up the statistics of frames whose amplitudes differ by less than two percent."""
    if not len(statistics):
        return Observations((), np.zeros(0))
    bins = np.rint(np.log(np.maximum(amplitudes, 1e-12)) / _BIN_WIDTH).astype(int)
    merged, centers = [], []
    for label in np.unique(bins):
        members = np.flatnonzero(bins == label)
        total = statistics[members[0]]
        for k in members[1:]:
            total = total + statistics[k]
        merged.append(total)
        centers.append(float(np.exp(np.log(amplitudes[members]).mean())))
    return Observations(tuple(merged), np.array(centers))


def evaluate(observations: Observations, prior: Prior, hyperparameters: Hyperparameters) -> Fit:
    """Posterior and log evidence at given hyperparameters.

    Raises
    ------
    FitError
        If a precision is not positive definite.
    """
    objective = _Objective(observations, prior, noise_hint=1.0, n_pseudo=0.0)
    variances = hyperparameters.noise.variance(observations.amplitudes)
    return objective.fit(variances, hyperparameters.prior_values)[0]


def maximize_evidence(
    observations: Observations,
    prior: Prior,
    noise: NoiseFamily,
    *,
    noise_hint: float,
    max_iterations: int = 100,
    tolerance: float = 3e-6,
    start: NDArray[np.float64] | None = None,
) -> Hyperparameters:
    """Noise and prior that make the data most probable.

    Parameters
    ----------
    observations : Observations
    prior : Prior
    noise : NoiseFamily
    noise_hint : float
        Residual assumed for every parameter that has no row of data, unit of the targets.
    max_iterations : int
    tolerance : float
        Change of the log evidence, relative to its size, at which the search ends.
    start : ndarray, optional
        Values of noise and prior to start from; default: a guess.

    Raises
    ------
    FitError
        If there are no data, or all targets vanish.
    """
    if observations.n_targets == 0 or observations.target_rms <= 0.0:
        raise FitError(
            "there is nothing to fit: no data, or all forces are zero", fix="add displaced snapshots"
        )
    rms = observations.target_rms
    n_pseudo = float(max(0, observations.n_parameters - observations.n_targets))
    objective = _Objective(observations, prior, noise_hint=noise_hint, n_pseudo=n_pseudo)
    noise_start = noise.start(rms)
    prior_start = prior.start(observations.column_power, rms)
    n_noise = len(noise_start)

    def variances(noise_values: NDArray[np.float64]) -> NDArray[np.float64]:
        return noise.model(noise_values).variance(observations.amplitudes)

    def posterior(values: NDArray[np.float64]) -> Point:
        noise_values, prior_values = values[:n_noise], values[n_noise:]
        value, by_variance, by_prior, information = objective.expand(
            variances(noise_values), prior_values, difference_quotients(variances, noise_values)
        )
        log_prior, by_log_prior = noise.log_prior(noise_values, rms)
        by_noise = noise.gradient(noise_values, observations.amplitudes, by_variance) + by_log_prior
        information[:n_noise, :n_noise] -= difference_quotients(
            lambda at: noise.log_prior(at, rms)[1], noise_values
        )
        return Point(value + log_prior, np.concatenate([by_noise, by_prior]), information)

    found = climb(
        posterior,
        np.concatenate([noise_start, prior_start]) if start is None else start,
        np.array(noise.bounds(rms) + prior.bounds(prior_start)),
        max_iterations=max_iterations,
        tolerance=tolerance,
    )
    return Hyperparameters(noise.model(found[:n_noise]), found[n_noise:])


class _Objective:
    """Log evidence and its gradients as functions of the frame variances and the prior values."""

    def __init__(
        self, observations: Observations, prior: Prior, *, noise_hint: float, n_pseudo: float
    ) -> None:
        parts = observations.statistics
        self._prior = prior
        self._grams = np.array([part.gram for part in parts])
        self._moments = np.array([part.moment for part in parts])
        self._target_sq = np.array([part.target_sq for part in parts])
        share = np.array([part.n_targets for part in parts], float) / observations.n_targets
        self._n_targets = share * (observations.n_targets + n_pseudo)
        self._pseudo_sq = share * n_pseudo * noise_hint**2

    def fit(
        self, variances: NDArray[np.float64], prior_values: NDArray[np.float64]
    ) -> tuple[Fit, NDArray[np.float64], Any]:
        """Posterior, squared residuals of each frame, and the prior precision."""
        weights = 1.0 / variances
        precision = self._prior.precision(prior_values)
        factor = precision_factor(np.tensordot(weights, self._grams, 1) + precision.matrix, "posterior")
        mean = cho_solve((factor, True), weights @ self._moments, check_finite=False)
        quadratic = (self._grams @ mean) @ mean
        residual_sq = (
            np.maximum(self._target_sq - 2 * self._moments @ mean + quadratic, 0.0) + self._pseudo_sq
        )
        log_evidence = -0.5 * (
            self._n_targets @ np.log(2 * np.pi * variances)
            + weights @ residual_sq
            + mean @ precision.matrix @ mean
            + 2 * np.log(np.diag(factor)).sum()
            - precision.log_determinant
        )
        return Fit(float(log_evidence), mean, factor), residual_sq, precision

    def expand(
        self,
        variances: NDArray[np.float64],
        prior_values: NDArray[np.float64],
        by_noise: NDArray[np.float64],
    ) -> tuple[float, NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Log evidence, its derivatives by variances and prior values, and the average information.

        ``by_noise``, shape (n_noise, n_frames), holds derivatives of the variances by the noise values.
        """
        fit, residual_sq, precision = self.fit(variances, prior_values)
        lower = np.tril(dpotri(fit.factor, lower=1)[0])
        covariance = lower + np.tril(lower, -1).T
        traces = self._grams.reshape(len(variances), -1) @ covariance.ravel()
        by_variance = 0.5 * ((residual_sq + traces) / variances**2 - self._n_targets / variances)
        pull, carried = self._prior.sensitivity(precision, fit.mean)
        push = (by_noise / variances**2) @ (self._moments - self._grams @ fit.mean)
        spread = covariance @ push.T
        noise_noise = (by_noise * (residual_sq / variances**3)) @ by_noise.T - push @ spread
        noise_prior = spread.T @ pull
        prior_prior = pull.T @ (carried - covariance @ pull)
        information = 0.5 * np.block([[noise_noise, noise_prior], [noise_prior.T, prior_prior]])
        by_prior = self._prior.gradient(precision, fit.mean, covariance)
        return fit.log_evidence, by_variance, by_prior, information
