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

Columns in front of those of the prior belong to parameters of which nothing is known beforehand, such as the
unknown zero of energies: their prior is flat, and they are integrated out with the others.

Few rows determine no noise: with fewer rows than parameters the evidence is largest where the model passes
through every point. ``noise_hint`` then acts as n_parameters - n_targets further residuals of that size.

References
----------
MacKay, Neural Comput. 4, 415 (1992); Tipping, J. Mach. Learn. Res. 1, 211 (2001).
Average information: Gilmour, Thompson and Cullis, Biometrics 51, 1440 (1995).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import FitError
from mlff_dyn.regression.ascent import Point, climb, difference_quotients
from mlff_dyn.regression.kind_noise import variances_by_kind
from mlff_dyn.regression.noise import Conditions, RowKind
from mlff_dyn.regression.objective import Fit, Objective
from mlff_dyn.regression.packed import diagonal_places, packed_times

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.regression.noise import NoiseFamily, NoiseModel
    from mlff_dyn.regression.priors import Prior
    from mlff_dyn.regression.statistics import PackedStatistics, SufficientStatistics


_EARLY_END = 3.0


@dataclass(frozen=True, eq=False)
class Hyperparameters:
    """Noise and prior of a Gaussian linear model.

    Attributes
    ----------
    noise : NoiseModel
    prior_values : ndarray
        Values of the prior, see `StructuredPrior`.
    other_noise : dict
        Noise of other rows than forces, by `RowKind`.
    """

    noise: NoiseModel
    prior_values: NDArray[np.float64]
    other_noise: dict[int, NoiseModel] = field(default_factory=dict)

    def variances(self, conditions: Conditions) -> NDArray[np.float64]:
        """Noise variance under each of the conditions."""
        return variances_by_kind(self.noise, self.other_noise, conditions)


@dataclass(frozen=True, eq=False)
class Observations:
    """Data of a fit: statistics of groups of rows with the same noise.

    Attributes
    ----------
    statistics : tuple of SufficientStatistics or PackedStatistics
        Columns: free parameters, then those of the prior.
    amplitudes : ndarray, shape (n_groups,)
    ratios : ndarray, shape (n_groups,), optional        default: 1, see `Conditions`
    kinds : ndarray of int, shape (n_groups,), optional  default: forces
    n_free : int                                         parameters with a flat prior
    stack : ndarray, shape (n_groups, any), optional     packed grams of the groups, where they lie together
    """

    statistics: tuple[SufficientStatistics | PackedStatistics, ...]
    amplitudes: NDArray[np.float64]
    ratios: NDArray[np.float64] | None = None
    kinds: NDArray[np.int64] | None = None
    n_free: int = 0
    stack: NDArray[np.float64] | None = None

    @cached_property
    def grams(self) -> NDArray[np.float64]:
        """Packed grams of the groups, shape (n_groups, any)."""
        return np.array([part.packed for part in self.statistics]) if self.stack is None else self.stack

    @cached_property
    def conditions(self) -> Conditions:
        """What the noise of each group depends on."""
        n = len(self.amplitudes)
        return Conditions(
            np.asarray(self.amplitudes, float),
            np.ones(n) if self.ratios is None else self.ratios,
            np.zeros(n, np.int64) if self.kinds is None else self.kinds,
        )

    @property
    def n_targets(self) -> int:
        """Number of rows."""
        return sum(part.n_targets for part in self.statistics)

    @property
    def n_parameters(self) -> int:
        """Number of columns of the prior."""
        return self.statistics[0].n_parameters - self.n_free

    @cached_property
    def target_rms(self) -> float:
        """Root mean square of the forces."""
        parts = self._forces
        return float(np.sqrt(sum(p.target_sq for p in parts) / sum(p.n_targets for p in parts)))

    @property
    def column_power(self) -> NDArray[np.float64]:
        """Mean square of each column of the prior over the rows of the forces, shape (n_parameters,)."""
        parts = self._forces
        places = diagonal_places(parts[0].n_parameters)
        power = sum(p.packed[places] for p in parts) / sum(p.n_targets for p in parts)
        return np.asarray(power)[self.n_free :]

    def residual_sq(self, mean: NDArray[np.float64]) -> float:
        """Sum of the squared residuals of the forces at given parameters (with the free ones first)."""
        return float(
            sum(p.target_sq - mean @ (2 * p.moment - packed_times(p.packed, mean)) for p in self._forces)
        )

    @property
    def _forces(self) -> list[SufficientStatistics | PackedStatistics]:
        kinds = self.conditions.kinds
        return [part for part, kind in zip(self.statistics, kinds, strict=True) if kind == RowKind.FORCE]


def evaluate(observations: Observations, prior: Prior, hyperparameters: Hyperparameters) -> Fit:
    """Posterior and log evidence at given hyperparameters.

    Raises
    ------
    FitError
        If a precision is not positive definite.
    """
    objective = Objective(observations, prior)
    variances = hyperparameters.variances(observations.conditions)
    return objective.fit(variances, hyperparameters.prior_values)


def maximize_evidence(
    observations: Observations,
    prior: Prior,
    noise: NoiseFamily,
    *,
    noise_hint: float,
    start: Hyperparameters | None = None,
    max_iterations: int = 100,
    tolerance: float = 3e-6,
) -> Hyperparameters:
    """Noise and prior that make the data most probable.

    Parameters
    ----------
    observations : Observations
    prior : Prior
    noise : NoiseFamily
    noise_hint : float
        Residual assumed for every parameter that has no row of data, unit of the targets.
    start : Hyperparameters, optional
        Where the search begins, such as those of fewer data.
    max_iterations : int
    tolerance : float
        Change of the log evidence, relative to its size, at which the search ends; one that has a start ends
        a little earlier.

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
    objective = Objective(observations, prior, noise_hint=noise_hint, n_pseudo=n_pseudo)
    noise_start = noise.start(rms)
    prior_start = prior.start(observations.column_power, rms)
    n_noise = len(noise_start)
    bounds = np.array(noise.bounds(rms) + prior.bounds(prior_start))
    if start is not None:
        noise_start, prior_start = noise.values(start.noise, start.other_noise, rms), start.prior_values
    found = climb(
        lambda values: _penalized(objective, noise, observations, values[:n_noise], values[n_noise:]),
        np.concatenate([noise_start, prior_start]),
        bounds,
        max_iterations=max_iterations,
        tolerance=tolerance if start is None else _EARLY_END * tolerance,
        is_near=start is not None,
    )
    noise_values = found[:n_noise]
    return Hyperparameters(noise.model(noise_values), found[n_noise:], noise.other_models(noise_values))


def _penalized(
    objective: Objective,
    noise: NoiseFamily,
    observations: Observations,
    noise_values: NDArray[np.float64],
    prior_values: NDArray[np.float64],
) -> Point:
    """Log evidence plus the log prior of the noise, with derivatives by all values."""
    conditions, rms = observations.conditions, observations.target_rms
    by_noise = difference_quotients(lambda at: noise.variances(at, conditions), noise_values)
    pull = difference_quotients(lambda at: noise.log_prior(at, rms)[1], noise_values)
    value, by_variance, by_prior, information = objective.expand(
        noise.variances(noise_values, conditions), prior_values, by_noise
    )
    log_prior, by_log_prior = noise.log_prior(noise_values, rms)
    information[: len(pull), : len(pull)] -= pull
    gradient = noise.gradient(noise_values, conditions, by_variance) + by_log_prior
    return Point(value + log_prior, np.concatenate([gradient, by_prior]), information)
