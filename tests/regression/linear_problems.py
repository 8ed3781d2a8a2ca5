"""Linear models with known truth."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlff_dyn.regression.evidence import Hyperparameters
from mlff_dyn.regression.posterior import Posterior, fit_posterior
from mlff_dyn.regression.statistics import SufficientStatistics, collect


@dataclass(frozen=True, eq=False)
class Problem:
    """y = X w + noise, with w drawn from the prior."""

    design: NDArray[np.float64]
    targets: NDArray[np.float64]
    groups: NDArray[np.int64]
    truth: NDArray[np.float64]
    hyperparameters: Hyperparameters

    @property
    def statistics(self) -> SufficientStatistics:
        return collect(self.design, self.targets)

    @property
    def prior_variance(self) -> NDArray[np.float64]:
        return self.hyperparameters.prior_sd[self.groups] ** 2

    def posterior(self) -> Posterior:
        return fit_posterior(self.statistics, self.groups, self.hyperparameters, noise_hint=1.0)


def draw_problem(
    n_targets: int,
    n_parameters: int,
    seed: int,
    *,
    noise_sd: float = 0.3,
    prior_sd: tuple[float, ...] = (0.5, 2.0),
) -> Problem:
    generator = np.random.default_rng(seed)
    groups = np.arange(n_parameters) % len(prior_sd)
    scale = np.array(prior_sd)
    truth = scale[groups] * generator.standard_normal(n_parameters)
    design = generator.standard_normal((n_targets, n_parameters))
    targets = design @ truth + noise_sd * generator.standard_normal(n_targets)
    return Problem(design, targets, groups, truth, Hyperparameters(noise_sd, scale))
