"""What `train` and `run-md` say about each temperature, and what they advise."""

import json
from pathlib import Path

import pytest

from mlff_dyn.config.load import load_config
from mlff_dyn.errors import SimulationError
from mlff_dyn.report.progress import NullProgress
from mlff_dyn.training.criteria.errors import MeanErrors
from mlff_dyn.workflows.md.run_md import run_md
from mlff_dyn.workflows.training.advice import advice_for_budget
from tests.workflows.training_project import CONFIG, Train, n_runs, refused


def test_every_temperature_has_its_row(folder: Path, train: Train) -> None:
    result = train()
    found = json.loads(result.stdout)["temperatures"]
    assert [row["temperature_kelvin"] for row in found] == [200, 400]
    assert {row["status"] for row in found} == {"converged"}
    assert sum(row["n_steps"] for row in found) == json.loads(result.stdout)["n_steps"]
    assert sum(row["n_calculations"] for row in found) == n_runs(folder) - 2
    worst = json.loads(result.stdout)["force_sd_relative"]
    assert max(row["force_sd_relative"] for row in found) == pytest.approx(worst)
    assert json.loads(result.stdout)["advice"] == ""


def test_a_finished_temperature_is_told_when_another_fails(folder: Path, train: Train) -> None:
    assert train().exit_code == 0
    n_total = n_runs(folder)
    (folder / "c.yaml").write_text(CONFIG.replace("CountingEMT", "FailingEMT"))
    (folder / "runs").unlink()
    (folder / "runs.fail").write_text(str(n_total))
    result = train("--run-dir", folder / "failing")
    refused(result, 5, "out of memory", "200 K: converged; expected")
    assert "400 K: " not in result.stderr


@pytest.mark.parametrize("limit", [0.02, 0.001])
def test_a_spent_budget_is_not_raised_where_the_expansion_is_the_limit(
    folder: Path, train: Train, limit: float
) -> None:
    settings = [
        "expansion.cutoffs_angstrom={2: full}",
        "training.temperatures_kelvin=[600]",
        "training.max_calculations=3",
        f"training.criterion.force_error_limit_relative={limit}",
    ]
    result = train(*(f"--set={setting}" for setting in settings))
    answer = json.loads(result.stdout)
    assert result.exit_code == 4
    parts = answer["force_sd_ev_per_angstrom"]
    assert parts["truncation"] > parts["epistemic"]
    assert "raise training.max_calculations" not in answer["advice"]
    first, *others = answer["advice_steps"]
    assert answer["advice"].startswith(f"{first['change']} would lower the held-out error from ")
    assert f" to {100 * first['held_out_error_relative']:.2f} %" in answer["advice"]
    assert first["held_out_error_relative"] <= 1.05 * min(each["held_out_error_relative"] for each in others)


def test_advice_where_the_dynamics_left_nothing_to_judge() -> None:
    nothing = MeanErrors(*[float("nan")] * 4)
    for errors in (None, nothing):
        assert advice_for_budget(errors, 0.05, is_tested=False).startswith(
            "lower training.temperatures_kelvin"
        )


def test_finished_trajectories_are_told_when_another_stops(project: Path) -> None:
    lines: list[str] = []

    class Listening(NullProgress):
        def log(self, message: str) -> None:
            lines.append(message)

    settings = ["md.temperatures_kelvin=[100, 900]", "md.displacement_limit_angstrom=0.25"]
    config = load_config(project / "CONFIG.yaml", settings)
    with pytest.raises(SimulationError, match="900 K"):
        run_md(config, dry_run=False, force=False, progress=Listening())
    assert any(line == "100 K: md/100K-7/trajectory.h5" for line in lines)
    assert not any(line.startswith("900 K: ") for line in lines)
