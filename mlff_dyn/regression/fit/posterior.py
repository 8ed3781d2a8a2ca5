"""The posterior of the parameters: mean, covariance, samples, predictive variance."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import solve_triangular

from mlff_dyn.regression.fit.evidence import Hyperparameters, fit_weighted, maximize_evidence
from mlff_dyn.regression.fit.hyperpriors import HYPERPRIORS, Hyperpriors
from mlff_dyn.regression.linalg.factorization import times_upper

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.regression.data.observations import Observations
    from mlff_dyn.regression.fit.evidence_form import Fit
    from mlff_dyn.regression.fit.noise import NoiseFamily, NoiseModel
    from mlff_dyn.regression.fit.priors import Prior


@dataclass(frozen=True, eq=False)
class FreeParameters:
    """Posterior of the parameters with a flat prior, given the others w: mean - coupling (w - its mean).

    Attributes
    ----------
    mean : ndarray, shape (n_free,)
    coupling : ndarray, shape (n_free, n_parameters)
    factor : ndarray, shape (n_free, n_free)
        G with covariance G Gᵀ where the others are known.
    """

    mean: NDArray[np.float64]
    coupling: NDArray[np.float64]
    factor: NDArray[np.float64]


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
    free : FreeParameters or None
        Parameters of which nothing was known beforehand, if there are any.

    Examples
    --------
    Two parameters, of which the data determine the first better.

    >>> import numpy as np
    >>> from mlff_dyn.regression.fit.noise import NoiseModel
    >>> known = Hyperparameters(NoiseModel(floor_sd=0.1), prior_values=np.zeros(1))
    >>> posterior = Posterior(np.array([2.0, -1.0]), np.diag([0.1, 0.3]), known, 0.0, n_targets=20)
    >>> rows = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> print(rows @ posterior.mean, posterior.variance(rows).round(3))
    [ 2. -1.  1.] [0.01 0.09 0.1 ]
    """

    mean: NDArray[np.float64]
    covariance_factor: NDArray[np.float64]
    hyperparameters: Hyperparameters
    log_evidence: float
    n_targets: int
    free: FreeParameters | None = None

    @property
    def noise(self) -> NoiseModel:
        """Noise of the targets as a function of amplitude."""
        return self.hyperparameters.noise

    @cached_property
    def parameter_sds(self) -> NDArray[np.float64]:
        """Standard deviation of each parameter, shape (n_parameters,)."""
        return np.asarray(np.linalg.norm(self.covariance_factor, axis=1))

    def variance(self, design: NDArray[np.float64]) -> NDArray[np.float64]:
        """Epistemic variance diag(X S Xᵀ) of predictions, shape (n_rows,)."""
        projected = self._times_factor(design)
        return np.asarray(np.einsum("ij,ij->i", projected, projected))

    def project(
        self, design: NDArray[np.float64], free_design: NDArray[np.float64] | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Predictions of rows, shape (n_rows,), and factor P of their covariance P Pᵀ.

        Parameters
        ----------
        design : ndarray, shape (n_rows, n_parameters)
        free_design : ndarray, shape (n_rows, n_free), optional
            Columns of the free parameters; without it, rows that do not contain them.
        """
        prediction = design @ self.mean
        if free_design is None or self.free is None:
            return prediction, self._times_factor(design)
        free = self.free
        own = self._times_factor(design)
        own -= free_design @ (free.coupling @ self.covariance_factor)
        return prediction + free_design @ free.mean, np.hstack([free_design @ free.factor, own])

    @cached_property
    def _is_triangular(self) -> bool:
        """Whether all below the diagonal of the factor vanishes, as that of a fit does."""
        return not np.tril(self.covariance_factor, -1).any()

    def _times_factor(self, design: NDArray[np.float64]) -> NDArray[np.float64]:
        if not self._is_triangular:
            return design @ self.covariance_factor
        return times_upper(design, self.covariance_factor)

    def after(self, design: NDArray[np.float64], variances: NDArray[np.float64]) -> Posterior:
        """Return the posterior if rows were measured and found as predicted.

        The mean stays; the covariance S becomes (S⁻¹ + Xᵀ V⁻¹ X)⁻¹, whatever the measurement will say.

        Parameters
        ----------
        design : ndarray, shape (n_rows, n_parameters)
        variances : ndarray, shape (n_rows,)
            Of the noise of the rows.
        """
        weighted = self._times_factor(design) / np.sqrt(variances)[:, None]
        precision = np.eye(weighted.shape[1]) + weighted.T @ weighted
        factor = solve_triangular(np.linalg.cholesky(precision), self.covariance_factor.T, lower=True).T
        if self._is_triangular:
            factor = np.triu(factor)
        return replace(self, covariance_factor=np.ascontiguousarray(factor))

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
    start: Hyperparameters | None = None,
    hyperpriors: Hyperpriors = HYPERPRIORS,
    tolerance: float = 3e-6,
) -> Posterior:
    """Posterior at the hyperparameters of largest evidence.

    Parameters
    ----------
    observations : Observations
    prior : Prior
    noise : NoiseFamily
    noise_hint, start, hyperpriors, tolerance
        See `maximize_evidence`.

    Raises
    ------
    FitError
        If there is nothing to fit.
    """
    hyperparameters = maximize_evidence(
        observations,
        prior,
        noise,
        noise_hint=noise_hint,
        start=start,
        hyperpriors=hyperpriors,
        tolerance=tolerance,
    )
    return posterior_at(observations, prior, hyperparameters)


def posterior_at(observations: Observations, prior: Prior, hyperparameters: Hyperparameters) -> Posterior:
    """Posterior at given hyperparameters.

    Raises
    ------
    FitError
        If a precision is not positive definite.
    """
    fit = fit_weighted(observations, prior, hyperparameters)
    n_free = observations.n_free
    own = fit.factor[n_free:, n_free:]
    inverse = solve_triangular(own, np.eye(len(own)), lower=True, check_finite=False)
    return Posterior(
        mean=fit.mean[n_free:],
        covariance_factor=np.ascontiguousarray(inverse.T),
        hyperparameters=hyperparameters,
        log_evidence=fit.log_evidence,
        n_targets=observations.n_targets,
        free=_free_parameters(fit, n_free) if n_free else None,
    )


def _free_parameters(fit: Fit, n_free: int) -> FreeParameters:
    """From the Cholesky factor L of the precision: covariance L₁₁⁻ᵀ L₁₁⁻¹, coupling L₁₁⁻ᵀ L₂₁ᵀ."""
    first = fit.factor[:n_free, :n_free]
    inverse = solve_triangular(first, np.eye(n_free), lower=True, check_finite=False)
    return FreeParameters(
        mean=fit.mean[:n_free],
        coupling=inverse.T @ fit.factor[n_free:, :n_free].T,
        factor=np.ascontiguousarray(inverse.T),
    )
