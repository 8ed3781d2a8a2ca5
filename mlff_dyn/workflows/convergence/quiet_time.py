"""How long dynamics has gone on, and how long training went on, without a call for a calculation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlff_dyn.report.numbers import format_count
from mlff_dyn.training.criteria.decision import Decision, History
from mlff_dyn.training.criteria.errors import ErrorSums
from mlff_dyn.training.exploration import QUIET
from mlff_dyn.units import FS_PER_PS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlff_dyn.training.criteria.decision import Criterion
    from mlff_dyn.workflows.convergence.sampling import Replica, SamplingPlan
    from mlff_dyn.workflows.reporting.history import TrainingHistory

_CALLS = (Decision.CALL, Decision.CALL_NOW)


@dataclass(frozen=True)
class QuietTime:
    """Time since the last call; the names are those of the JSON object.

    Attributes
    ----------
    n_calls : int
        Calls that the criterion of training, with the limit of the check, would have made.
    time_since_call_picoseconds : float or None
        Shortest time from the last of them, or from the equilibration, to the end of a trajectory.
    training_since_call_picoseconds : float or None
        Dynamics of training at this temperature since it last called there; None where there was none.
    """

    n_calls: int
    time_since_call_picoseconds: float | None
    training_since_call_picoseconds: float | None

    def describe(self) -> str:
        """Say it in words."""
        since = self.time_since_call_picoseconds or 0.0
        text = f"the last {since:.3g} ps of every trajectory"
        text += f", after {format_count(self.n_calls, 'call')} in all" if self.n_calls else ""
        if self.training_since_call_picoseconds is not None:
            text += f"; the last {self.training_since_call_picoseconds:.3g} ps of training here"
        return text

    def excess(self, least_picoseconds: float | None, judged_picoseconds: float) -> tuple[str, ...]:
        """Say that the time is shorter than asked for; nothing where it is not.

        Parameters
        ----------
        least_picoseconds : float or None
            Time asked for; None: any will do.
        judged_picoseconds : float
            Length of a trajectory after the equilibration.
        """
        since = self.time_since_call_picoseconds
        if least_picoseconds is None or since is None or since >= least_picoseconds:
            return ()
        if judged_picoseconds < least_picoseconds:
            text = f"trajectories of {judged_picoseconds:.3g} ps are shorter than {_ASKED}: raise"
            return (f"{text} convergence.n_steps",)
        return (f"a call would have come {since:.3g} ps before the end, later than {_ASKED} allows",)


_ASKED = "convergence.time_without_call_picoseconds"


def quiet_time(
    temperature_kelvin: float,
    replicas: Sequence[Replica],
    plan: SamplingPlan,
    criterion: Criterion,
    history: TrainingHistory,
) -> QuietTime:
    """Let a criterion judge trajectories frame by frame, starting afresh after each call.

    Parameters
    ----------
    temperature_kelvin : float
    replicas : sequence of Replica
    plan : SamplingPlan
    criterion : Criterion
    history : TrainingHistory
    """
    found = [_calls(replica, plan, criterion) for replica in replicas if replica.frames]
    frame = plan.frame_every * plan.timestep_femtoseconds / FS_PER_PS
    return QuietTime(
        sum(n_calls for n_calls, _ in found),
        min((frame * since for _, since in found), default=None),
        _of_training(temperature_kelvin, plan.timestep_femtoseconds, history),
    )


def _calls(replica: Replica, plan: SamplingPlan, criterion: Criterion) -> tuple[int, int]:
    """Calls, and frames after the last of them."""
    n_calls, since, sums = 0, 0, ErrorSums()
    for frame in replica.frames:
        sums.add(frame)
        since += 1
        seen = History(frame, sums.mean(), sums.n_frames, steps_each=plan.frame_every)
        if criterion.decide(seen) in _CALLS:
            n_calls, since, sums = n_calls + 1, 0, ErrorSums()
    return n_calls, since


def _of_training(
    temperature_kelvin: float, timestep_femtoseconds: float, history: TrainingHistory
) -> float | None:
    if temperature_kelvin not in history.temperatures_kelvin:
        return None
    n_steps = 0
    for explored in history.explorations:
        if explored.temperature_kelvin == temperature_kelvin:
            n_steps = n_steps + explored.n_steps if explored.reason == QUIET else 0
    return n_steps * timestep_femtoseconds / FS_PER_PS
