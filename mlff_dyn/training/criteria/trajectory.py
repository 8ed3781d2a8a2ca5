"""The error averaged over the trajectory since the last refit, and whether a calculation would lower it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mlff_dyn.training.criteria.decision import Decision
from mlff_dyn.training.limits import LIMITS

if TYPE_CHECKING:
    from mlff_dyn.training.criteria.decision import History
    from mlff_dyn.training.criteria.errors import MeanErrors


@dataclass(frozen=True)
class TrajectoryCriterion:
    """Predictive error averaged over the trajectory.

    It calls when the mean error of at least ``n_average`` frames exceeds the limit, or the error of a single
    frame ``sudden_factor`` times the limit. Where the part that no data remove alone exceeds the limit by
    ``truncation_margin``, which allows for the uncertainty of that part, or at all once the part that data
    remove is less than ``exhausted_fraction`` of it, it does not call in vain.

    Attributes
    ----------
    force_error_limit_relative : float
        Limit relative to the root mean square force.
    can_judge_truncation : bool
        Whether the data suffice to tell truncation from lack of data.
    has_settled : bool
        Whether truncation no longer changes as data grow; while it does, it ends the training only where it
        exceeds the limit by `unsettled_margin`: that of a double well fell by 2.9 from 6 calculations to 30.
    n_average : int
    sudden_factor, truncation_margin, unsettled_margin, exhausted_fraction : float
    """

    force_error_limit_relative: float
    can_judge_truncation: bool = False
    has_settled: bool = True
    n_average: int = 10
    sudden_factor: float = LIMITS.sudden_factor
    truncation_margin: float = 1.3
    unsettled_margin: float = 8.0
    exhausted_fraction: float = 0.25

    every_steps: ClassVar[None] = None
    goes_on: ClassVar[bool] = False

    def decide(self, history: History) -> Decision:
        """Decide from the frames since the last refit."""
        mean, last = history.mean, history.last
        limit = history.allowance * self.force_error_limit_relative
        if history.n_frames < self.n_average:
            largest = limit * max(last.force, 1e-12)
            in_vain = self.can_judge_truncation and last.truncation > self._margin * largest
            sudden = last.predictive > self.sudden_factor * largest
            return Decision.CALL_NOW if sudden and not in_vain else Decision.GO_ON
        if mean.predictive <= limit:
            return Decision.GO_ON
        if self.can_judge_truncation and self._is_in_vain(mean, limit):
            return Decision.EXPANSION_LIMITED
        return Decision.CALL

    @property
    def _margin(self) -> float:
        return self.truncation_margin if self.has_settled else self.unsettled_margin

    def _is_in_vain(self, mean: MeanErrors, limit: float) -> bool:
        """Whether no number of calculations is likely to bring the error under the limit."""
        exhausted = self.has_settled and mean.epistemic < self.exhausted_fraction * mean.truncation
        return mean.truncation > (limit if exhausted else self._margin * limit)
