"""The evidence as a function of the noise variances and the prior, with derivatives; see `evidence`.

The grams of all groups lie packed in one array; an evaluation passes over it thrice: the weighted sum, the
products with the mean, and the traces.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg.lapack import dpotri, dpotrs

from mlff_dyn.regression.linalg.factorization import precision_factor
from mlff_dyn.regression.linalg.packed import (
    pack,
    packed_times,
    trace_weights,
    unpack_lower,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.regression.data.observations import Observations
    from mlff_dyn.regression.fit.priors import Prior


@dataclass(frozen=True, eq=False)
class Fit:
    """Posterior at given hyperparameters.

    Attributes
    ----------
    log_evidence : float
    mean : ndarray, shape (n_free + n_parameters,)
    factor : ndarray, shape (n_free + n_parameters, n_free + n_parameters)
        Lower Cholesky factor of the posterior precision.
    """

    log_evidence: float
    mean: NDArray[np.float64]
    factor: NDArray[np.float64]


class Objective:
    """Log evidence and its gradients as functions of the group variances and the prior values.

    Parameters
    ----------
    observations : Observations
    prior : Prior
    may_shift : bool
        Whether a precision that rounding has robbed of eigenvalues is mended, see `precision_factor`.
    """

    def __init__(self, observations: Observations, prior: Prior, *, may_shift: bool = True) -> None:
        parts = observations.statistics
        self._prior = prior
        self._may_shift = may_shift
        self._n_free = observations.n_free
        self._grams = observations.grams
        self._moments = np.array([part.moment for part in parts])
        self._target_sq = np.array([part.target_sq for part in parts])
        self._n_targets = np.array([part.n_targets for part in parts], float)
        self._trace_weights = trace_weights(self._moments.shape[1])

    def fit(self, variances: NDArray[np.float64], prior_values: NDArray[np.float64]) -> Fit:
        """Posterior at given variances of the groups and values of the prior.

        Raises
        ------
        FitError
            If a precision is not positive definite.
        """
        return self._fit(variances, prior_values)[0]

    def _fit(
        self, variances: NDArray[np.float64], prior_values: NDArray[np.float64]
    ) -> tuple[Fit, NDArray[np.float64], NDArray[np.float64], Any]:
        """Posterior, X^T X m and squared residuals of each group, and the prior precision."""
        weights = 1.0 / variances
        precision = self._prior.precision(prior_values)
        matrix = unpack_lower(weights @ self._grams, self._moments.shape[1])
        matrix[self._n_free :, self._n_free :] += precision.matrix.T
        factor = precision_factor(matrix, "posterior", may_shift=self._may_shift)
        mean = dpotrs(factor, weights @ self._moments, lower=1)[0]
        carried = np.array([packed_times(gram, mean) for gram in self._grams])
        residual_sq = self._target_sq - (2 * self._moments - carried) @ mean
        residual_sq = np.maximum(residual_sq, 0.0)
        own = mean[self._n_free :]
        log_evidence = -0.5 * (
            self._n_targets @ np.log(2 * np.pi * variances)
            + weights @ residual_sq
            + own @ precision.matrix @ own
            + 2 * np.log(np.diag(factor)).sum()
            - precision.log_determinant
        )
        return Fit(float(log_evidence), mean, factor), carried, residual_sq, precision

    def expand(
        self,
        variances: NDArray[np.float64],
        prior_values: NDArray[np.float64],
        by_noise: NDArray[np.float64],
    ) -> tuple[float, NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Log evidence, its derivatives by variances and prior values, and the average information.

        ``by_noise``, shape (n_noise, n_groups), holds derivatives of the variances by the noise values.
        """
        fit, fitted, residual_sq, precision = self._fit(variances, prior_values)
        half = dpotri(fit.factor, lower=1)[0]
        traces = self._grams @ (self._trace_weights * pack(half))
        covariance = half + half.T
        covariance[np.diag_indices_from(covariance)] *= 0.5
        by_variance = 0.5 * ((residual_sq + traces) / variances**2 - self._n_targets / variances)
        own = slice(self._n_free, None)
        pull, carried = self._prior.sensitivity(precision, fit.mean[own])
        push = (by_noise / variances**2) @ (self._moments - fitted)
        spread = covariance @ push.T
        noise_noise = (by_noise * (residual_sq / variances**3)) @ by_noise.T - push @ spread
        information = average_information(noise_noise, spread[own], pull, carried, covariance[own, own])
        by_prior = self._prior.gradient(precision, fit.mean[own], covariance[own, own])
        return fit.log_evidence, by_variance, by_prior, information


def average_information(
    noise_noise: NDArray[np.float64],
    spread: NDArray[np.float64],
    pull: NDArray[np.float64],
    carried: NDArray[np.float64],
    covariance: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Information of noise and prior together, see `evidence`.

    Parameters
    ----------
    noise_noise : ndarray, shape (n_noise, n_noise)         twice the block of the noise
    spread : ndarray, shape (n_parameters, n_noise)         S g
    pull, carried : ndarray, shape (n_parameters, n_prior)  b and the prior covariance times it
    covariance : ndarray, shape (n_parameters, n_parameters)
    """
    noise_prior = spread.T @ pull
    prior_prior = pull.T @ (carried - covariance @ pull)
    return np.asarray(0.5 * np.block([[noise_noise, noise_prior], [noise_prior.T, prior_prior]]))
