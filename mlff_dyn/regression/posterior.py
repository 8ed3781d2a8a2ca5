"""The posterior of the parameters: mean, covariance, samples, predictive variance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import cho_solve, solve_triangular

from mlff_dyn.regression.evidence import Hyperparameters, log_evidence, maximize_evidence, posterior_factor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.regression.statistics import SufficientStatistics


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
    def noise_sd(self) -> float:
        """Noise sd, unit of the targets."""
        return self.hyperparameters.noise_sd

    def variance(self, design: NDArray[np.float64]) -> NDArray[np.float64]:
        """Epistemic variance diag(X S Xᵀ) of predictions, shape (n_rows,)."""
        projected = design @ self.covariance_factor
        return np.asarray(np.einsum("ij,ij->i", projected, projected))

    def sample(self, n_samples: int, generator: np.random.Generator) -> NDArray[np.float64]:
        """Draw parameters from the posterior, shape (n_samples, n_parameters)."""
        normal = generator.standard_normal((n_samples, len(self.mean)))
        return np.asarray(self.mean + normal @ self.covariance_factor.T)


def fit_posterior(
    statistics: SufficientStatistics,
    groups: NDArray[np.int64],
    hyperparameters: Hyperparameters | None = None,
    *,
    noise_hint: float,
) -> Posterior:
    """Posterior at the given hyperparameters, or at those of largest evidence.

    Parameters
    ----------
    statistics : SufficientStatistics
    groups : ndarray of int, shape (n_parameters,)
        Prior group of each parameter.
    hyperparameters : Hyperparameters, optional
    noise_hint : float
        See `maximize_evidence`.

    Raises
    ------
    FitError
        If there is nothing to fit.
    """
    chosen = hyperparameters or maximize_evidence(statistics, groups, noise_hint=noise_hint)
    noise_sq = chosen.noise_sd**2
    factor = posterior_factor(statistics.gram, noise_sq, chosen.prior_sd[groups] ** 2)
    inverse = solve_triangular(factor, np.eye(len(factor)), lower=True, check_finite=False)
    return Posterior(
        mean=cho_solve((factor, True), statistics.moment / noise_sq),
        covariance_factor=np.ascontiguousarray(inverse.T),
        hyperparameters=chosen,
        log_evidence=log_evidence(statistics, groups, chosen),
        n_targets=statistics.n_targets,
    )
