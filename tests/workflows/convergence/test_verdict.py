"""The verdict and the forecast, on errors that are known."""

import dataclasses
from itertools import pairwise

import numpy as np
import pytest

from mlff_dyn.model.force_field import TrainingSummary
from mlff_dyn.regression.planning.forecast import LearningCurve, Outlook
from mlff_dyn.training.criteria.errors import FrameErrors
from mlff_dyn.workflows.convergence.convergence_report import ConvergenceReport
from mlff_dyn.workflows.convergence.found_errors import FoundErrors
from mlff_dyn.workflows.convergence.sampling import Replica
from mlff_dyn.workflows.convergence.single_reference import SingleReference
from mlff_dyn.workflows.convergence.verdict import EXPANSION_IS_THE_LIMIT, forecast, judge

NO_FRAMES = np.empty((0, 32, 3))
TRAINED = TrainingSummary(5, 0.08, 0.25, 1.0, 0.0, 0.0, 0.0)


def replicas(epistemic: np.ndarray, truncation: float = 0.0, force: float = 2.0) -> list[Replica]:
    """Trajectories of given epistemic errors, shape (n_replicas, n_frames)."""
    return [
        Replica(
            tuple(
                FrameErrors(force, float(e), truncation, float(np.hypot(e, truncation)), 0.1, 0.3)
                for e in row
            ),
            None,
            NO_FRAMES,
        )
        for row in epistemic
    ]


def outlook() -> Outlook:
    """Epistemic variance falls as one over the number of snapshots, of which there are ten."""
    return Outlook(LearningCurve(np.full(2, 0.1), np.ones(2), np.inf), 0.1, truncation_is_known=True)


def noisy(mean: float, sd: float) -> np.ndarray:
    return mean + sd * np.random.default_rng(0).standard_normal((4, 500))


def test_constant_errors_have_no_statistical_error() -> None:
    verdict = judge(300.0, replicas(np.full((3, 50), 0.08)), limit=0.05, trained=TRAINED, outlook=outlook)
    assert verdict.converged
    assert (verdict.force_sd_mean, verdict.limit) == (pytest.approx(0.08), pytest.approx(0.1))
    assert verdict.force_sd_relative == pytest.approx(0.04)
    assert verdict.statistical_error == pytest.approx(0.0, abs=1e-12)
    assert (verdict.n_frames, verdict.n_stopped, verdict.forecast_calculations) == (150, 0, 0)


@pytest.mark.parametrize(
    ("rms", "maximum", "is_covered"), [(0.04, 0.1, False), (0.06, 0.1, True), (0.04, 0.2, True)]
)
def test_errors_far_beyond_the_data_are_no_verdict(rms: float, maximum: float, is_covered: bool) -> None:
    """The trajectories have 0.1 and 0.3 Å; the data may lack one of the two, or half of each."""
    trained = dataclasses.replace(TRAINED, displacement_rms_angstrom=rms, displacement_max_angstrom=maximum)
    verdict = judge(300.0, replicas(np.full((3, 50), 0.01)), limit=0.05, trained=trained, outlook=outlook)
    assert verdict.converged == is_covered
    assert (verdict.displacement_rms_angstrom, verdict.displacement_max_angstrom) == pytest.approx((0.1, 0.3))
    assert is_covered or "errors are extrapolated" in verdict.reasons[0]


def test_the_statistical_error_counts_against_convergence() -> None:
    """The same mean is accepted with many frames and refused with few."""
    errors = noisy(0.0985, 0.02)
    assert judge(300.0, replicas(errors), limit=0.05, trained=TRAINED, outlook=outlook).converged
    few = judge(
        300.0,
        replicas(errors[:1, :20] - errors[:1, :20].mean() + 0.0985),
        limit=0.05,
        trained=TRAINED,
        outlook=outlook,
    )
    assert not few.converged
    assert "statistical error" in few.reasons[0]
    assert few.forecast_calculations >= 1


def test_rare_large_errors_count_too() -> None:
    errors = np.full((2, 500), 0.05)
    errors[:, ::40] = 0.25
    verdict = judge(300.0, replicas(errors), limit=0.05, trained=TRAINED, outlook=outlook)
    assert verdict.force_sd_relative < 0.04
    assert not verdict.converged
    assert verdict.reasons == ("1 % of the frames exceed 10 %",)


def test_a_trajectory_that_left_the_region_is_a_no_without_a_crash() -> None:
    good = replicas(np.full((1, 50), 0.01))
    stopped = Replica(good[0].frames[:7], "at 300 K, step 140, atom 3 (Cu) is 0.9 Å from its site", NO_FRAMES)
    verdict = judge(300.0, [*good, stopped], limit=0.05, trained=TRAINED, outlook=outlook)
    assert not verdict.converged
    assert (
        "1 of 2 trajectories left the trusted region: at 300 K, step 140, atom 3 (Cu)" in verdict.reasons[0]
    )
    assert (verdict.n_frames, verdict.forecast_calculations) == (50, 1)
    nothing = judge(300.0, [stopped, stopped], limit=0.05, trained=TRAINED, outlook=outlook)
    assert (nothing.converged, nothing.force_sd_mean, nothing.forecast_calculations) == (False, None, None)
    assert ConvergenceReport("not converged", (verdict, nothing), 0.05, 32).forecast_calculations is None


@pytest.mark.parametrize("truncation", [0.0, 0.03])
def test_the_forecast_number_of_calculations_reaches_the_limit(truncation: float) -> None:
    """Here epistemic variance falls as one over the number of snapshots."""
    limit, epistemic = 0.05, 0.11
    excess = np.hypot(epistemic, truncation) / limit
    more = forecast(outlook(), epistemic, truncation, limit=limit, excess=excess)
    after = [
        np.hypot(epistemic * np.sqrt(10 / (10 + more.n_calculations - fewer)), truncation) for fewer in (0, 1)
    ]
    assert after[0] <= limit < after[1]
    assert more.low <= more.n_calculations <= more.high


def test_truncation_above_the_limit_has_no_forecast() -> None:
    assert forecast(outlook(), 0.01, 0.06, limit=0.05, excess=1.3).n_calculations is None
    verdict = judge(
        300.0, replicas(np.full((2, 50), 0.02), truncation=0.2), limit=0.05, trained=TRAINED, outlook=outlook
    )
    assert verdict.forecast_calculations is None
    assert verdict.reasons[-1] == EXPANSION_IS_THE_LIMIT
    assert verdict.force_sd_truncation == pytest.approx(0.2)


def test_the_report_gives_the_range() -> None:
    verdict = judge(300.0, replicas(np.full((2, 50), 0.2)), limit=0.05, trained=TRAINED, outlook=outlook)
    report = ConvergenceReport("not converged", (verdict,), 0.05, 32)
    low, high = verdict.forecast_calculations_low, verdict.forecast_calculations_high
    expected = f"about {verdict.forecast_calculations} ({low} to {high})"
    assert report.table()[-1] == ("more calculations", expected)


def test_a_stricter_limit_never_needs_fewer_calculations() -> None:
    counts = [
        judge(
            300.0, replicas(noisy(0.2, 0.01)), limit=limit, trained=TRAINED, outlook=outlook
        ).forecast_calculations
        for limit in (0.2, 0.09, 0.05, 0.02)
    ]
    assert counts[0] == 0
    assert all(a < b for a, b in pairwise(counts))


def test_errors_are_corrected_where_calculations_were_found_farther_off() -> None:
    """Trajectories have 0.1 Å; frames of 0.02 Å say nothing about them, and a small factor is chance."""
    found = FoundErrors((0.02, 0.02, 0.1, 0.12), (0.8, 0.9, 2.0, 2.0))
    assert found.factor(0.1) == (pytest.approx(np.sqrt(3.0)), 2)
    assert found.factor(0.02) == (1.0, 2)
    assert FoundErrors((0.1, 0.1), (0.5, 1.3)).factor(0.1) == (1.0, 2)
    assert FoundErrors().factor(0.1) == (1.0, 0)
    plain = judge(300.0, replicas(np.full((3, 50), 0.07)), limit=0.05, trained=TRAINED, outlook=outlook)
    corrected = judge(
        300.0, replicas(np.full((3, 50), 0.07)), limit=0.05, trained=TRAINED, outlook=outlook, found=found
    )
    assert (plain.converged, corrected.converged) == (True, False)
    assert corrected.force_sd_mean == pytest.approx(np.sqrt(3.0) * plain.force_sd_mean)
    assert corrected.force_sd_epistemic == pytest.approx(np.sqrt(3.0) * plain.force_sd_epistemic)
    assert corrected.forecast_calculations > 0
    told = dict(corrected.rows())["  corrected"]
    assert told.startswith("1.73 times: as much farther off than expected 2 calculations")
    assert "  corrected" not in dict(plain.rows())


def test_imaginary_modes_and_signs_in_dynamics_speak_against_one_reference() -> None:
    verdict = judge(300.0, replicas(np.full((3, 50), 0.07)), limit=0.05, trained=TRAINED, outlook=outlook)
    doubted = dataclasses.replace(
        verdict, single_reference=SingleReference(0.2, 1.0, 0.02, (), ("wells beside the sites",))
    )
    for verdicts, warnings, holds in (
        ((verdict,), (), True),
        ((verdict,), ("order 2 has imaginary modes",), False),
        ((verdict, doubted), (), False),
    ):
        report = ConvergenceReport("converged", verdicts, 0.05, 32, warnings)
        assert report.to_json()["single_reference_holds"] == holds
    assert dict(doubted.rows())["  one reference"] == "wells beside the sites"
