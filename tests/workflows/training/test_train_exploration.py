"""`train` with frames of other origin: of a cell that moves, or of a trajectory of the user."""

import json
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms

from mlff_dyn.store.dataset import read_snapshots
from tests.models import copper, emt_snapshots
from tests.workflows.conftest import invoke
from tests.workflows.training_project import (
    Train,
    check_that_a_budget_changes_nothing,
    n_runs,
    refused,
    relative_error,
)

NPT = ("--set", "training.exploration.ensemble=npt", "--set", "training.n_steps=400")
SMALL_SETTINGS = {
    "expansion.cutoffs_angstrom": "{2: full, 3: 2.7}",
    "training.temperatures_kelvin": "[300]",
    "training.criterion.force_error_limit_relative": "0.2",
}
TWO = ("--set", "training.temperatures_kelvin=[200, 400]", "--set", "training.n_steps=400")
SMALL = tuple(word for name, value in SMALL_SETTINGS.items() for word in ("--set", f"{name}={value}"))


def cells(folder: Path, name: str = "run") -> np.ndarray:
    return np.array([snapshot.cell for snapshot in read_snapshots(folder / name / "dataset.extxyz")])


@pytest.mark.parametrize("at_once", [1, 2])
def test_strained_frames_are_calculated(folder: Path, train: Train, at_once: int) -> None:
    """Cells of dynamics are strained, their stress is there.

    A budget in between changes nothing where no other calculation is on its way.
    """
    parallel = ("--set", f"execution.max_parallel={at_once}", "--set", "training.fit.stress=true")
    options = (*NPT, *SMALL, *parallel)
    result = train(*options)
    assert result.exit_code == 0, result.stderr
    found = cells(folder)
    moved = np.abs(found - found[0]).max(axis=(1, 2))
    assert (moved[:2] == 0.0).all()
    assert moved[2:].min() > 1e-3
    assert np.abs(found / 7.18 - np.eye(3)).max() < 0.05
    snapshots = read_snapshots(folder / "run/dataset.extxyz")
    assert all(snapshot.stress_ev_per_angstrom3 is not None for snapshot in snapshots)
    if at_once == 1:
        check_that_a_budget_changes_nothing(folder, train, options, len(found))


def test_an_ongoing_trajectory_keeps_its_cell(folder: Path, train: Train) -> None:
    criterion = "training.criterion={kind: fixed, fixed: {interval_steps: 100}}"
    options = (*NPT, *SMALL, "--set", criterion)
    assert train(*options, "--set", "training.max_calculations=4").exit_code in (0, 4)
    straight = cells(folder)
    for n in (3, 4):
        train(*options, "--set", f"training.max_calculations={n}", "--run-dir", folder / "cut")
    np.testing.assert_array_equal(cells(folder, "cut"), straight)
    assert np.abs(straight[-1] - straight[0]).max() > 1e-4


def trajectory(
    folder: Path, sds: tuple[float, ...] = (0.06,) * 30, name: str = "frames.extxyz"
) -> list[Atoms]:
    generator = np.random.default_rng(3)
    frames = []
    for snapshot in emt_snapshots((2, 2, 2), sds, seed=8):
        order = generator.permutation(len(snapshot.numbers))
        cell, strain = snapshot.cell, 1.004
        scaled = snapshot.positions[order] * strain
        frames.append(Atoms(snapshot.numbers, scaled, cell=strain * cell, pbc=True))
    ase.io.write(folder / name, frames)
    return frames


def only(name: str = "frames.extxyz") -> tuple[str, ...]:
    return ("--set", f"training.exploration={{file: {name}, dynamics: false}}")


@pytest.mark.parametrize("at_once", [1, 2])
def test_a_trajectory_of_the_user_is_trained_on(folder: Path, train: Train, at_once: int) -> None:
    """No dynamics is made; its frames are calculated until the others are predicted within the limit."""
    frames = trajectory(folder)
    options = (*only(), *SMALL, "--set", f"execution.max_parallel={at_once}")
    result = train(*options)
    assert result.exit_code == 0, result.stderr
    answer = json.loads(result.stdout)
    assert (answer["status"], answer["n_steps"]) == ("converged", 0)
    found = read_snapshots(folder / "run/dataset.extxyz")
    assert 3 <= len(found) == n_runs(folder) < 15
    volumes = [round(abs(np.linalg.det(frame.cell)), 6) for frame in found]
    assert volumes[2:] == [round(frames[0].get_volume(), 6)] * (len(found) - 2)
    assert relative_error(folder) < 0.2
    events = [json.loads(line) for line in (folder / "run/journal.jsonl").read_text().splitlines()]
    assert [e["reason"] for e in events if e["event"] == "judged file"][-1] == "no call"
    before = (folder / "run/train.json").read_bytes()
    assert train(*options).exit_code == 0
    assert (folder / "run/train.json").read_bytes() == before


def test_no_frame_is_calculated_twice(folder: Path, train: Train) -> None:
    """Where all are calculated, that is the end."""
    trajectory(folder, (0.05, 0.08, 0.1))
    train(*only(), "--set", "training.criterion.force_error_limit_relative=0.0001")
    found = [frame.positions.tobytes() for frame in read_snapshots(folder / "run/dataset.extxyz")]
    assert len(found) == len(set(found)) == 5


def test_a_file_beside_own_dynamics(folder: Path, train: Train) -> None:
    trajectory(folder)
    result = train("--set", "training.exploration.file=frames.extxyz", *SMALL, *TWO)
    assert result.exit_code == 0, result.stderr
    temperatures = {s.provenance.temperature_kelvin for s in read_snapshots(folder / "run/dataset.extxyz")}
    assert temperatures == {None, 200.0, 400.0}


def test_the_file_has_a_row_of_its_own(folder: Path, train: Train) -> None:
    trajectory(folder)
    result = train(*only())
    known = [s.provenance for s in read_snapshots(folder / "run/dataset.extxyz")]
    n_calculations = sum(label.is_of_file for label in known)
    assert n_calculations > 0
    answer = json.loads(result.stdout)["file"]
    assert (answer["status"], answer["n_calculations"]) == ("converged", n_calculations)
    config, settings = folder / "c.yaml", only()
    found = json.loads(invoke("status", config, *settings, "--json").stdout)["file"]
    assert found["n_calculations"] == n_calculations
    assert found["force_sd_relative"] == pytest.approx(answer["force_sd_relative"])
    assert found["force_sd_relative"] < found["limit_relative"]
    assert "29 frames predicted; no call; expected force error" in invoke("status", config, *settings).stdout
    assert invoke("report", config, *settings).exit_code == 0
    page = (folder / "run/report.html").read_text(encoding="utf-8")
    assert "trajectory file" in page
    assert f"{n_calculations} calculation is of the trajectory file" in page


def test_frames_that_are_refused_are_named(folder: Path, train: Train) -> None:
    frames = trajectory(folder)
    frames[3].positions[5] += 1.6
    frames[7] = copper() * (2, 2, 1)
    frames[9].symbols[0] = "Al"
    ase.io.write(folder / "frames.extxyz", frames)
    dry = json.loads(train(*only(), "--dry-run").stdout)
    assert dry["n_frames_of_file"] == 27
    result = train(*only(), "--set", "training.max_calculations=2")
    assert result.exit_code == 4, result.stderr
    assert dry["warnings"][0] in json.loads(result.stdout)["warnings"]
    (line,) = [w for w in json.loads(result.stdout)["warnings"] if "frames.extxyz" in w]
    assert "3 of 30 frames are not used: frame 4: " in line
    assert "frame 8: another supercell" in line
    assert "frame 10: " in line


def test_a_trajectory_of_another_crystal_is_refused(folder: Path, train: Train) -> None:
    ase.io.write(folder / "other.xyz", [copper().repeat((2, 2, 2)) for _ in range(2)])
    wrong = ase.io.read(folder / "other.xyz", ":")
    for atoms in wrong:
        atoms.symbols[:] = "Al"
    ase.io.write(folder / "other.xyz", wrong)
    refused(train(*only("other.xyz")), 3, "other.xyz", "frame 1", "training.exploration.file")
    refused(train(*only("missing.xyz")), 3, "missing.xyz")


@pytest.mark.parametrize(
    ("section", "word"),
    [("{dynamics: false}", "give file"), ("{every: 3}", "add file"), ("{ensemble: nve}", "ensemble")],
)
def test_a_section_that_cannot_be_meant_is_refused(
    folder: Path, train: Train, section: str, word: str
) -> None:
    refused(train("--set", f"training.exploration={section}"), 2, "training.exploration", word)
