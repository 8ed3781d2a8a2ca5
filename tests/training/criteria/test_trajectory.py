"""The trajectory criterion as a table of histories and decisions."""

import numpy as np
import pytest

from mlff_dyn.errors import ConfigError
from mlff_dyn.model.force_field import ForceErrors
from mlff_dyn.training.criteria.decision import Decision, History
from mlff_dyn.training.criteria.errors import FrameErrors, frame_errors, mean_errors
from mlff_dyn.training.criteria.registry import create_criterion
from mlff_dyn.training.criteria.trajectory import TrajectoryCriterion

LIMIT = 0.1


def history_of(frames: list[FrameErrors]) -> History:
    return History(last=frames[-1], mean=mean_errors(frames), n_frames=len(frames))


def frame(predictive: float, truncation: float = 0.0, force: float = 1.0) -> FrameErrors:
    epistemic = float(np.sqrt(max(predictive**2 - truncation**2, 0.0)))
    return FrameErrors(force, epistemic, truncation, predictive, 0.1, 0.3)


@pytest.mark.parametrize(
    ("history", "judge", "expected"),
    [
        ([frame(0.05)], False, Decision.GO_ON),
        ([frame(0.29)], False, Decision.GO_ON),
        ([frame(0.31)], False, Decision.CALL_NOW),
        ([frame(0.31)], True, Decision.CALL_NOW),
        ([frame(0.5, truncation=0.2)], True, Decision.GO_ON),
        ([frame(0.5, truncation=0.2)], False, Decision.CALL_NOW),
        ([frame(0.31), frame(0.05)], False, Decision.GO_ON),
        ([frame(0.2)] * 9, False, Decision.GO_ON),
        ([frame(0.2)] * 10, False, Decision.CALL),
        ([frame(0.09)] * 10, False, Decision.GO_ON),
        ([frame(0.09)] * 500, True, Decision.GO_ON),
        ([frame(0.05)] * 9 + [frame(0.5)], False, Decision.CALL),
        ([frame(0.05)] * 99 + [frame(0.5)], False, Decision.GO_ON),
        ([frame(0.2, truncation=0.15)] * 10, True, Decision.EXPANSION_LIMITED),
        ([frame(0.2, truncation=0.15)] * 10, False, Decision.CALL),
        ([frame(0.2, truncation=0.05)] * 10, True, Decision.CALL),
        ([frame(0.2, truncation=0.12)] * 10, True, Decision.CALL),
        ([frame(0.121, truncation=0.12)] * 10, True, Decision.EXPANSION_LIMITED),
        ([frame(0.09, truncation=0.089)] * 10, True, Decision.GO_ON),
        ([frame(0.2, force=10.0)] * 10, False, Decision.GO_ON),
        ([frame(0.02, force=0.1)] * 10, False, Decision.CALL),
        ([frame(1e-3, force=0.0)], False, Decision.CALL_NOW),
    ],
)
def test_decisions(history: list[FrameErrors], judge: bool, expected: Decision) -> None:
    criterion = create_criterion(
        "trajectory", {"force_error_limit_relative": LIMIT, "can_judge_truncation": judge}
    )
    assert criterion.decide(history_of(history)) is expected


@pytest.mark.parametrize(
    ("error", "truncation", "expected"),
    [
        (0.2, 0.15, Decision.CALL),
        (0.121, 0.12, Decision.CALL),
        (0.5, 0.45, Decision.CALL),
        (0.9, 0.85, Decision.EXPANSION_LIMITED),
        (0.09, 0.089, Decision.GO_ON),
    ],
)
def test_a_truncation_that_still_changes_ends_nothing_unless_it_is_hopeless(
    error: float, truncation: float, expected: Decision
) -> None:
    criterion = TrajectoryCriterion(LIMIT, can_judge_truncation=True, has_settled=False)
    assert criterion.decide(history_of([frame(error, truncation=truncation)] * 10)) is expected


def test_more_error_never_means_fewer_calls() -> None:
    """A criterion that calls at some error calls at every larger one."""
    criterion = TrajectoryCriterion(LIMIT)
    for length in (1, 5, 10, 50):
        calls = [
            criterion.decide(history_of([frame(error)] * length)) is not Decision.GO_ON
            for error in np.linspace(0.0, 0.6, 61)
        ]
        assert calls == sorted(calls)
        assert calls[-1]


def test_errors_are_relative_to_the_rms_force_of_the_trajectory() -> None:
    found = mean_errors(
        [FrameErrors(1.0, 0.3, 0.4, 0.5, 0.1, 0.3), FrameErrors(7.0, 0.0, 0.0, 0.0, 0.7, 0.2)]
    )
    assert found.force_rms_ev_per_angstrom == pytest.approx(5.0)
    assert found.epistemic == pytest.approx(0.3 / 5 / np.sqrt(2))
    assert found.truncation == pytest.approx(0.4 / 5 / np.sqrt(2))
    assert found.predictive == pytest.approx(0.5 / 5 / np.sqrt(2))
    assert (found.displacement_rms_angstrom, found.displacement_max_angstrom) == pytest.approx((0.5, 0.3))
    assert set(found.to_json()) == {
        "force_rms_ev_per_angstrom",
        "epistemic_relative",
        "truncation_relative",
        "predictive_relative",
        "displacement_rms_angstrom",
        "displacement_max_angstrom",
    }


def test_frame_errors_are_root_mean_squares() -> None:
    ones = np.ones((4, 3))
    found = frame_errors(3.0 * ones, ForceErrors(0.1 * ones, 0.2 * ones, 0.3 * ones), 0.4 * ones)
    assert (found.displacement, found.largest_displacement) == pytest.approx((0.4, 0.4 * np.sqrt(3)))
    assert (found.force, found.epistemic, found.truncation, found.predictive) == pytest.approx(
        (3.0, 0.1, 0.2, 0.3)
    )


def test_an_unknown_criterion_is_refused() -> None:
    with pytest.raises(ConfigError, match="trajectory"):
        create_criterion("oracle", {})
