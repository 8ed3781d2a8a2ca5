"""The forecast against refits with frames of the same kind, and at its limits."""

import numpy as np
import pytest

from mlff_dyn.errors import FitError
from mlff_dyn.regression.planning.forecast import (
    Forecast,
    LearningCurve,
    Outlook,
    learning_curve,
    scale_uncertainty,
)

N_PARAMETERS = 20


def inverse_square_root(n_known: int) -> LearningCurve:
    """All directions known equally well from so many calculations: sd falls as one over the root."""
    return LearningCurve(np.full(3, 1.0 / n_known), np.ones(3), np.inf)


@pytest.mark.parametrize("n_rows", [8, 40, 80])
def test_the_curve_is_that_of_refits_with_fresh_frames(n_rows: int) -> None:
    """Fewer rows than parameters, as many, more: mean over draws of the frames that are calculated."""
    generator = np.random.default_rng(0)
    scale = np.geomspace(3.0, 0.03, 40)
    frames = [scale * generator.standard_normal((n_rows, 40)) for _ in range(400)]
    curve = learning_curve(frames, [0.5] * 400, np.eye(40))
    importance = np.mean([x.T @ x for x in frames], axis=0) / n_rows
    for k in (0, 1, 2, 5, 20):
        draws = [generator.choice(400, k, replace=False) for _ in range(40)]
        grams = [np.eye(40) + sum(frames[i].T @ frames[i] for i in draw) / 0.5 for draw in draws]
        found = np.mean([np.trace(importance @ np.linalg.inv(gram)) for gram in grams])
        assert curve.variance(k) == pytest.approx(found, rel=0.12)


def test_the_covariance_of_the_present_model_is_taken_into_account() -> None:
    """In other coordinates of the parameters the curve is the same."""
    generator = np.random.default_rng(4)
    frames = [generator.standard_normal((9, 6)) for _ in range(5)]
    half = generator.standard_normal((6, 6)) + 3 * np.eye(6)
    plain = learning_curve([x @ half for x in frames], [1.0] * 5, np.eye(6))
    whitened = learning_curve(frames, [1.0] * 5, half)
    for k in (0, 1, 7):
        assert plain.variance(k) == pytest.approx(whitened.variance(k), rel=1e-9)


def test_the_curve_falls_and_ends_as_one_over_the_number() -> None:
    generator = np.random.default_rng(2)
    frames = [generator.standard_normal((30, N_PARAMETERS)) for _ in range(5)]
    curve = learning_curve(frames, [1.0] * 5, np.eye(N_PARAMETERS))
    values = [curve.variance(k) for k in range(200)]
    assert (np.diff(values) < 0).all()
    assert curve.variance(20000) == pytest.approx(0.5 * curve.variance(10000), rel=1e-3)


@pytest.mark.parametrize("truncation", [0.0, 0.03])
def test_the_number_is_the_first_that_reaches_the_limit(truncation: float) -> None:
    curve, epistemic, limit = inverse_square_root(10), 0.11, 0.05
    number = curve.needed(epistemic, truncation, limit)
    assert number is not None
    after = [np.hypot(epistemic * np.sqrt(10 / (10 + k)), truncation) for k in (number, number - 1)]
    assert after[0] <= limit < after[1]


def test_the_ends_of_the_scale() -> None:
    """Nothing is needed below the limit, nothing helps where truncation exceeds it."""
    curve = inverse_square_root(4)
    assert curve.needed(0.01, 0.01, 0.05) == 0
    assert curve.needed(0.01, 0.06, 0.05) is None
    assert curve.needed(1.0, 0.0, 1e-6) is None
    assert LearningCurve(np.zeros(2), np.ones(2), np.inf).needed(1.0, 0.0, 0.5) is None


def test_the_margin_of_the_calibration_goes_away() -> None:
    """Errors that calibration on few configurations widens fall even where data teach nothing more."""
    nothing = LearningCurve(np.zeros(2), np.ones(2), np.inf, n_calibrated=4)
    for k in (0, 1, 10):
        factor = np.sqrt((1 + 0.5 / (4 + k)) / (1 + 0.5 / 4))
        assert nothing.error(0.03, 0.04, k) == pytest.approx(0.05 * factor, rel=1e-12)
    number = nothing.needed(0.03, 0.04, 0.0485)
    assert number is not None
    assert nothing.error(0.03, 0.04, number) <= 0.0485 < nothing.error(0.03, 0.04, number - 1)
    assert nothing.needed(0.03, 0.04, 0.05 / np.sqrt(1.125) - 1e-9) is None


def test_truncation_that_is_likely_decides_the_number_but_not_the_range() -> None:
    curve = inverse_square_root(2)
    unsure, likely = (
        Outlook(curve, 0.1, truncation_is_known=False, truncation_is_likely=known).forecast(0.05, 0.02, 0.04)
        for known in (False, True)
    )
    assert likely.n_calculations == curve.needed(0.05, 0.02, 0.04)
    assert unsure.n_calculations == curve.needed(np.hypot(0.05, 0.02), 0.0, 0.04)
    assert (likely.low, likely.high) == (unsure.low, unsure.high)


def test_the_range_holds_the_number_and_narrows_with_knowledge() -> None:
    spans = []
    for uncertainty in (0.0, 0.1, 0.3):
        found = Outlook(inverse_square_root(10), uncertainty, truncation_is_known=True).forecast(
            0.1, 0.01, 0.05
        )
        assert found.low is not None
        assert found.high is not None
        assert found.low <= found.n_calculations <= found.high
        spans.append(found.high - found.low)
    assert spans[0] == 0 < spans[1] < spans[2]


def test_truncation_that_cannot_be_judged_does_not_forbid() -> None:
    """It may be lack of data: the number is finite, and has no upper bound."""
    curve = inverse_square_root(2)
    assert Outlook(curve, 0.1, truncation_is_known=True).forecast(0.05, 0.06, 0.05) == Forecast(
        None, None, None
    )
    unsure = Outlook(curve, 0.1, truncation_is_known=False).forecast(0.05, 0.06, 0.05)
    assert unsure.n_calculations == curve.needed(np.hypot(0.05, 0.06), 0.0, 0.05)
    assert unsure.high is None


def test_calculations_made_count() -> None:
    assert Forecast(3, 2, None).after(2) == Forecast(1, 0, None)
    assert Forecast(1, 1, 1).after(2) == Forecast(0, 0, 0)
    assert str(Forecast(3, 2, None)) == "about 3 (2 to more)"
    assert str(Forecast(3, 3, 3)) == "about 3"
    assert str(Forecast(None, 3, None)) == "at least 3, perhaps out of reach"
    assert str(Forecast(None, None, None)) == "out of reach"


def test_scores_far_from_one_make_the_scale_less_certain() -> None:
    assert scale_uncertainty(4) > scale_uncertainty(16) > 0
    assert scale_uncertainty(4, [3.0, 0.3]) > scale_uncertainty(4) > scale_uncertainty(4, [1.0, 1.0])


def test_a_curve_needs_frames() -> None:
    with pytest.raises(FitError, match="frames"):
        learning_curve([], [], np.eye(2))
