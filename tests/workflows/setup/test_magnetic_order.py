"""Moments from the structure file to the data set; other magnetic states end a training by name."""

import json
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from typer.testing import CliRunner, Result

from mlff_dyn.cli.app import app
from mlff_dyn.errors import DataError
from mlff_dyn.store.dataset import read_snapshots
from mlff_dyn.store.model_file import read_model
from mlff_dyn.store.structure_file import read_structure
from mlff_dyn.workflows.setup.magnetic_order import reference_moments
from tests.lattice.crystals import antiferromagnet
from tests.models import copper

CONFIG = """\
structure: {file: Cu.extxyz, supercell: [2, 2, 2]}
expansion: {cutoffs_angstrom: {2: full}}
engine:
  kind: ase
  parameters:
    calculator: "tests.workflows.spin_calculator:SpinEMT"
    arguments: {flips: false}
training: {max_calculations: 2, initial: {n: 2}, n_steps: 100}
"""


def layered_copper() -> Atoms:
    atoms = copper()
    atoms.set_initial_magnetic_moments(np.where(atoms.positions[:, 2] < 0.1, 1.0, -1.0))
    return atoms


@pytest.fixture
def config(tmp_path: Path) -> Path:
    ase.io.write(tmp_path / "Cu.extxyz", layered_copper())
    path = tmp_path / "c.yaml"
    path.write_text(CONFIG, encoding="utf-8")
    return path


def run(verb: str, path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, [verb, str(path), "--json", *arguments])


def test_init_keeps_the_magnetic_cell(tmp_path: Path) -> None:
    path = tmp_path / "NiO.extxyz"
    ase.io.write(path, antiferromagnet())
    settings = (
        *("--output", str(tmp_path / "c.yaml")),
        *("--set", "structure.supercell=[1, 1, 1]"),
        *("--set", "expansion.cutoffs_angstrom={2: full}"),
    )
    result = run("init", path, *settings)
    assert result.exit_code == 0, result.stderr
    answer = json.loads(result.stdout)
    assert answer["space_group"] == "R-3m (166)"
    assert answer["n_atoms_primitive"] == 4
    assert answer["magnetic_order"] == "Ni +2.00, Ni -2.00 Bohr magnetons; 12 of 24 operations reverse all"
    assert answer["n_parameters_per_order"]["2"] == 78
    (first, *_) = ase.io.read(tmp_path / "run/structure/initial.extxyz", index=":")
    moments = first.get_initial_magnetic_moments()
    assert sorted(set(moments)) == [-2.0, 0.0, 2.0]
    assert moments.sum() == 0.0


def test_moments_reach_data_and_model(config: Path) -> None:
    result = run("train", config)
    assert result.exit_code in (0, 4), result.stderr
    folder = config.parent / "run"
    snapshots = read_snapshots(folder / "dataset.extxyz")
    for snapshot in snapshots:
        assert snapshot.magnetic_moments is not None
        assert sorted(set(snapshot.magnetic_moments)) == [-1.0, 1.0]
    stored = json.loads((folder / "calculations/0001/result.json").read_text(encoding="utf-8"))
    assert set(stored["magnetic_state"]["moments_bohr_magneton"]) == {-0.8, 0.8}
    crystal = read_model(folder / "model.h5")[0].basis.crystal
    assert crystal.n_sites == 2
    np.testing.assert_array_equal(np.sort(crystal.magnetic_moments), [-1.0, 1.0])


def test_another_magnetic_state_ends_the_training(config: Path) -> None:
    result = run("train", config, "--set", "engine.parameters.arguments.flips=true")
    assert result.exit_code == 5
    assert "calculations/0001" in result.stderr
    assert "ended in another magnetic state than the reference: Cu atom" in result.stderr
    assert not (config.parent / "run/dataset.extxyz").exists()


def test_frames_of_another_order_are_refused(config: Path) -> None:
    atoms = layered_copper() * (2, 2, 2)
    generator = np.random.default_rng(1)
    frames = []
    for _ in range(3):
        frame = atoms.copy()
        frame.positions += 0.02 * generator.standard_normal(frame.positions.shape)
        forces = 0.1 * generator.standard_normal(frame.positions.shape)
        frame.calc = SinglePointCalculator(
            frame, energy=0.0, forces=forces - forces.mean(axis=0), magmoms=np.ones(len(frame))
        )
        frames.append(frame)
    path = config.parent / "given.extxyz"
    ase.io.write(path, frames)
    result = run("train", config, "--dataset", str(path), "--static")
    assert result.exit_code == 3
    assert "given.extxyz, frame 1: the magnetic order is not that of the reference" in result.stderr
    for frame in frames:
        del frame.calc.results["magmoms"]
        del frame.arrays["initial_magmoms"]
    ase.io.write(path, frames)
    result = run("train", config, "--dataset", str(path), "--static")
    assert "3 frames tell no magnetic moments" in result.stderr


def test_moments_of_the_configuration(config: Path) -> None:
    ase.io.write(config.parent / "Cu.vasp", copper(), format="vasp", direct=True)
    file = ("--set", "structure.file=Cu.vasp")
    orders = {
        "null": None,
        "{Cu: 1.0}": "Cu +1.00 Bohr magnetons",
        "{Cu: 0}": None,
        "{}": None,
        "[1, 1, -1, -1]": "Cu +1.00, Cu -1.00 Bohr magnetons; 16 of 32 operations reverse all",
    }
    for given, order in orders.items():
        result = run("init", config, *file, "--dry-run", "--set", f"structure.magnetic_moments={given}")
        assert result.exit_code == 0, result.stderr
        assert json.loads(result.stdout).get("magnetic_order") == order
    for given, reason in (
        ("{Fe: 1.0}", "there is no Fe in the structure"),
        ("[1, -1]", "2 moments for the 4"),
    ):
        result = run("init", config, *file, "--dry-run", "--set", f"structure.magnetic_moments={given}")
        assert result.exit_code == 2
        assert reason in result.stderr


def test_moments_of_an_output_are_those_of_the_structure(tmp_path: Path) -> None:
    atoms = copper()
    moments = [0.9, 0.9, -0.9, -0.9]
    atoms.calc = SinglePointCalculator(atoms, energy=0.0, forces=np.zeros((4, 3)), magmoms=moments)
    ase.io.write(tmp_path / "a.extxyz", atoms)
    np.testing.assert_array_equal(reference_moments(read_structure(tmp_path / "a.extxyz"), None), moments)
    assert reference_moments(copper(), None) is None


def test_starting_magnetizations_of_pw_are_no_moments(tmp_path: Path) -> None:
    atoms = copper()
    atoms.set_initial_magnetic_moments([0.2, 0.2, -0.2, -0.2])
    path = tmp_path / "a.pwi"
    ase.io.write(path, atoms, format="espresso-in", pseudopotentials={"Cu": "Cu.UPF"})
    read = read_structure(path)
    with pytest.raises(DataError, match="shares of the valence electrons"):
        reference_moments(read, None)
    np.testing.assert_array_equal(reference_moments(read, [1.0, 1.0, -1.0, -1.0]), [1.0, 1.0, -1.0, -1.0])
