"""Linear models with known truth, one sd per group of parameters and constant noise."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlff_dyn.regression.data.conditions import Conditions
from mlff_dyn.regression.data.observations import Observations
from mlff_dyn.regression.data.sums import SufficientStatistics, collect
from mlff_dyn.regression.fit.evidence import Hyperparameters, evaluate, maximize_evidence
from mlff_dyn.regression.fit.noise import NoiseModel
from mlff_dyn.regression.fit.posterior import Posterior, fit_posterior, posterior_at
from mlff_dyn.regression.fit.priors import PriorBlock, StructuredPrior
from mlff_dyn.regression.linalg.triangles import RootStatistics, collect_roots

TOLERANCE = 1e-13


@dataclass(frozen=True)
class ConstantNoise:
    """One noise sd for all rows; the value is its logarithm."""

    def start(self, target_rms: float) -> NDArray[np.float64]:
        """First guess of the values."""
        return np.array([np.log(0.05 * target_rms)])

    def bounds(self, target_rms: float, smallest: float = 1e-7) -> list[tuple[float, float]]:
        """Range of each value; noise is at least ``smallest`` times the targets."""
        return [(float(np.log(smallest * target_rms)), float(np.log(10 * target_rms)))]

    def model(self, values: NDArray[np.float64]) -> NoiseModel:
        """Noise model that the values mean."""
        return NoiseModel(float(np.exp(values[0])))

    def other_models(self, values: NDArray[np.float64]) -> dict[int, NoiseModel]:
        """No other kinds of rows."""
        return {}

    def values(
        self,
        forces: NoiseModel,
        others: dict[int, NoiseModel],
        target_rms: float,
    ) -> NDArray[np.float64]:
        """Return the values that mean a given model."""
        return np.array([np.log(forces.floor_sd)])

    def variances(self, values: NDArray[np.float64], conditions: Conditions) -> NDArray[np.float64]:
        """Noise variance under each of the conditions."""
        return np.full(len(conditions.amplitudes), np.exp(2 * values[0]))

    def gradient(
        self,
        values: NDArray[np.float64],
        conditions: Conditions,
        by_variance: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Chain rule: derivatives by the values, given those by the variance under each condition."""
        return np.array([2 * np.exp(2 * values[0]) * by_variance.sum()])

    def log_prior(
        self,
        values: NDArray[np.float64],
        target_rms: float,
    ) -> tuple[float, NDArray[np.float64]]:
        """Log prior density of the values, up to a constant, and its gradient."""
        return 0.0, np.zeros_like(values)


def independent_prior(groups: NDArray[np.int64]) -> StructuredPrior:
    """Prior with one sd per group of parameters; groups are numbered from 0."""
    n = len(groups)
    return StructuredPrior([PriorBlock(np.eye(n), groups, None, np.zeros(n))])


def collect_root(design: NDArray[np.float64], targets: NDArray[np.float64]) -> RootStatistics:
    """Square-root form of one block of rows."""
    if len(targets) != len(design):
        raise ValueError("as many targets as rows")
    return collect_roots([(0, design, targets)], 1, design.shape[1])[0]


@dataclass(frozen=True, eq=False)
class Problem:
    """y = X w + noise, with w drawn from the prior."""

    design: NDArray[np.float64]
    targets: NDArray[np.float64]
    groups: NDArray[np.int64]
    truth: NDArray[np.float64]
    noise_sd: float
    prior_sd: NDArray[np.float64]

    @property
    def statistics(self) -> SufficientStatistics:
        return collect(self.design, self.targets)

    @property
    def hyperparameters(self) -> Hyperparameters:
        return known(self.noise_sd, self.prior_sd)

    @property
    def prior_variance(self) -> NDArray[np.float64]:
        return self.prior_sd[self.groups] ** 2

    def posterior(self) -> Posterior:
        return fit(self.statistics, self.groups, self.hyperparameters)


def draw_problem(
    n_targets: int,
    n_parameters: int,
    seed: int,
    *,
    noise_sd: float = 0.3,
    prior_sd: tuple[float, ...] = (0.5, 2.0),
    group_sizes: tuple[int, ...] | None = None,
) -> Problem:
    generator = np.random.default_rng(seed)
    numbers = np.arange(len(prior_sd))
    groups = (
        np.arange(n_parameters) % len(prior_sd) if group_sizes is None else np.repeat(numbers, group_sizes)
    )
    scale = np.array(prior_sd)
    truth = scale[groups] * generator.standard_normal(n_parameters)
    design = generator.standard_normal((n_targets, n_parameters))
    targets = design @ truth + noise_sd * generator.standard_normal(n_targets)
    return Problem(design, targets, groups, truth, noise_sd, scale)


def known(noise_sd: float, prior_sd: NDArray[np.float64]) -> Hyperparameters:
    return Hyperparameters(NoiseModel(noise_sd), np.log(prior_sd))


def observed(statistics: SufficientStatistics) -> Observations:
    return Observations((statistics,), np.ones(1))


def fit(
    statistics: SufficientStatistics,
    groups: NDArray[np.int64],
    hyperparameters: Hyperparameters | None = None,
    *,
    noise_hint: float = 1.0,
) -> Posterior:
    data, prior = observed(statistics), independent_prior(groups)
    if hyperparameters is not None:
        return posterior_at(data, prior, hyperparameters)
    return fit_posterior(data, prior, ConstantNoise(), noise_hint=noise_hint, tolerance=TOLERANCE)


def maximize(
    statistics: SufficientStatistics, groups: NDArray[np.int64], *, noise_hint: float
) -> tuple[float, NDArray[np.float64]]:
    """Noise sd and prior sd of largest evidence."""
    data, prior = observed(statistics), independent_prior(groups)
    found = maximize_evidence(data, prior, ConstantNoise(), noise_hint=noise_hint, tolerance=TOLERANCE)
    return found.noise.floor_sd, np.exp(found.prior_values)


def log_evidence(
    statistics: SufficientStatistics, groups: NDArray[np.int64], hyperparameters: Hyperparameters
) -> float:
    return evaluate(observed(statistics), independent_prior(groups), hyperparameters).log_evidence


def no_data(n_parameters: int) -> SufficientStatistics:
    """Statistics before any data."""
    return SufficientStatistics(np.zeros((n_parameters, n_parameters)), np.zeros(n_parameters), 0.0, 0)
