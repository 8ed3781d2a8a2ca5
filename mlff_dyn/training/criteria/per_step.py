"""Two thresholds for the error of each step, the way on-the-fly training is done in VASP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mlff_dyn.training.criteria.decision import Decision

if TYPE_CHECKING:
    from mlff_dyn.training.criteria.decision import History


@dataclass(frozen=True)
class PerStepCriterion:
    """Largest standard deviation of a force component at each step against a threshold that refits move.

    A frame above the threshold is a candidate, unless the last one is less than ``gap_steps`` ago.
    ``n_candidates`` of them are calculated together and learnt in one refit; at ``double_factor`` times the
    threshold that happens at once. The threshold is ``1 + margin`` times the mean of the errors right after
    the last ``n_history`` refits where their spread is below ``largest_spread`` of that mean, and at first
    ``threshold_ev_per_angstrom``.

    Attributes
    ----------
    threshold_ev_per_angstrom : float      ML_CTIFOR
    double_factor : float                  ML_CDOUB
    n_candidates : int                     ML_MCONF_NEW
    gap_steps : int                        ML_NMDINT
    n_history : int                        ML_MHIS
    largest_spread : float                 ML_CSIG
    margin : float                         ML_CX

    References
    ----------
    Jinnouchi, Karsai, Kresse, Phys. Rev. B 100, 014105 (2019).
    """

    threshold_ev_per_angstrom: float = 0.002
    double_factor: float = 2.0
    n_candidates: int = 5
    gap_steps: int = 10
    n_history: int = 10
    largest_spread: float = 0.4
    margin: float = 0.0
    every_steps: ClassVar[int] = 1
    goes_on: ClassVar[bool] = True

    def decide(self, history: History) -> Decision:
        """Decide from the present frame, the candidates and the refits."""
        error, threshold = history.last.largest_epistemic, self.threshold(history)
        if history.frames_since_candidate <= self.gap_steps or error <= threshold:
            return Decision.GO_ON
        if error > self.double_factor * threshold:
            return Decision.CALL_NOW
        is_full = history.n_candidates + 1 >= self.n_candidates
        return Decision.CALL if is_full else Decision.CANDIDATE

    def threshold(self, history: History) -> float:
        """Threshold by the refits so far, eV/Å."""
        found = np.array(history.after_refits[-self.n_history :])
        for end in range(len(found), 0, -1):
            known = found[:end]
            if len(known) > 1 and known.std() < self.largest_spread * known.mean():
                return float((1.0 + self.margin) * known.mean())
        return self.threshold_ev_per_angstrom
