"""`train` with a ramp: its calls, its end, its rows in what is told, and a command that is cut."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mlff_dyn.cli.app import app
from mlff_dyn.config.load import load_config
from mlff_dyn.store.dataset import read_snapshots
from mlff_dyn.store.provenance import Provenance
from mlff_dyn.workflows.training.ramps import ramp_of, ramp_warnings
from tests.workflows.training_project import Train, check_that_a_budget_changes_nothing, refused

FAST = (
    "--set", "expansion.cutoffs_angstrom={2: full, 3: 2.7}", "--set", "training.n_steps=400",
    "--set", "training.exploration.ramp={kelvin_per_picosecond: 40}", "--set", "md.timestep_femtoseconds=4",
    "--set", "training.criterion.force_error_limit_relative=0.2",
)  # fmt: skip
FIXED = ("--set", "training.criterion={kind: fixed, fixed: {interval_steps: 600}}")


def provenances(folder: Path, name: str = "run") -> list[Provenance]:
    return [snapshot.provenance for snapshot in read_snapshots(folder / name / "dataset.extxyz")]


def told(folder: Path, verb: str) -> str:
    result = CliRunner().invoke(app, [verb, str(folder / "c.yaml"), *FAST])
    assert result.exit_code == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("at_once", [1, 2])
def test_a_ramp_comes_first_and_calls(folder: Path, train: Train, at_once: int) -> None:
    """Then the temperatures are tested; where nothing is in flight, a budget in between changes nothing."""
    options = (*FAST, "--set", f"execution.max_parallel={at_once}")
    result = train(*options)
    assert result.exit_code == 0, result.stderr
    found = provenances(folder)
    assert found[2].is_of_ramp
    assert 200.0 < (found[2].temperature_kelvin or 0.0) <= 520.0
    assert {200.0, 400.0} <= {label.temperature_kelvin for label in found}
    assert [t["status"] for t in json.loads(result.stdout)["temperatures"]] == ["converged"] * 2
    assert "ramp" in told(folder, "status")
    told(folder, "report")
    assert (folder / "run/report/ramp.svg").exists()
    if at_once == 1:
        check_that_a_budget_changes_nothing(folder, train, options, len(found))


def test_a_ramp_that_goes_on_is_heated_further(folder: Path, train: Train) -> None:
    options = (*FAST, *FIXED, "--set", "training.temperatures_kelvin=[400]")
    train(*options, "--set", "training.max_calculations=6")
    ramped = [label.temperature_kelvin for label in provenances(folder) if label.is_of_ramp]
    assert ramped[:1] == pytest.approx([400.0 + 40.0 * (2.4 - 0.5)])
    assert ramped == sorted(ramped, key=float)
    for n in (4, 6):
        train(*options, "--set", f"training.max_calculations={n}", "--run-dir", folder / "cut")
    assert (folder / "cut/dataset.extxyz").read_bytes() == (folder / "run/dataset.extxyz").read_bytes()


def test_ramps_that_leave_in_vain_end_earlier(folder: Path) -> None:
    """Above all temperatures asked for, or where the frame was predicted well; not where data lacked."""
    config = load_config(folder / "c.yaml", FAST[1::2])

    def left(kelvin: float, score: float) -> Provenance:
        reason = "left the trusted region on a ramp"
        return Provenance(reason=reason, temperature_kelvin=kelvin, score=score)

    def top(known: list[Provenance]) -> float:
        ramp = ramp_of(config, known)
        assert ramp is not None
        return ramp.to_kelvin

    assert top([left(480.0, 5.0)]) == 520.0
    assert top([left(480.0, 5.0), left(455.0, 3.0)]) == 400.0
    assert top([left(280.0, 5.0), left(355.0, 3.0), left(355.0, 1.0)]) == 520.0
    vain = [left(280.0, 1.2), left(355.0, 1.0)]
    assert top(vain) == 280.0
    assert not ramp_warnings(config, vain[:1])
    assert ramp_warnings(config, vain) == [
        "ramps left the trusted region at 280 K and 355 K, so later ones end at 280 K"
    ]


@pytest.mark.parametrize(
    ("section", "word"),
    [
        ("{ramp: {kelvin_per_picosecond: 41}}", "set it to 40 at most"),
        ("{ramp: {from_kelvin: 600}}", "does not rise"),
        ("{ramp: {to_factor: 0.9}}", "to_factor"),
        ("{ramp: {}, dynamics: false, file: a.xyz}", "no dynamics"),
    ],
)
def test_a_ramp_that_cannot_be_meant_is_refused(folder: Path, train: Train, section: str, word: str) -> None:
    for options in ((), ("--dry-run",)):
        refused(train("--set", f"training.exploration={section}", *options), 2, "training.exploration", word)
    assert not (folder / "run/dataset.extxyz").exists()
