"""Frames of a trajectory that is there already, in place of dynamics on the force field."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlff_dyn.training.criteria.decision import Decision, History
from mlff_dyn.training.criteria.errors import mean_errors
from mlff_dyn.training.exploration import QUIET, Exploration, why_untested
from mlff_dyn.training.walk import errors_of, no_frames

if TYPE_CHECKING:
    from mlff_dyn.model.force_field import SupercellForceField
    from mlff_dyn.training.criteria.decision import Criterion
    from mlff_dyn.training.walk import Frames


def judge_frames(
    force_field: SupercellForceField,
    criterion: Criterion,
    frames: Frames,
    tested_error_relative: float,
    force_error_limit_relative: float,
) -> Exploration:
    """Ask the criterion about the mean error of frames; where it calls, all may be labelled.

    Parameters
    ----------
    force_field : SupercellForceField
        Without strain.
    criterion : Criterion
    frames : Frames
    tested_error_relative, force_error_limit_relative : float
        See `ExplorationPlan`.
    """
    nothing = no_frames(force_field.torus.n_atoms)
    if not len(frames):
        return Exploration(QUIET, nothing, nothing, 0, None)
    found = [errors_of(force_field, frames, k) for k in range(len(frames))]
    mean = mean_errors(found)
    decision = criterion.decide(History(last=found[-1], mean=mean, n_frames=len(found)))
    untested = why_untested(mean, tested_error_relative, force_error_limit_relative) or QUIET
    reason = untested if decision is Decision.GO_ON else str(decision.value)
    return Exploration(reason, nothing, frames, 0, mean)
