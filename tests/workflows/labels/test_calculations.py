"""`label list` and `label run`: what is pending is made once, and enters the data set."""

import json
from pathlib import Path

import ase.io
import pytest

from mlff_dyn.config.load import load_config
from mlff_dyn.engines.registry import create_engine
from mlff_dyn.execution.calculation import prepare
from mlff_dyn.store.dataset import read_snapshots
from mlff_dyn.workflows.setup.workspace import Workspace
from mlff_dyn.workflows.snapshots import displaced_atoms
from tests.workflows.conftest import invoke
from tests.workflows.labels.test_score import frames_of
from tests.workflows.training_project import Train, n_runs, refused


def answer(*args: object, code: int = 0) -> dict:
    result = invoke("label", *args, "--json", "-q")
    assert result.exit_code == code, result.stderr
    return dict(json.loads(result.stdout))


def states(found: dict) -> dict[str, str]:
    return {each["name"]: each["state"] for each in found["calculations"]}


@pytest.fixture
def trained(folder: Path, train: Train) -> Path:
    assert train().exit_code == 0
    ase.io.write(folder / "md.traj", frames_of((2, 2, 2), (0.04, 0.12, 0.06, 0.1)))
    return folder


def test_chosen_frames_are_calculated_once_and_enter_the_data_set(trained: Path, train: Train) -> None:
    config, run = trained / "c.yaml", trained / "run"
    before, made = read_snapshots(run / "dataset.extxyz"), n_runs(trained)
    chosen = answer("score", config, trained / "md.traj", "--n", 2, "--write", run / "calculations")["next"]
    names = sorted(f"md-{number:06d}" for number in chosen)
    assert [name for name, state in states(answer("list", config)).items() if state == "pending"] == names
    assert answer("run", config, "--dry-run")["status"] == "dry run"
    assert n_runs(trained) == made
    found = answer("run", config)
    assert found["added"] == names
    assert set(states(found).values()) == {"finished"}
    assert all("energy_ev" in each for each in found["calculations"])
    assert n_runs(trained) == made + 2
    assert answer("run", config)["added"] == []
    assert n_runs(trained) == made + 2
    data = read_snapshots(run / "dataset.extxyz")
    assert len(data) == len(before) + 2
    label = data[-1].provenance
    assert (label.calculation, label.reason) == (names[-1], "chosen by label score")
    assert label.file.endswith("md.traj")
    assert label.expected_force_error_ev_per_angstrom > 0.0
    assert label.found_force_error_ev_per_angstrom > 0.0
    told = json.loads(invoke("status", config, "--json").stdout)
    assert (told["status"], told["n_untrained"]) == ("labelled frames that are not trained on", 2)
    again = json.loads(train().stdout)
    assert again["n_labelled"] >= len(data)


def test_calculations_of_a_training_are_left_to_it(folder: Path, train: Train) -> None:
    """One that a killed training has written is made here, and trained on there, not made again."""
    config = load_config(folder / "c.yaml", [])
    assert train("--set", "training.max_calculations=2").exit_code == 4
    data = read_snapshots(folder / "run" / "dataset.extxyz")
    assert train().exit_code == 0
    third = read_snapshots(folder / "run" / "dataset.extxyz")[2]
    made = n_runs(folder)
    engine = create_engine(**config.require_engine().model_dump())
    other = folder / "other"
    torus = Workspace(config).training_torus
    prepare(engine, displaced_atoms(torus, third.positions - torus.positions), other / "0003")
    found = answer("run", folder / "c.yaml", "--calculations", other)
    assert states(found) == {"0003": "finished"}
    assert found["added"] == []
    assert n_runs(folder) == made + 1
    assert len(data) == 2


def test_results_of_another_folder_are_held_out(trained: Path) -> None:
    """Nothing is trained on them, and validate reads them where they are."""
    config, other = trained / "c.yaml", trained / "held-out"
    answer("score", config, trained / "md.traj", "--n", 2, "--write", other)
    before = (trained / "run" / "dataset.extxyz").read_bytes()
    found = answer("run", config, "--calculations", other)
    assert (set(states(found).values()), found["added"]) == ({"finished"}, [])
    assert (trained / "run" / "dataset.extxyz").read_bytes() == before
    result = invoke("validate", config, found["data_set"], "--json", "-q")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["n_snapshots"] == 2


def test_a_failed_calculation_is_named_and_others_are_kept(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, calculations = trained / "c.yaml", trained / "run" / "calculations"
    answer("score", config, trained / "md.traj", "--n", 2, "--write", calculations)
    monkeypatch.setenv("EXPLODE", str(n_runs(trained) + 2))
    broken = sorted(calculations.glob("md-*"))[1] / "input.extxyz"
    text = broken.read_text()
    broken.write_text("nothing\n")
    listed = {each["name"]: each for each in answer("list", config)["calculations"]}
    assert listed[broken.parent.name]["state"] == "pending"
    broken.write_text(text)
    (broken.parent / "calculation.json").write_text("{}")
    listed = {each["name"]: each for each in answer("list", config)["calculations"]}
    assert listed[broken.parent.name]["state"] == "failed"
    assert "calculation.json" in listed[broken.parent.name]["reason"]
    assert len(answer("run", config)["added"]) == 1


def test_other_parameters_are_refused(trained: Path) -> None:
    config, calculations = trained / "c.yaml", trained / "run" / "calculations"
    answer("score", config, trained / "md.traj", "--n", 1, "--write", calculations)
    other = ["--set", "engine.parameters.arguments={asap_cutoff: true}"]
    refused(invoke("label", "run", config, "-q", *other), 2, "other parameters of the engine")
    finished = answer("list", config, *other)["calculations"][0]
    assert finished["reason"] == "of other engine parameters"


def test_no_calculations_are_one_line(folder: Path) -> None:
    refused(invoke("label", "list", folder / "c.yaml", "-q"), 3, "mlff-dyn train")
    refused(invoke("label", "run", folder / "c.yaml", "-q", "--calculations", folder / "no"), 3, "no")
