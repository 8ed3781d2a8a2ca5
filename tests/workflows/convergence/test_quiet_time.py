"""Time since the last call, on errors that are known."""

import numpy as np
import pytest

from mlff_dyn.training.criteria.trajectory import TrajectoryCriterion
from mlff_dyn.training.exploration import QUIET
from mlff_dyn.workflows.convergence.quiet_time import QuietTime, quiet_time
from mlff_dyn.workflows.convergence.sampling import SamplingPlan
from mlff_dyn.workflows.reporting.history import Explored, TrainingHistory
from tests.workflows.convergence.test_verdict import replicas

PLAN = SamplingPlan((300.0,), 2.0, 2000, 2, 1, None)
NOTHING = TrainingHistory((), (), {}, 0, None)


def found(errors: np.ndarray, history: TrainingHistory = NOTHING) -> QuietTime:
    return quiet_time(300.0, replicas(errors), PLAN, TrajectoryCriterion(0.05), history)


def explored(n_steps: int, reason: str, temperature: float = 300.0) -> Explored:
    return Explored(3, 0, n_steps, temperature, None, reason, None, None, None, {})


def test_errors_below_the_limit_never_call() -> None:
    """Frames are 20 fs apart."""
    quiet = found(np.full((2, 175), 0.09))
    assert (quiet.n_calls, quiet.time_since_call_picoseconds) == (0, pytest.approx(3.5))
    assert quiet.training_since_call_picoseconds is None


def test_the_criterion_starts_afresh_after_each_call() -> None:
    """Errors above the limit call every 10 frames; the shorter of two times counts."""
    errors = np.full((2, 175), 0.09)
    errors[1, :25] = 0.2
    quiet = found(errors)
    assert (quiet.n_calls, quiet.time_since_call_picoseconds) == (3, pytest.approx(2.9))


def test_training_counts_from_its_last_call_at_that_temperature() -> None:
    parts = (explored(500, QUIET), explored(70, "error above the limit"), explored(3000, QUIET))
    history = TrainingHistory((), (*parts, explored(900, "error above the limit", 600.0)), {}, 3, None)
    assert found(np.full((1, 20), 0.01), history).training_since_call_picoseconds == pytest.approx(6.0)


@pytest.mark.parametrize(
    ("asked", "said"), [(None, ""), (1.0, ""), (3.0, "a call would have come 2 ps"), (9.0, "raise")]
)
def test_too_short_a_time_is_a_reason(asked: float | None, said: str) -> None:
    reasons = QuietTime(1, 2.0, None).excess(asked, 4.0)
    assert bool(reasons) == bool(said)
    assert said in "".join(reasons)
