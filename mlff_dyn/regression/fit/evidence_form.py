"""What the forms of the evidence share: derivatives and information from a posterior, see `evidence`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg.lapack import dpotri

if TYPE_CHECKING:
    from numpy.typing import NDArray

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


@dataclass(frozen=True, eq=False)
class Solution(ABC):
    """A posterior and what it leaves of the data.

    Attributes
    ----------
    fit : Fit
    residual_sq : ndarray, shape (n_groups,)     squared residuals of each group
    precision                                    of the prior
    """

    fit: Fit
    residual_sq: NDArray[np.float64]
    precision: Any

    @abstractmethod
    def push(
        self, by_noise: NDArray[np.float64], covariance: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Traces of X S X^T of each group, S g, and g^T S g.

        ``by_noise``, shape (n_noise, n_groups), holds the factors of the groups in g.
        """


class EvidenceForm(ABC):
    """Log evidence and its gradients as functions of the group variances and the prior values.

    Parameters
    ----------
    prior : Prior
    n_free : int
        Parameters with a flat prior.
    n_targets : ndarray, shape (n_groups,)
        Rows of each group.
    """

    def __init__(self, prior: Prior, n_free: int, n_targets: NDArray[np.float64]) -> None:
        self._prior = prior
        self._n_free = n_free
        self.n_targets = n_targets

    @abstractmethod
    def solve(self, variances: NDArray[np.float64], prior_values: NDArray[np.float64]) -> Solution:
        """Posterior at given variances of the groups and values of the prior.

        Raises
        ------
        FitError
            If a precision is not positive definite.
        """

    def fit(self, variances: NDArray[np.float64], prior_values: NDArray[np.float64]) -> Fit:
        """Posterior without what it leaves of the data, see `solve`."""
        return self.solve(variances, prior_values).fit

    def expand(
        self,
        variances: NDArray[np.float64],
        prior_values: NDArray[np.float64],
        by_noise: NDArray[np.float64],
    ) -> tuple[float, NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Log evidence, its derivatives by variances and prior values, and the average information.

        ``by_noise``, shape (n_noise, n_groups), holds derivatives of the variances by the noise values.
        """
        solved = self.solve(variances, prior_values)
        half = dpotri(solved.fit.factor, lower=1)[0]
        covariance = half + half.T
        covariance[np.diag_indices_from(covariance)] *= 0.5
        traces, spread, overlap = solved.push(by_noise / variances**2, covariance)
        by_variance = 0.5 * ((solved.residual_sq + traces) / variances**2 - self.n_targets / variances)
        own = slice(self._n_free, None)
        mean, covariance = solved.fit.mean[own], covariance[own, own]
        pull, carried = self._prior.sensitivity(solved.precision, mean)
        noise_noise = (by_noise * (solved.residual_sq / variances**3)) @ by_noise.T - overlap
        noise_prior = spread[own].T @ pull
        prior_prior = pull.T @ (carried - covariance @ pull)
        information = 0.5 * np.block([[noise_noise, noise_prior], [noise_prior.T, prior_prior]])
        by_prior = self._prior.gradient(solved.precision, mean, covariance)
        return solved.fit.log_evidence, by_variance, by_prior, np.asarray(information)

    def _log_evidence(
        self,
        variances: NDArray[np.float64],
        residual_sq: NDArray[np.float64],
        prior_sq: float,
        pivots: NDArray[np.float64],
        log_determinant: float,
    ) -> float:
        """Log evidence of squared residuals, m^T L m, the pivots of the posterior's factor, and log det L."""
        return -0.5 * float(
            self.n_targets @ np.log(2 * np.pi * variances)
            + residual_sq @ (1.0 / variances)
            + prior_sq
            + 2 * np.log(pivots).sum()
            - log_determinant
        )
