"""A configuration with a BORN file: train, validate, dynamics, export, and changes of the file."""

import json
from dataclasses import replace
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.build import bulk
from numpy.typing import NDArray

from mlff_dyn.config.load import load_config
from mlff_dyn.formats.born_file import read_born
from mlff_dyn.lattice.torus import Torus, input_supercell
from mlff_dyn.model.force_field import ForceField
from mlff_dyn.store.dataset import Snapshot, write_snapshots
from mlff_dyn.store.model_file import read_model
from mlff_dyn.store.trajectory import read_trajectory
from tests.models import random_force_field
from tests.workflows.conftest import invoke

BORN = """\
14.4
2.5 0 0 0 2.5 0 0 0 2.5
1.1 0 0 0 1.1 0 0 0 1.1
-1.1 0 0 0 -1.1 0 0 0 -1.1
"""
CONFIG = """\
structure: {file: NaCl.vasp, supercell: [2, 2, 2]}
expansion: {cutoffs_angstrom: {2: 3.0}, born_file: BORN}
md: {n_steps: 20, timestep_femtoseconds: 0.2, temperatures_kelvin: [10], supercell: [3, 2, 2]}
"""


def frame(truth: ForceField, torus: Torus, seed: int, strain: NDArray[np.float64] | None = None) -> Snapshot:
    u = 0.02 * np.random.default_rng(seed).standard_normal((torus.n_atoms, 3))
    supercell = truth.on(torus, strain=strain)
    positions = torus.positions if strain is None else torus.positions @ (np.eye(3) + strain)
    energy, forces = supercell.energy_forces(u)
    return Snapshot(
        numbers=torus.numbers,
        positions=positions + u,
        cell=supercell.lattice,
        energy_ev=energy,
        forces_ev_per_angstrom=forces,
        stress_ev_per_angstrom3=supercell.stress(u),
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Springs between neighbors and dipoles make the frames; the test frame is larger."""
    atoms = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    ase.io.write(tmp_path / "NaCl.vasp", atoms, format="vasp", direct=True)
    (tmp_path / "BORN").write_text(BORN, encoding="utf-8")
    (tmp_path / "c.yaml").write_text(CONFIG, encoding="utf-8")
    bare, torus = random_force_field(atoms, (2, 2, 2), {2: 3.0})
    crystal = bare.basis.crystal
    stiff = -3.0 * np.abs(bare.posterior.mean)  # restoring: blocks between neighbors are negative
    truth = replace(
        bare,
        posterior=replace(bare.posterior, mean=stiff),
        long_range=read_born(tmp_path / "BORN", crystal),
    )
    write_snapshots(tmp_path / "train.extxyz", [frame(truth, torus, seed) for seed in range(4)])
    larger = input_supercell(crystal, (4, 2, 2))
    write_snapshots(tmp_path / "test.extxyz", [frame(truth, larger, 9)])
    return tmp_path


def train(project: Path, *arguments: str):
    dataset = str(project / "train.extxyz")
    return invoke("train", project / "c.yaml", "--dataset", dataset, "--static", "--json", *arguments)


def test_all_verbs_know_the_dipoles(project: Path) -> None:
    result = train(project)
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["rmse_force_relative"] < 1e-6
    found = read_model(project / "run/model.h5")[0].long_range
    np.testing.assert_allclose(found.charges[:, 0, 0], [1.1, -1.1], atol=1e-12)
    answer = json.loads(
        invoke("validate", project / "run/model.h5", project / "test.extxyz", "--json").stdout
    )
    assert answer["rmse_force_relative"] < 1e-6
    assert answer["rmse_energy_ev_per_atom"] < 1e-8
    result = invoke("run-md", project / "c.yaml", "--json")
    assert result.exit_code == 0, result.stderr
    assert abs(json.loads(result.stdout)["pressure_gigapascal"]) < 1.0
    arguments = ("--set", "md.ensemble=npt", "--set", "md.n_steps=100", "--force", "--json")
    result = invoke("run-md", project / "c.yaml", *arguments)
    assert result.exit_code == 0, result.stderr
    strains = read_trajectory(project / "run/md/10K-1/trajectory.h5").strains
    assert 0.0 < np.abs(strains).max() < 0.05
    result = invoke("export", project / "run", "--format", "phonopy", "-o", project / "phonopy")
    assert result.exit_code == 0, result.stderr
    assert (project / "phonopy/BORN").exists()


def test_without_them_a_larger_cell_is_wrong(project: Path) -> None:
    result = train(
        project, "--set", "expansion.born_file=null", "--set", "expansion.cutoffs_angstrom={2: full}"
    )
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["rmse_force_relative"] < 1e-4
    answer = json.loads(
        invoke("validate", project / "run/model.h5", project / "test.extxyz", "--json").stdout
    )
    assert answer["rmse_force_relative"] > 1e-3


def test_another_content_of_the_file_is_another_model(project: Path) -> None:
    assert train(project).exit_code == 0
    (project / "BORN").write_text(BORN.replace("1.1", "1.10"), encoding="utf-8")
    assert invoke("run-md", project / "c.yaml", "--json").exit_code == 0
    (project / "BORN").write_text(BORN.replace("1.1", "1.2"), encoding="utf-8")
    result = invoke("run-md", project / "c.yaml")
    assert result.exit_code == 3
    assert "trained for another structure" in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("expansion.born_file=nowhere", "cannot read expansion.born_file"),
        ("expansion.born_file=c.yaml", "is damaged"),
        ("expansion.rotational_sum_rules=[huang]", "do not hold for the short-range part"),
    ],
)
def test_a_file_that_does_not_serve_is_one_line(project: Path, override: str, words: str) -> None:
    result = invoke("init", project / "c.yaml", "--set", override)
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr


def test_strained_frames_with_stress_are_learnt(project: Path) -> None:
    bare, torus = random_force_field(bulk("NaCl", "rocksalt", a=5.6, cubic=True), (2, 2, 2), {2: 3.0})
    stiff = -3.0 * np.abs(bare.posterior.mean)  # restoring: blocks between neighbors are negative
    dipoles = read_born(project / "BORN", bare.basis.crystal)
    truth = replace(bare, posterior=replace(bare.posterior, mean=stiff), long_range=dipoles)
    strains = [0.01 * k * np.diag([1.0, 1.0, -0.5]) for k in range(4)]
    write_snapshots(
        project / "train.extxyz",
        [frame(truth, torus, seed, strain) for seed, strain in enumerate(strains)],
    )
    result = train(project, "--set", "training.fit.stress=true")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["rmse_force_relative"] < 1e-6
    assert json.loads(result.stdout)["rmse_energy_ev_per_atom"] < 1e-8


def test_init_takes_born_charges_that_fit(tmp_path: Path, shared_data: Path) -> None:
    """Those of a YAML file of phono3py, and of BORN beside a structure; not of another crystal."""
    inside = shared_data / "NaCl-vasp/phono3py_params_NaCl.yaml.xz"
    assert load_config(first_of(tmp_path, inside)).expansion.born_file == inside
    bulk("NaCl", "rocksalt", a=5.6).write(tmp_path / "NaCl.vasp")
    (tmp_path / "BORN").write_text(BORN)
    assert load_config(first_of(tmp_path, tmp_path / "NaCl.vasp")).expansion.born_file == tmp_path / "BORN"
    bulk("Si").write(tmp_path / "Si.vasp")
    assert load_config(first_of(tmp_path, tmp_path / "Si.vasp")).expansion.born_file is None


def first_of(folder: Path, structure: Path) -> Path:
    config = folder / f"{structure.name}.yaml"
    result = invoke("init", structure, "-o", config, "--run-dir", folder / "run", "--force")
    assert result.exit_code == 0, result.stderr
    return config
