"""`train`: dynamic to convergence, static, resumed, at its budget, and refused."""

import json
from collections.abc import Callable
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from typer.testing import CliRunner, Result

from mlff_dyn.cli.app import app
from mlff_dyn.store.dataset import Snapshot, read_snapshots, write_snapshots
from mlff_dyn.store.model_file import read_model
from tests.models import copper, emt_snapshots

CONFIG = """\
structure: {file: Cu.vasp, supercell: [2, 2, 2]}
expansion: {cutoffs_angstrom: {2: full, 3: 2.7, 4: {2: 2.7}}}
engine:
  kind: ase
  parameters: {calculator: "tests.workflows.counting_calculator:CountingEMT"}
training:
  temperatures_kelvin: [200, 400]
  n_steps: 1200
  max_calculations: 20
  criterion: {force_error_limit_relative: 0.1}
  initial: {n: 2}
"""

Train = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of copper whose engine counts its runs in ``runs``."""
    monkeypatch.setenv("RUNS", str(tmp_path / "runs"))
    ase.io.write(tmp_path / "Cu.vasp", copper(), format="vasp", direct=True)
    (tmp_path / "c.yaml").write_text(CONFIG, encoding="utf-8")
    return tmp_path


@pytest.fixture
def train(folder: Path) -> Train:
    """Run the command in this process."""

    def run(*args: object) -> Result:
        return CliRunner().invoke(app, ["train", str(folder / "c.yaml"), "--json", *map(str, args)])

    return run


def n_runs(folder: Path) -> int:
    path = folder / "runs"
    return len(path.read_text().split()) if path.exists() else 0


def content(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file with its bytes and the time of its last change; the lock is not part of the results."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def refused(result: Result, code: int, *words: str) -> None:
    assert result.exit_code == code, (result.exit_code, result.stderr, result.exception)
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in " ".join(result.stderr.split())


def test_dynamic_training_to_convergence(folder: Path, train: Train) -> None:
    """It converges, reports what it did, and the model is as good on new cells as it says."""
    result = train()
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    snapshots = read_snapshots(folder / "run/dataset.extxyz")
    assert report["status"] == "converged"
    assert report["n_labelled"] == report["n_calculations"] == len(snapshots) == n_runs(folder)
    assert report["force_sd_relative"] < 0.1
    assert {s.info.get("temperature_kelvin") for s in snapshots} == {None, 200.0, 400.0}
    assert json.loads((folder / "run/train.json").read_text())["status"] == "converged"
    for snapshot in snapshots:
        atoms = copper() * (2, 2, 2)
        atoms.numbers, atoms.positions = snapshot.numbers, snapshot.positions
        atoms.set_cell(snapshot.cell)
        atoms.calc = EMT()
        np.testing.assert_allclose(snapshot.forces_ev_per_angstrom, atoms.get_forces(), atol=1e-12)
    model, _ = read_model(folder / "run/model.h5")
    assert model.training.n_snapshots == len(snapshots)
    assert _relative_error(folder) < 0.1


def _relative_error(folder: Path) -> float:
    from mlff_dyn.model.calculator import ForceFieldCalculator

    model, _ = read_model(folder / "run/model.h5")
    (test,) = emt_snapshots((2, 2, 2), (0.08,), seed=9)
    atoms = copper() * (2, 2, 2)
    atoms.positions = test.positions
    atoms.calc = ForceFieldCalculator(model)
    error = atoms.get_forces() - test.forces_ev_per_angstrom
    return float(np.linalg.norm(error) / np.linalg.norm(test.forces_ev_per_angstrom))


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


def test_a_budget_ends_with_exit_code_four_and_may_be_raised(folder: Path, train: Train) -> None:
    """Raising it goes on to the very data of a run that had the larger budget from the start."""
    result = train("--set", "training.max_calculations=3")
    assert result.exit_code == 4
    assert json.loads(result.stdout)["status"] == "budget exhausted"
    assert n_runs(folder) == 3
    assert (folder / "run/model.h5").exists()
    again = train("--set", "training.max_calculations=3")
    assert again.exit_code == 4
    assert n_runs(folder) == 3
    assert train().exit_code == 0
    n_total = n_runs(folder)
    assert train("--run-dir", folder / "straight").exit_code == 0
    straight = (folder / "straight/dataset.extxyz").read_bytes()
    assert (folder / "run/dataset.extxyz").read_bytes() == straight
    assert n_runs(folder) == 2 * n_total


def test_a_tiny_budget_stops_within_the_first_structures(folder: Path, train: Train) -> None:
    assert train("--set", "training.max_calculations=1").exit_code == 4
    assert n_runs(folder) == 1


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
    assert _relative_error(folder) < 0.05
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
    assert all("temperature_kelvin" in s.info for s in found[2:])
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


def test_two_at_a_time(folder: Path, train: Train) -> None:
    result = train("--set", "execution.max_parallel=2")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["n_calculations"] == n_runs(folder)
    before = content(folder)
    assert train("--set", "execution.max_parallel=2").exit_code == 0
    assert content(folder) == before


def test_dry_run_writes_nothing(folder: Path, train: Train) -> None:
    before = content(folder)
    result = train("--dry-run")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["n_atoms"] == 32
    assert content(folder) == before
    assert not (folder / "run").exists()


def test_a_failed_engine_keeps_what_is_done(folder: Path, train: Train) -> None:
    """Exit code 5 names the directory; with the cause gone the same command goes on to the same data."""
    failing = CONFIG.replace("CountingEMT", "FailingEMT")
    (folder / "c.yaml").write_text(failing)
    (folder / "runs.fail").write_text("4")
    result = train()
    refused(result, 5, "calculations/0004", "out of memory")
    assert len(read_snapshots(folder / "run/dataset.extxyz")) == 3
    (folder / "runs.fail").unlink()
    assert train().exit_code == 0
    n_total = len(read_snapshots(folder / "run/dataset.extxyz"))
    assert n_runs(folder) == n_total + 1
    assert train("--run-dir", folder / "straight").exit_code == 0
    assert (folder / "run/dataset.extxyz").read_bytes() == (folder / "straight/dataset.extxyz").read_bytes()


@pytest.fixture
def trained(folder: Path, train: Train) -> Path:
    """A project at its budget of three calculations, so that there is more to do."""
    assert train("--set", "training.max_calculations=3").exit_code == 4
    return folder


def test_other_engine_parameters_are_refused(trained: Path, train: Train) -> None:
    before = content(trained)
    refused(train("--set", 'engine.parameters.arguments={note: "other"}'), 2, "other engine parameters")
    assert content(trained) == before
    assert n_runs(trained) == 3
    mixed = train("--set", 'engine.parameters.arguments={note: "other"}', "--force")
    assert mixed.exit_code == 0, mixed.stderr


@pytest.mark.parametrize(
    ("overrides", "code", "words"),
    [
        (["expansion.cutoffs_angstrom={2: 3.7}"], 2, ("3.58", "order 2")),
        (["expansion.cutoffs_angstrom={2: full, 3: 6.0}"], 2, ("3.58", "order 3")),
        (["training.temperatures=[3]"], 2, ("training.temperatures", "temperatures_kelvin")),
        (["training.max_calculations=0"], 2, ("training.max_calculations",)),
        (["engine.kind=vasp"], 2, ("engine.kind",)),
        (["engine.parameters.calculator=ase.calculators.emt:NoSuch"], 2, ("NoSuch",)),
        (["engine.parameters.calculator=nosuchmodule:EMT"], 5, ("nosuchmodule", "pip install")),
        (["structure.file=nothing.vasp"], 3, ("nothing.vasp",)),
        (["structure.supercell=[0, 1, 1]"], 2, ("structure.supercell",)),
    ],
)
def test_refused_configurations_change_nothing(
    trained: Path, train: Train, overrides: list[str], code: int, words: tuple[str, ...]
) -> None:
    before = content(trained)
    refused(train(*(word for o in overrides for word in ("--set", o))), code, *words)
    assert content(trained) == before


def spoiled(kind: str) -> list[Snapshot]:
    """Two good frames and a third that does not belong."""
    frames = emt_snapshots((2, 2, 2), (0.05, 0.05, 0.05))
    bad = frames[2]
    values = {
        "numbers": bad.numbers,
        "positions": bad.positions,
        "cell": bad.cell,
        "energy_ev": bad.energy_ev,
        "forces_ev_per_angstrom": bad.forces_ev_per_angstrom,
    }
    if kind == "species":
        values["numbers"] = np.full(32, 47)
    elif kind == "strained":
        values["cell"], values["positions"] = 1.05 * bad.cell, 1.05 * bad.positions
    elif kind == "melted":
        values["positions"] = bad.positions + np.random.default_rng(1).uniform(-2, 2, bad.positions.shape)
    else:
        silicon = bulk("Si", cubic=True)
        values = {
            "numbers": silicon.numbers,
            "positions": silicon.positions,
            "cell": silicon.cell.array,
            "energy_ev": None,
            "forces_ev_per_angstrom": np.zeros((8, 3)),
        }
    return [*frames[:2], Snapshot(**values)]


@pytest.mark.parametrize("kind", ["species", "strained", "melted", "other crystal"])
@pytest.mark.parametrize("static", [True, False])
def test_frames_of_another_crystal_are_refused(folder: Path, train: Train, kind: str, static: bool) -> None:
    write_snapshots(folder / "frames.extxyz", spoiled(kind))
    before = content(folder)
    arguments = ["--dataset", folder / "frames.extxyz", *(["--static"] if static else [])]
    refused(train(*arguments), 3, "frame 3")
    assert content(folder) == before
    assert n_runs(folder) == 0


def test_broken_data_sets_are_refused(folder: Path, train: Train) -> None:
    refused(train("--dataset", folder / "none.extxyz"), 3, "none.extxyz")
    write_snapshots(folder / "frames.extxyz", emt_snapshots((2, 2, 2), (0.05, 0.05)))
    text = (folder / "frames.extxyz").read_text()
    lines = text.splitlines(keepends=True)
    (folder / "cut.extxyz").write_text("".join(lines[:50]))
    refused(train("--dataset", folder / "cut.extxyz", "--static"), 3, "cut.extxyz", "frame 2")
    (folder / "nan.extxyz").write_text(text.replace(text.split()[-1], "nan"))
    refused(train("--dataset", folder / "nan.extxyz", "--static"), 3, "nan.extxyz", "frame 2")
    refused(train("--static"), 2, "--dataset")
    undisplaced = emt_snapshots((2, 2, 2), (0.0,))
    write_snapshots(folder / "rest.extxyz", undisplaced)
    refused(train("--dataset", folder / "rest.extxyz", "--static"), 3, "displaced")


def test_other_frames_than_before_are_refused(trained: Path, train: Train) -> None:
    write_snapshots(trained / "frames.extxyz", emt_snapshots((2, 2, 2), (0.05, 0.05)))
    before = content(trained)
    refused(train("--dataset", trained / "frames.extxyz"), 3, "other snapshots")
    assert content(trained) == before


@pytest.mark.parametrize("name", ["dataset.extxyz", "journal.jsonl", "model.h5", "basis.h5", "train.json"])
def test_damaged_files_are_named_or_made_anew(trained: Path, train: Train, name: str) -> None:
    """Data that cannot be had again are never overwritten; what follows from them is made again."""
    path = trained / "run" / name
    good = path.read_bytes()
    damaged = good[: len(good) * 2 // 3]
    path.write_bytes(damaged)
    result = train()
    if name == "dataset.extxyz":
        refused(result, 3, name)
        assert path.read_bytes() == damaged
    else:
        assert result.exit_code == 0, result.stderr
        assert n_runs(trained) == len(read_snapshots(trained / "run/dataset.extxyz"))


def test_one_command_at_a_time(trained: Path, train: Train) -> None:
    from mlff_dyn.store.lock import RunLock

    before = content(trained)
    with RunLock(trained / "run"):
        refused(train(), 2, "run")
    assert content(trained) == before


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
