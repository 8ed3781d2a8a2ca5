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

It is evaluated from sums of products of the rows, or from triangles of the rows, see `objective_choice`.

Few rows determine no noise: with fewer rows than parameters the evidence can be largest where the model
passes through every point. A noise of the forces below the smallest that is expected, h, then costs what k
further residuals of that size would make it cost, k = n_parameters - n_targets but at most 10,

    -k/2 [log(v / h^2) + h^2 / v - 1]     where v < h^2

References
----------
MacKay, Neural Comput. 4, 415 (1992); Tipping, J. Mach. Learn. Res. 1, 211 (2001).
Average information: Gilmour, Thompson and Cullis, Biometrics 51, 1440 (1995).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import FitError
from mlff_dyn.regression.ascent import Point, climb, difference_quotients
from mlff_dyn.regression.kind_noise import variances_by_kind
from mlff_dyn.regression.noise import (
    SMALLEST_RELATIVE,
    SMALLEST_RELATIVE_OF_ROWS,
    Conditions,
    RowKind,
)
from mlff_dyn.regression.objective_choice import objective_of
from mlff_dyn.regression.packed import diagonal_places, packed_times

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from mlff_dyn.regression.noise import NoiseFamily, NoiseModel
    from mlff_dyn.regression.objective import Fit
    from mlff_dyn.regression.objective_choice import EvidenceObjective
    from mlff_dyn.regression.priors import Prior
    from mlff_dyn.regression.square_root import RootStatistics
    from mlff_dyn.regression.statistics import PackedStatistics, SufficientStatistics

_MOST_HELD = 10


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

    def weight_variances(
        self, conditions: Conditions, counts: NDArray[np.int64] | NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Variance of groups of rows in a fit, see `NoiseModel.weight_variance`."""
        variances = self.variances(conditions)
        here = conditions.kinds == RowKind.FORCE
        if self.noise.neighborhood_exponent > 0.0 and here.any():
            own = conditions.take(here)
            variances[here] = self.noise.weight_variance(own.amplitudes, own.ratios, counts[here])
        return variances


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
    rows : callable, optional
        Square-root form of each group, made from the rows; asked for once where sums lose too many digits.
    rounding_sq : ndarray, shape (n_groups,), optional
        Square sums of what the targets were before something was taken off; default: those of the targets
    """

    statistics: tuple[SufficientStatistics | PackedStatistics, ...]
    amplitudes: NDArray[np.float64]
    ratios: NDArray[np.float64] | None = None
    kinds: NDArray[np.int64] | None = None
    n_free: int = 0
    stack: NDArray[np.float64] | None = None
    rows: Callable[[], Sequence[RootStatistics]] | None = None
    rounding_sq: NDArray[np.float64] | None = None

    @cached_property
    def grams(self) -> NDArray[np.float64]:
        """Packed grams of the groups, shape (n_groups, any)."""
        return np.array([part.packed for part in self.statistics]) if self.stack is None else self.stack

    @cached_property
    def roots(self) -> tuple[RootStatistics, ...]:
        """Square-root form of each group; none where the rows are not at hand."""
        return () if self.rows is None else tuple(self.rows())

    @cached_property
    def signal_sq(self) -> NDArray[np.float64]:
        """Square sum of each group that rounding is relative to, shape (n_groups,)."""
        if self.rounding_sq is not None:
            return self.rounding_sq
        return np.array([part.target_sq for part in self.statistics])

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
    objective = objective_of(observations, prior)
    variances = hyperparameters.variances(observations.conditions)
    return objective.fit(variances, hyperparameters.prior_values)


def fit_weighted(observations: Observations, prior: Prior, hyperparameters: Hyperparameters) -> Fit:
    """Posterior with the weights of a fit, and the log evidence of the noise itself.

    Raises
    ------
    FitError
        If a precision is not positive definite.
    """
    own = evaluate(observations, prior, hyperparameters)
    counts = np.array([part.n_targets for part in observations.statistics], float)
    conditions = observations.conditions
    weighted = hyperparameters.weight_variances(conditions, counts)
    if np.array_equal(weighted, hyperparameters.variances(conditions)):
        return own
    fit = objective_of(observations, prior).fit(weighted, hyperparameters.prior_values)
    return replace(fit, log_evidence=own.log_evidence)


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
        Smallest noise of the forces that is expected where rows are fewer than parameters.
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
    objective, hold = objective_of(observations, prior), _Hold(observations, noise_hint)
    noise_start = noise.start(rms)
    prior_start = prior.start(observations.column_power, rms)
    n_noise = len(noise_start)
    smallest = SMALLEST_RELATIVE if observations.rows is None else SMALLEST_RELATIVE_OF_ROWS
    bounds = np.array(noise.bounds(rms, smallest) + prior.bounds(prior_start))
    if start is not None:
        noise_start, prior_start = noise.values(start.noise, start.other_noise, rms), start.prior_values
    found = climb(
        lambda values: _penalized(objective, hold, noise, values[:n_noise], values[n_noise:]),
        np.concatenate([noise_start, prior_start]),
        bounds,
        max_iterations=max_iterations,
        tolerance=tolerance if start is None else _EARLY_END * tolerance,
        is_near=start is not None,
    )
    noise_values = found[:n_noise]
    return Hyperparameters(noise.model(noise_values), found[n_noise:], noise.other_models(noise_values))


class _Hold:
    """What holds the noise of the forces up where rows are fewer than parameters.

    Attributes
    ----------
    conditions : Conditions              of the groups
    target_rms : float
    """

    def __init__(self, observations: Observations, noise_hint: float) -> None:
        self.conditions = observations.conditions
        self.target_rms = observations.target_rms
        n_missing = max(0, observations.n_parameters - observations.n_targets)
        counts = np.array([part.n_targets for part in observations.statistics], float)
        counts[self.conditions.kinds != RowKind.FORCE] = 0.0
        self._shares = min(n_missing, _MOST_HELD) * counts / counts.sum()
        self._smallest_sq = noise_hint**2

    def __call__(
        self, variances: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
        """Log density, its derivatives by the variances, and its information per variance."""
        below = np.minimum(variances / self._smallest_sq, 1.0)
        value = -0.5 * float(self._shares @ (np.log(below) + 1.0 / below - 1.0))
        by_variance = 0.5 * self._shares * (1.0 / below - 1.0) / variances
        information = np.where(below < 1.0, 0.5 * self._shares / (below * variances**2), 0.0)
        return value, by_variance, information


def _penalized(
    objective: EvidenceObjective,
    hold: _Hold,
    noise: NoiseFamily,
    noise_values: NDArray[np.float64],
    prior_values: NDArray[np.float64],
) -> Point:
    """Log evidence plus the log prior of the noise, with derivatives by all values."""
    conditions, rms = hold.conditions, hold.target_rms
    by_noise = difference_quotients(lambda at: noise.variances(at, conditions), noise_values)
    pull = difference_quotients(lambda at: noise.log_prior(at, rms)[1], noise_values)
    variances = noise.variances(noise_values, conditions)
    value, by_variance, by_prior, information = objective.expand(variances, prior_values, by_noise)
    held, by_held, held_information = hold(variances)
    log_prior, by_log_prior = noise.log_prior(noise_values, rms)
    information[: len(pull), : len(pull)] += (by_noise * held_information) @ by_noise.T - pull
    gradient = noise.gradient(noise_values, conditions, by_variance + by_held) + by_log_prior
    return Point(value + held + log_prior, np.concatenate([gradient, by_prior]), information)
