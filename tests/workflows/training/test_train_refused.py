"""`train` refuses what cannot be right, by name, and leaves the run directory as it was."""

from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk

from mlff_dyn.store.dataset import Snapshot, read_snapshots, write_snapshots
from tests.models import emt_snapshots
from tests.workflows.training_project import Train, content, n_runs, refused


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
        (["engine.kind=vsap"], 2, ("engine.kind",)),
        (["engine.parameters.calculator=ase.calculators.emt:NoSuch"], 2, ("NoSuch",)),
        (["engine.parameters.calculator=nosuchmodule:EMT"], 5, ("nosuchmodule", "PYTHONPATH")),
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
        values["cell"], values["positions"] = 1.15 * bad.cell, 1.15 * bad.positions
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
    """Different ones, and the same ones with more behind them, which would have to come first."""
    known = list(read_snapshots(trained / "run/dataset.extxyz"))
    for frames in (emt_snapshots((2, 2, 2), (0.05, 0.05)), [*known, *emt_snapshots((2, 2, 2), (0.05,))]):
        write_snapshots(trained / "frames.extxyz", frames)
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
