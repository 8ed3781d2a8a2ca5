"""The published criterion: the largest variance of a force component, against a cap and its rolling mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mlff_dyn.training.criteria.decision import Decision

if TYPE_CHECKING:
    from mlff_dyn.training.criteria.decision import History


@dataclass(frozen=True)
class PaperCriterion:
    """Decision of Callsen, Lee and Chou at every step of one trajectory.

    With x the row of a force component and S the posterior covariance, the error of a frame is

        err = max over components of x S x^T

    No call within ``gap_steps`` of a refit; then a call where err exceeds ``variance_limit``, or ``factor``
    times the mean of err over the last ``window_steps``, a window that a refit does not empty.

    Attributes
    ----------
    variance_limit_ev2_per_angstrom2 : float
    gap_steps, window_steps : int
    factor : float

    References
    ----------
    M. Callsen, T.-T. Lee, M.-Y. Chou, arXiv:2601.21311 (2026).
    """

    variance_limit_ev2_per_angstrom2: float = 0.02
    gap_steps: int = 10
    factor: float = 3.0
    window_steps: int = 1000
    every_steps: ClassVar[int] = 1
    goes_on: ClassVar[bool] = True

    def decide(self, history: History) -> Decision:
        """Decide from the present frame and the window."""
        if history.n_steps <= self.gap_steps:
            return Decision.GO_ON
        error = history.last.largest_epistemic**2
        if error > self.variance_limit_ev2_per_angstrom2:
            return Decision.CALL
        window = np.square(history.recent[-1 - self.window_steps : -1])
        return Decision.CALL_NOW if error > self.factor * window.mean() else Decision.GO_ON
