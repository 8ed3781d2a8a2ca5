"""The criteria of others, frame by frame: what they do, and when they call."""

import numpy as np
import pytest

from mlff_dyn.training.criteria.decision import Decision, History
from mlff_dyn.training.criteria.errors import FrameErrors, MeanErrors
from mlff_dyn.training.criteria.grid import FixedCriterion, RandomCriterion
from mlff_dyn.training.criteria.paper import PaperCriterion
from mlff_dyn.training.criteria.per_step import PerStepCriterion

MEAN = MeanErrors(1.0, 0.1, 0.0, 0.1)


def history(recent, n_steps, **values):
    last = FrameErrors(1.0, 0.0, 0.0, 0.0, 0.0, 0.0, largest_epistemic=recent[-1])
    return History(last=last, mean=MEAN, n_frames=n_steps, recent=tuple(recent), **values)


@pytest.mark.parametrize(
    ("variances", "n_steps", "expected"),
    [
        ([0.001] * 20 + [0.021], 11, Decision.CALL),
        ([0.001] * 20 + [0.021], 10, Decision.GO_ON),
        ([0.001] * 20 + [0.0029], 11, Decision.GO_ON),
        ([0.001] * 20 + [0.0031], 11, Decision.CALL_NOW),
        ([0.001] * 20 + [0.0031], 10, Decision.GO_ON),
        ([0.015] * 20 + [0.019], 500, Decision.GO_ON),
        ([0.009] * 500 + [0.001] * 1000 + [0.0031], 900, Decision.CALL_NOW),
        ([0.009] * 500 + [0.001] * 500 + [0.0031], 400, Decision.GO_ON),
    ],
)
def test_published_criterion(variances, n_steps, expected):
    found = PaperCriterion().decide(history(np.sqrt(variances), n_steps))
    assert found is expected


def test_per_step_collects_candidates_and_calls_at_once_where_it_must():
    criterion = PerStepCriterion(threshold_ev_per_angstrom=0.1)
    far = {"frames_since_candidate": 11}
    assert criterion.decide(history([0.09], 20, **far)) is Decision.GO_ON
    assert criterion.decide(history([0.11], 20, **far)) is Decision.CANDIDATE
    assert criterion.decide(history([0.11], 20, frames_since_candidate=10)) is Decision.GO_ON
    assert criterion.decide(history([0.11], 20, n_candidates=3, **far)) is Decision.CANDIDATE
    assert criterion.decide(history([0.11], 20, n_candidates=4, **far)) is Decision.CALL
    assert criterion.decide(history([0.21], 20, **far)) is Decision.CALL_NOW


def test_the_threshold_follows_the_errors_after_refits_once_they_agree():
    criterion = PerStepCriterion(threshold_ev_per_angstrom=0.5, margin=0.2)

    def threshold(*after_refits):
        return criterion.threshold(history([0.0], 1, after_refits=after_refits))

    assert threshold() == threshold(0.1) == 0.5
    assert threshold(0.1, 0.12) == pytest.approx(1.2 * 0.11)
    assert threshold(0.1, 0.9) == 0.5
    assert threshold(0.1, 0.12, 9.0) == pytest.approx(1.2 * 0.11)
    assert threshold(*[0.3] * 5, *[0.1] * 10) == pytest.approx(0.12)


def test_fixed_intervals():
    criterion = FixedCriterion(interval_steps=50)
    assert criterion.every_steps == 50
    assert criterion.decide(history([0.0], 1, steps_each=50)) is Decision.DUE


def test_random_intervals_are_exponential():
    criterion = RandomCriterion(mean_interval_steps=40)
    waits = []
    for seed in range(1000):
        steps = 1
        while criterion.decide(history([0.0], steps, seed=(seed,))) is Decision.GO_ON:
            steps += 1
        waits.append(steps)
    assert np.mean(waits) == pytest.approx(40.5, rel=0.1)
    assert np.std(waits) == pytest.approx(40.0, rel=0.15)
    assert len(set(waits)) > 50
