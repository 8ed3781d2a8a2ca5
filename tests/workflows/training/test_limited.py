"""`limited by the expansion` is said only where calculations have confirmed the error bars of dynamics."""

import json
from dataclasses import replace
from pathlib import Path

import ase.io
import pytest

from mlff_dyn.store.provenance import Provenance
from mlff_dyn.training.limits import LIMITS
from mlff_dyn.workflows.training import learner
from mlff_dyn.workflows.training.train_report import BUDGET, LIMITED
from tests.workflows.training_project import Train

BLAMED = (
    "--set=expansion.cutoffs_angstrom={2: full}",
    "--set=training.temperatures_kelvin=[500]",
    "--set=training.initial={kind: thermal, n: 6}",
    "--set=training.criterion.force_error_limit_relative=0.003",
)
LOCAL = "expansion.local={cutoff_angstrom: 3.0, n_radial: 2, l_max: 0}"


@pytest.mark.parametrize(
    "more", [(), (LOCAL,), ("execution.max_parallel=2",), ("execution.max_parallel=3", LOCAL)]
)
def test_two_frames_of_dynamics_were_predicted_before_the_expansion_is_blamed(
    folder: Path, train: Train, more: tuple[str, ...]
) -> None:
    """First structures, however many were predicted, do not stand for dynamics."""
    result = train(*BLAMED, *(f"--set={setting}" for setting in more))
    assert json.loads(result.stdout)["status"] == LIMITED
    frames = ase.io.read(folder / "run/dataset.extxyz", ":")
    labels = [Provenance.from_info(frame.info) for frame in frames]
    scores = [label.score for label in labels if label.is_of_dynamics]
    assert len(scores) >= LIMITS.predictions_for_truncation
    assert max(scores[-LIMITS.predictions_for_truncation :]) < LIMITS.accepted_score


def test_which_calculations_are_of_dynamics() -> None:
    asked = Provenance(engine="6f1c", reason="error above the limit", temperature_kelvin=300.0)
    assert asked.is_of_dynamics
    assert not asked.as_given().is_of_dynamics
    for reason in ("initial structure", "initial structure; in 0002, noise", None):
        assert not Provenance(engine="6f1c", reason=reason, temperature_kelvin=300.0).is_of_dynamics


def test_a_truncation_that_data_still_change_is_not_blamed(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same training goes on to its budget where no two fits agree enough."""
    monkeypatch.setattr(learner, "LIMITS", replace(LIMITS, largest_change=1.0))
    settings = ("training.criterion.force_error_limit_relative=0.1", "training.max_calculations=9")
    result = train(*BLAMED, *(f"--set={setting}" for setting in settings))
    assert json.loads(result.stdout)["status"] == BUDGET


def test_truncation_that_stays_as_it_is_is_blamed(train: Train) -> None:
    settings = ("training.criterion.force_error_limit_relative=0.1", "training.max_calculations=16")
    result = train(*BLAMED, *(f"--set={setting}" for setting in settings))
    report = json.loads(result.stdout)
    assert report["status"] == LIMITED
    assert 8 <= report["n_labelled"] < 16
