"""The error of a quantity that the force field is trained for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mlff_dyn.training.criteria.decision import Decision

if TYPE_CHECKING:
    from mlff_dyn.training.criteria.decision import History


@dataclass(frozen=True)
class ObservableCriterion:
    """Error of a quantity that follows from the force field, known before the dynamics starts.

    It calls after ``n_average`` frames where the error exceeds the limit, unless the part of it that no data
    remove does so alone.

    Attributes
    ----------
    error_limit_relative : float
    epistemic_relative, truncation_relative : float
        Standard deviations of the quantity, over its size, that more data remove and do not remove.
    can_judge_truncation : bool
        Whether the data suffice to tell truncation from lack of data.
    n_average : int
    """

    error_limit_relative: float
    epistemic_relative: float
    truncation_relative: float
    can_judge_truncation: bool = False
    n_average: int = 10

    every_steps: ClassVar[None] = None
    goes_on: ClassVar[bool] = False

    def decide(self, history: History) -> Decision:
        """Decide from the error of the quantity, whatever those of the frames are."""
        limit = self.error_limit_relative
        error = float(np.hypot(self.epistemic_relative, self.truncation_relative))
        if history.n_frames < self.n_average or error <= limit:
            return Decision.GO_ON
        in_vain = self.can_judge_truncation and self.truncation_relative > limit
        return Decision.EXPANSION_LIMITED if in_vain else Decision.CALL
