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

It is evaluated from sums of products of the rows, or from triangles of the rows, see `evidence_forms`.

Few rows determine no noise: with fewer rows than parameters the evidence can be largest where the model
passes through every point. A noise of the forces below the smallest that is expected, h, then costs what k
further residuals of that size would make it cost, k = n_parameters - n_targets but at most 10,

    -k/2 [log(v / h^2) + h^2 / v - 1]     where v < h^2

Where rows are few, if more than that, it may have several maxima: the prior may name further starts, and the
highest end counts.

References
----------
MacKay, Neural Comput. 4, 415 (1992); Tipping, J. Mach. Learn. Res. 1, 211 (2001).
Average information: Gilmour, Thompson and Cullis, Biometrics 51, 1440 (1995).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mlff_dyn.errors import FitError
from mlff_dyn.regression.data.conditions import Conditions, RowKind
from mlff_dyn.regression.fit.evidence_forms import objective_of
from mlff_dyn.regression.fit.hyperpriors import HYPERPRIORS, Hyperpriors
from mlff_dyn.regression.fit.noise import SMALLEST_RELATIVE, SMALLEST_RELATIVE_OF_ROWS
from mlff_dyn.regression.fit.noise_by_kind import variances_by_kind
from mlff_dyn.regression.linalg.ascent import Point, climb, difference_quotients

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from mlff_dyn.regression.data.observations import Observations
    from mlff_dyn.regression.fit.evidence_form import EvidenceForm, Fit
    from mlff_dyn.regression.fit.noise import NoiseFamily, NoiseModel
    from mlff_dyn.regression.fit.priors import Prior


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
    weight_power : float
        See `Hyperpriors`.
    """

    noise: NoiseModel
    prior_values: NDArray[np.float64]
    other_noise: dict[int, NoiseModel] = field(default_factory=dict)
    weight_power: float = HYPERPRIORS.weight_power

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
            variances[here] = self.noise.weight_variance(
                own.amplitudes, own.ratios, counts[here], self.weight_power
            )
        return variances


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
    hyperpriors: Hyperpriors = HYPERPRIORS,
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
    hyperpriors : Hyperpriors
        How many residuals hold the noise up, and how alike a fit weights atoms.
    max_iterations : int
    tolerance : float
        Change of the log evidence over its size at which the search ends; a little earlier with a start.

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
    objective = objective_of(observations, prior)
    hold = _Hold(observations, noise_hint, hyperpriors.most_held)
    noise_start = noise.start(rms)
    prior_start = prior.start(observations.column_power, rms)
    n_noise = len(noise_start)
    smallest = SMALLEST_RELATIVE if observations.rows is None else SMALLEST_RELATIVE_OF_ROWS
    bounds = np.array(noise.bounds(rms, smallest) + prior.bounds(prior_start))
    if start is not None:
        noise_start, prior_start = noise.values(start.noise, start.other_noise, rms), start.prior_values
    few = start is None and observations.n_targets < hyperpriors.few_rows * observations.n_parameters
    starts = [prior_start, *(prior.other_starts(prior_start) if few else [])]

    def expand(values: NDArray[np.float64]) -> Point:
        return _penalized(objective, hold, noise, values[:n_noise], values[n_noise:])

    near = {} if start is None else {"is_near": True, "unseen_gain": hyperpriors.unseen_gain}
    end = tolerance if start is None else hyperpriors.early_end * tolerance
    joined = [np.concatenate([noise_start, each]) for each in starts]
    found = _best_end(expand, joined, bounds, max_iterations=max_iterations, tolerance=end, **near)
    noise_values = found[:n_noise]
    others = noise.other_models(noise_values)
    return Hyperparameters(noise.model(noise_values), found[n_noise:], others, hyperpriors.weight_power)


def _best_end(
    expand: Callable[[NDArray[np.float64]], Point],
    starts: Sequence[NDArray[np.float64]],
    bounds: NDArray[np.float64],
    **options: Any,  # noqa: ANN401 (of `climb`)
) -> NDArray[np.float64]:
    """Highest of the maxima that searches from several starts end in."""
    ends = [climb(expand, each, bounds, **options) for each in starts]
    return ends[0] if len(ends) == 1 else max(ends, key=lambda end: expand(end).value)


class _Hold:
    """What holds the noise of the forces up where rows are fewer than parameters.

    Attributes
    ----------
    conditions : Conditions              of the groups
    target_rms : float
    """

    def __init__(self, observations: Observations, noise_hint: float, most_held: int) -> None:
        self.conditions = observations.conditions
        self.target_rms = observations.target_rms
        n_missing = max(0, observations.n_parameters - observations.n_targets)
        counts = np.array([part.n_targets for part in observations.statistics], float)
        counts[self.conditions.kinds != RowKind.FORCE] = 0.0
        self._shares = min(n_missing, most_held) * counts / counts.sum()
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
    objective: EvidenceForm,
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
