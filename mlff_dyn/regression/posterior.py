"""The posterior of the parameters: mean, covariance, samples, predictive variance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import solve_triangular

from mlff_dyn.regression.evidence import (
    Hyperparameters,
    Observations,
    evaluate,
    maximize_evidence,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.regression.noise import NoiseFamily, NoiseModel
    from mlff_dyn.regression.priors import Prior


@dataclass(frozen=True, eq=False)
class Posterior:
    """Gaussian posterior of the parameters of a linear model.

    Attributes
    ----------
    mean : ndarray, shape (n_parameters,)
    covariance_factor : ndarray, shape (n_parameters, n_parameters)
        F with covariance F Fᵀ.
    hyperparameters : Hyperparameters
    log_evidence : float
    n_targets : int
        Rows of data that it rests on.
    """

    mean: NDArray[np.float64]
    covariance_factor: NDArray[np.float64]
    hyperparameters: Hyperparameters
    log_evidence: float
    n_targets: int

    @property
    def noise(self) -> NoiseModel:
        """Noise of the targets as a function of amplitude."""
        return self.hyperparameters.noise

    def variance(self, design: NDArray[np.float64]) -> NDArray[np.float64]:
        """Epistemic variance diag(X S Xᵀ) of predictions, shape (n_rows,)."""
        projected = design @ self.covariance_factor
        return np.asarray(np.einsum("ij,ij->i", projected, projected))

    def sample(self, n_samples: int, generator: np.random.Generator) -> NDArray[np.float64]:
        """Draw parameters from the posterior, shape (n_samples, n_parameters)."""
        normal = generator.standard_normal((n_samples, len(self.mean)))
        return np.asarray(self.mean + normal @ self.covariance_factor.T)


def fit_posterior(
    observations: Observations,
    prior: Prior,
    noise: NoiseFamily,
    *,
    noise_hint: float,
    tolerance: float = 3e-6,
) -> Posterior:
    """Posterior at the hyperparameters of largest evidence.

    Parameters
    ----------
    observations : Observations
    prior : Prior
    noise : NoiseFamily
    noise_hint, tolerance : float
        See `maximize_evidence`.

    Raises
    ------
    FitError
        If there is nothing to fit.
    """
    hyperparameters = maximize_evidence(
        observations, prior, noise, noise_hint=noise_hint, tolerance=tolerance
    )
    return posterior_at(observations, prior, hyperparameters)


def posterior_at(observations: Observations, prior: Prior, hyperparameters: Hyperparameters) -> Posterior:
    """Posterior at given hyperparameters.

    Raises
    ------
    FitError
        If a precision is not positive definite.
    """
    fit = evaluate(observations, prior, hyperparameters)
    inverse = solve_triangular(fit.factor, np.eye(len(fit.factor)), lower=True, check_finite=False)
    return Posterior(
        mean=fit.mean,
        covariance_factor=np.ascontiguousarray(inverse.T),
        hyperparameters=hyperparameters,
        log_evidence=fit.log_evidence,
        n_targets=observations.n_targets,
    )
