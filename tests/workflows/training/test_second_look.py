"""A calculation that contradicts its prediction is made again; the second contradiction ends the training."""

import json
from pathlib import Path

import ase.io
import pytest
from ase import Atoms

from mlff_dyn.store.dataset import read_snapshots
from tests.workflows.lying_calculator import lying
from tests.workflows.training_project import Train, command_of, n_runs, refused, relative_error

WELLS = [[0.0, 0.0, 0.0], [2.0, 2.0, 2.0]]
CONFIG_OF_WELLS = """\
structure: {file: POSCAR, supercell: [3, 3, 3]}
expansion:
  cutoffs_angstrom: {2: full, 3: 4.1, 4: 3.6}
  local: {cutoff_angstrom: 5.0, n_radial: 5, l_max: 3}
engine: {kind: ase, parameters: {calculator: "benchmarks.training.double_well:DoubleWell"}}
training:
  temperatures_kelvin: [300]
  n_steps: 60
  max_calculations: 7
  criterion: {kind: paper}
md: {timestep_femtoseconds: 2.0}
"""


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


def test_an_atom_that_moves_into_its_well_is_believed(tmp_path: Path) -> None:
    """Starts of 0.01 Å know nothing of the wells; the energy tells that the forces are right."""
    ase.io.write(
        tmp_path / "POSCAR", Atoms("BaTi", WELLS, cell=[4.0] * 3, pbc=True), format="vasp", direct=True
    )
    (tmp_path / "c.yaml").write_text(CONFIG_OF_WELLS, encoding="utf-8")
    result = command_of(tmp_path)("--set", "training.initial={n: 5, sd_angstrom: 0.01}")
    again = [line for line in json.loads(result.stdout)["warnings"] if "-again" in line]
    assert again
    assert "force on atom" in again[0]
