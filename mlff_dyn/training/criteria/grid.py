"""Calls that look at no error: at fixed intervals, or at random ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mlff_dyn.training.criteria.decision import Decision

if TYPE_CHECKING:
    from mlff_dyn.training.criteria.decision import History


@dataclass(frozen=True)
class FixedCriterion:
    """A call after every ``interval_steps`` of one trajectory."""

    interval_steps: int = 1000
    goes_on: ClassVar[bool] = True

    @property
    def every_steps(self) -> int:
        """One frame for each call."""
        return self.interval_steps

    def decide(self, history: History) -> Decision:
        """Call."""
        return Decision.DUE if history.n_steps >= self.interval_steps else Decision.GO_ON


@dataclass(frozen=True)
class RandomCriterion:
    """Calls at independent random times of one trajectory, ``mean_interval_steps`` apart in the mean.

    It looks at no error, so it is asked only every tenth step.
    """

    mean_interval_steps: int = 1000
    every_steps: ClassVar[int] = 10
    goes_on: ClassVar[bool] = True

    def decide(self, history: History) -> Decision:
        """Call once a waiting time of exponential distribution, drawn after the last refit, is over."""
        wait = np.random.default_rng(history.seed).exponential(self.mean_interval_steps)
        return Decision.DUE if history.n_steps >= wait else Decision.GO_ON
