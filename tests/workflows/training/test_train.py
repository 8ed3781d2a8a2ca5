"""`train`: dynamic to convergence, static, from given frames."""

import json
from pathlib import Path

import numpy as np
import pytest
from ase.calculators.emt import EMT

from mlff_dyn.store.dataset import read_snapshots, write_snapshots
from mlff_dyn.store.model_file import read_model
from tests.models import copper, emt_snapshots
from tests.workflows.training_project import CONFIG, Train, content, n_runs, relative_error


def test_dynamic_training_to_convergence(folder: Path, train: Train) -> None:
    """It converges, reports what it did, and the model is as good on new cells as it says."""
    result = train()
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    snapshots = read_snapshots(folder / "run/dataset.extxyz")
    assert report["status"] == "converged"
    assert report["n_labelled"] == report["n_calculations"] == len(snapshots) == n_runs(folder)
    assert report["force_sd_relative"] < 0.1
    assert {s.provenance.temperature_kelvin for s in snapshots} == {None, 200.0, 400.0}
    assert json.loads((folder / "run/train.json").read_text())["status"] == "converged"
    for snapshot in snapshots:
        atoms = copper() * (2, 2, 2)
        atoms.numbers, atoms.positions = snapshot.numbers, snapshot.positions
        atoms.set_cell(snapshot.cell)
        atoms.calc = EMT()
        np.testing.assert_allclose(snapshot.forces_ev_per_angstrom, atoms.get_forces(), atol=1e-12)
    model, _ = read_model(folder / "run/model.h5")
    used = [each for each in snapshots if each.provenance.set_aside is None]
    assert model.training.n_snapshots == len(used)
    assert relative_error(folder) < 0.1


def test_the_same_command_again_changes_nothing(folder: Path, train: Train) -> None:
    first = train()
    before = content(folder)
    second = train()
    assert second.exit_code == 0
    assert json.loads(second.stdout) == json.loads(first.stdout)
    assert content(folder) == before


def test_equal_configurations_give_equal_data(folder: Path, train: Train) -> None:
    for name in ("a", "b"):
        assert train("--run-dir", folder / name).exit_code == 0
    assert train("--run-dir", folder / "c", "--seed", 2).exit_code == 0
    a, b, c = ((folder / name / "dataset.extxyz").read_bytes() for name in "abc")
    assert a == b != c


def test_an_expansion_that_is_too_small_says_so(folder: Path, train: Train) -> None:
    result = train(
        "--set",
        "expansion.cutoffs_angstrom={2: full}",
        "--set",
        "training.criterion.force_error_limit_relative=0.005",
    )
    assert result.exit_code == 4
    report = json.loads(result.stdout)
    assert report["status"] == "limited by the expansion"
    assert report["n_calculations"] < 20
    sd = report["force_sd_ev_per_angstrom"]
    assert sd["truncation"] > sd["epistemic"]
    runs = n_runs(folder)
    again = train(
        "--set",
        "expansion.cutoffs_angstrom={2: full}",
        "--set",
        "training.criterion.force_error_limit_relative=0.005",
    )
    assert again.exit_code == 4
    assert n_runs(folder) == runs


def test_static_fit(folder: Path, train: Train) -> None:
    """No engine is needed, nothing is calculated, frames may be of several supercells; then a no-op."""
    frames = emt_snapshots((2, 2, 2), (0.05, 0.1, 0.1)) + emt_snapshots((3, 2, 2), (0.07,))
    write_snapshots(folder / "frames.extxyz", frames)
    text = CONFIG.replace(CONFIG[CONFIG.index("engine:") : CONFIG.index("training:")], "")
    (folder / "c.yaml").write_text(text)
    result = train("--dataset", folder / "frames.extxyz", "--static")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert (report["status"], report["n_labelled"], report["n_calculations"]) == ("static fit", 4, 0)
    assert n_runs(folder) == 0
    assert relative_error(folder) < 0.05
    before = content(folder)
    for arguments in (("--dataset", folder / "frames.extxyz", "--static"), ("--static",)):
        assert train(*arguments).exit_code == 0
        assert content(folder) == before


def test_training_goes_on_from_given_frames(folder: Path, train: Train) -> None:
    """They come first, unchanged; no rattled structure is calculated; resuming works with and without."""
    frames = emt_snapshots((2, 2, 2), (0.03, 0.06))
    write_snapshots(folder / "frames.extxyz", frames)
    result = train("--dataset", folder / "frames.extxyz")
    assert result.exit_code == 0, result.stderr
    found = read_snapshots(folder / "run/dataset.extxyz")
    for given, stored in zip(frames, found[:2], strict=True):
        np.testing.assert_array_equal(given.positions, stored.positions)
        np.testing.assert_array_equal(given.forces_ev_per_angstrom, stored.forces_ev_per_angstrom)
    assert all(s.provenance.temperature_kelvin is not None for s in found[2:])
    assert json.loads(result.stdout)["n_calculations"] == len(found) - 2 == n_runs(folder)
    before = content(folder)
    assert train("--dataset", folder / "frames.extxyz").exit_code == 0
    assert train().exit_code == 0
    assert content(folder) == before


def test_exploring_another_supercell(folder: Path, train: Train) -> None:
    """Structures may be taken from a cell other than the training cell; all are learnt together."""
    result = train("--set", "training.md_supercell=[3, 2, 2]")
    assert result.exit_code == 0, result.stderr
    sizes = [s.n_atoms for s in read_snapshots(folder / "run/dataset.extxyz")]
    assert sizes[:2] == [32, 32]
    assert set(sizes[2:]) == {48}


def test_the_number_of_threads_changes_nothing(folder: Path, train: Train) -> None:
    """Temperatures are explored one after the other, or next to each other."""
    few = ("--set", "training.n_steps=400", "--set", "training.max_calculations=5")
    for n_threads in (1, 4):
        train(*few, "--set", f"md.n_threads={n_threads}", "--run-dir", folder / str(n_threads))
    one, four = (folder / name / "dataset.extxyz" for name in ("1", "4"))
    assert one.read_bytes() == four.read_bytes()
    told = [(folder / name / "journal.jsonl").read_text() for name in ("1", "4")]
    assert told[0] == told[1]


def test_two_at_a_time(folder: Path, train: Train) -> None:
    result = train("--set", "execution.max_parallel=2")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["n_calculations"] == n_runs(folder)
    before = content(folder)
    assert train("--set", "execution.max_parallel=2").exit_code == 0
    assert content(folder) == before


@pytest.mark.parametrize(
    ("kind", "max_parallel"), [("i-optimal", 1), ("i-optimal", 2), ("d-optimal", 2), ("max-sd", 1)]
)
def test_frames_are_chosen_from_a_pool(folder: Path, train: Train, kind: str, max_parallel: int) -> None:
    """It converges, on other frames than the last ones; the same again changes nothing."""
    options = [f"training.selection.kind={kind}", f"execution.max_parallel={max_parallel}"]
    words = [word for option in options for word in ("--set", option)]
    result = train(*words, "--set", "training.selection.n_pool=15")
    assert result.exit_code == 0, result.stderr
    assert relative_error(folder) < 0.1
    before = content(folder)
    assert train(*words, "--set", "training.selection.n_pool=15").exit_code == 0
    assert content(folder) == before
    last = ("--run-dir", folder / "last", "--set", "training.selection.kind=last")
    assert train(*words[2:], *last).exit_code == 0
    chosen, other = (read_snapshots(folder / name / "dataset.extxyz") for name in ("run", "last"))
    assert np.abs(chosen[2].positions - other[2].positions).max() > 1e-3


def test_the_journal_foretells_the_calculations(folder: Path, train: Train) -> None:
    """Every call comes with a forecast, as often as it is explored; the range holds the number."""
    assert train().exit_code == 0
    events = [json.loads(line) for line in (folder / "run/journal.jsonl").read_text().splitlines()]
    forecasts = [e for e in events if e["event"] == "forecast"]
    calls = [e for e in events if e["event"] == "explored" and e["reason"] != "no call"]
    assert [f["n_snapshots"] for f in forecasts] == [c["n_snapshots"] for c in calls]
    for found in forecasts:
        assert found["forecast_calculations"] is not None
        assert found["forecast_calculations_low"] <= found["forecast_calculations"]


def test_dry_run_writes_nothing(folder: Path, train: Train) -> None:
    before = content(folder)
    result = train("--dry-run")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert found["n_atoms"] == 32
    assert found["engine"] == {"kind": "ase", "calculator": "tests.workflows.counting_calculator:CountingEMT"}
    assert content(folder) == before
    assert not (folder / "run").exists()


def test_the_journal_tells_the_story(folder: Path, train: Train) -> None:
    assert train().exit_code == 0
    events = [json.loads(line) for line in (folder / "run/journal.jsonl").read_text().splitlines()]
    labelled = [e for e in events if e["event"] == "labelled"]
    snapshots = read_snapshots(folder / "run/dataset.extxyz")
    assert [e["n_snapshots"] for e in labelled] == list(range(1, len(snapshots) + 1))
    assert all("expected_force_error_ev_per_angstrom" in e for e in labelled[1:])
    refits = [e["n_snapshots"] for e in events if e["event"] == "refit"]
    assert refits == list(range(1, len(snapshots) + 1))
    assert events[-1]["status"] == "converged"
    report = json.loads((folder / "run/train.json").read_text())
    assert report["n_steps"] == sum(e["n_steps"] for e in events if e["event"] == "explored")


def test_data_of_another_run_are_no_calculations_of_this_one(folder: Path, train: Train) -> None:
    """The data set of a run is a data set like any other: the new run has its whole budget."""
    assert train().exit_code == 0
    n_given = len(read_snapshots(folder / "run/dataset.extxyz"))
    data = folder / "run/dataset.extxyz"
    overrides = [f"training.max_calculations={n_given}", "training.temperatures_kelvin=[200, 700]"]
    options = [word for override in overrides for word in ("--set", override)]
    result = train("--run-dir", folder / "second", "--dataset", data, "--seed", 3, *options)
    report = json.loads(result.stdout)
    assert result.exit_code == 0, report
    assert report["n_calculations"] == report["n_labelled"] - n_given


def test_a_dataset_may_grow(folder: Path, train: Train) -> None:
    """A static fit follows the file it is given, so that Makefile rules work."""
    assert train().exit_code == 0
    frames = read_snapshots(folder / "run/dataset.extxyz")
    data, options = folder / "grown.extxyz", ("--static", "--run-dir", folder / "static")
    for n in (2, len(frames), len(frames)):
        write_snapshots(data, frames[:n])
        result = train(*options, "--dataset", data)
        assert result.exit_code == 0, result.stderr
        assert json.loads(result.stdout)["n_labelled"] == n
