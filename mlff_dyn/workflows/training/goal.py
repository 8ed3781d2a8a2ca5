"""The error that a training is to bring below its limit: that of an observable, or of the forces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.store.provenance import RAMP
from mlff_dyn.training.frame_choice import outlook_of_frames
from mlff_dyn.workflows.training.observable_error import ObservableError, RelativeError
from mlff_dyn.workflows.training.training_journal import OBSERVED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlff_dyn.model.force_field import ForceField
    from mlff_dyn.regression.planning.forecast import Forecast
    from mlff_dyn.store.provenance import Where
    from mlff_dyn.training.criteria.errors import MeanErrors
    from mlff_dyn.training.frame_choice import Frame
    from mlff_dyn.workflows.training.learner import Learner


class Goal:
    """Error and forecast of a training; of ramps they are those of the forces in any case.

    Parameters
    ----------
    learner : Learner

    Attributes
    ----------
    observable : ObservableError or None
    """

    def __init__(self, learner: Learner) -> None:
        self._learner = learner
        self._criterion = learner.workspace.config.training.criterion
        is_observed = self._criterion.kind == "observable"
        self.observable = ObservableError(learner.workspace) if is_observed else None

    def error(self, force_field: ForceField, errors: MeanErrors, where: Where) -> RelativeError:
        """Present error.

        Parameters
        ----------
        force_field : ForceField
            With the errors after all calculations that run.
        errors : MeanErrors
            Of forces.
        where : float, ``ramp`` or None
            What dynamics they are of.
        """
        if self.observable is not None and where != RAMP:
            return self.observable.errors(self._learner.force_field(), force_field)
        limit = self._criterion.force_error_limit_relative
        return RelativeError(limit, errors.epistemic, errors.truncation)

    def record(self, force_field: ForceField, moment: Mapping[str, int]) -> None:
        """Enter the error of the observable in the journal, at a moment of this name."""
        if self.observable is not None:
            found = self.observable.errors(self._learner.force_field(), force_field).to_json()
            self._learner.journal.append(OBSERVED, **moment, **found, observable=self._criterion.observable)

    def forecast(
        self,
        force_field: ForceField,
        frames: Sequence[Frame],
        errors: MeanErrors,
        where: Where,
        *,
        can_judge_truncation: bool,
    ) -> Forecast | None:
        """Calculations of frames like these that are still needed; None where no error is known yet."""
        judged = self.error(force_field, errors, where)
        if not np.isfinite(judged.relative):
            return None
        slopes = None
        if self.observable is not None and where != RAMP:
            slopes = self.observable.of(self._learner.force_field()).slopes
        expected = outlook_of_frames(force_field, frames, self._learner.scores, slopes=slopes)
        if not can_judge_truncation:
            expected = expected.untested()
        return expected.forecast(
            judged.epistemic_relative, judged.truncation_relative, judged.error_limit_relative
        )
