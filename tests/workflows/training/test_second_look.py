"""A calculation that contradicts its prediction is made again; the second contradiction ends the training."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from ase.build import bulk

from mlff_dyn.config.load import load_config
from mlff_dyn.store.dataset import Snapshot, read_snapshots, write_snapshots
from mlff_dyn.workflows.setup.workspace import Workspace
from mlff_dyn.workflows.training.learner import Learner
from tests.models import emt_snapshot, emt_snapshots
from tests.workflows.lying_calculator import lying
from tests.workflows.training_project import Train, n_runs, refused, relative_error


@pytest.mark.parametrize("how", ["scaled", "zero", "swapped", "noisy"])
def test_a_calculation_that_is_wrong_once_is_replaced(folder: Path, train: Train, how: str) -> None:
    result = train("--set", lying(how, 3, 3))
    assert result.exit_code == 0, result.stderr
    assert "calculation 0003 is set aside and made again: force on atom" in " ".join(result.stderr.split())
    answer = json.loads(result.stdout)
    assert any("0003-again" in line for line in answer["warnings"])
    names = [s.provenance.calculation for s in read_snapshots(folder / "run/dataset.extxyz")]
    assert names[2] == "0003-again"
    assert (folder / "run/calculations/0003/result.json").is_file()
    assert n_runs(folder) == len(names) + 1
    assert relative_error(folder) < 0.1


@pytest.mark.parametrize("how", ["scaled", "swapped"])
def test_a_second_contradiction_ends_the_training(folder: Path, train: Train, how: str) -> None:
    """Both results are named; nothing wrong is learnt; the same command ends in the same way at once."""
    for _ in range(2):
        result = train("--set", lying(how, 3, 1000))
        refused(result, 5, "calculations/0003 contradicts all earlier", "so does 0003-again: force on atom")
        assert n_runs(folder) == 4
    assert len(read_snapshots(folder / "run/dataset.extxyz")) == 2


def small_strained_cells() -> list[Snapshot]:
    found = []
    for seed in range(3):
        atoms = bulk("Cu", cubic=True, a=3.61)
        atoms.rattle(0.05, seed=seed)
        found.append(emt_snapshot(atoms))
    return found


@pytest.mark.parametrize(
    ("known", "factor", "is_condemned"),
    [
        (small_strained_cells(), 1.0, False),
        (emt_snapshots((2, 2, 2), (0.05, 0.05, 0.05)), 3.0, True),
        (emt_snapshots((2, 2, 2), (0.05, 0.05, 0.05)), 1.0, False),
    ],
)
def test_data_of_a_smaller_cell_condemn_no_calculation(
    folder: Path, known: list[Snapshot], factor: float, is_condemned: bool
) -> None:
    """In it atoms move with their images; what they do against them nobody knows."""
    workspace = Workspace(load_config(folder / "c.yaml"))
    workspace.directory.mkdir()
    write_snapshots(workspace.dataset_path, known)
    (new,) = emt_snapshots((2, 2, 2), (0.05,), seed=9)
    new = replace(new, forces_ev_per_angstrom=factor * new.forces_ev_per_angstrom)
    learner = Learner(workspace)
    learner.force_field()
    assert bool(learner.contradictions([new])) == is_condemned
