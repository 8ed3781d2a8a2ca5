"""A sheet from its file to dynamics at constant pressure and exports: the vacuum stays what it is."""

import json
import re
from pathlib import Path

import ase.io
import numpy as np
import phonopy
import pytest
import yaml
from ase import Atoms
from ase.calculators.emt import EMT

from mlff_dyn.config.load import parse_config
from mlff_dyn.lattice.torus import Torus
from mlff_dyn.model.calculator import ForceFieldCalculator
from mlff_dyn.model.force_constants import force_constants
from mlff_dyn.report.progress import NullProgress
from mlff_dyn.store.dataset import Snapshot, read_snapshots, write_snapshots
from mlff_dyn.store.model_file import read_model
from mlff_dyn.store.trajectory import read_trajectory
from mlff_dyn.workflows.setup.workspace import Workspace
from mlff_dyn.workflows.training.prior_sources import prior_guess
from tests.workflows.conftest import invoke

LENGTH, HEIGHT, VACUUM = 2.5286908, 2.0784610, 12.0
CONFIG = """\
structure: {file: slab.extxyz, supercell: [4, 4, 1]}
expansion: {cutoffs_angstrom: {2: full, 3: 3.7, 4: {2: 2.6, 3: 2.6}}}
engine: {kind: ase, parameters: {calculator: "ase.calculators.emt:EMT"}}
training: {fit: {stress: true}}
md: {ensemble: npt, barostat_shape: full, temperatures_kelvin: [100], n_steps: 700, sample_every: 5}
"""


def slab() -> Atoms:
    """Two close-packed layers of copper, relaxed with EMT."""
    cell = LENGTH * np.array([[1.0, 0.0, 0.0], [0.5, np.sqrt(0.75), 0.0], [0.0, 0.0, VACUUM / LENGTH]])
    sites = [[0.0, 0.0, 5.0], [0.5 * LENGTH, LENGTH / np.sqrt(12.0), 5.0 + HEIGHT]]
    return Atoms("Cu2", cell=cell, positions=sites, pbc=[True, True, False])


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sheet")
    ase.io.write(folder / "slab.extxyz", slab())
    (folder / "c.yaml").write_text(CONFIG, encoding="utf-8")
    generator, frames = np.random.default_rng(1), []
    for _ in range(6):
        atoms = slab() * (4, 4, 1)
        atoms.positions += 0.04 * generator.standard_normal(atoms.positions.shape)
        atoms.calc = EMT()
        labels = (float(atoms.get_potential_energy()), atoms.get_forces(), atoms.get_stress())
        frames.append(Snapshot(atoms.numbers, atoms.positions, atoms.cell.array, *labels, periodic=SHEET))
    write_snapshots(folder / "frames.extxyz", frames)
    result = invoke("train", folder / "c.yaml", "--dataset", folder / "frames.extxyz", "--static", "--json")
    assert result.exit_code == 0, result.stderr
    (folder / "train.json").write_text(result.stdout, encoding="utf-8")
    return folder


SHEET = (True, True, False)


def test_the_file_says_what_is_periodic(project: Path) -> None:
    resolved = yaml.safe_load((project / "run/config.resolved.yaml").read_text(encoding="utf-8"))
    assert resolved["structure"]["periodic"] == [True, True, False]
    assert resolved["expansion"]["rotational_sum_rules"] == ["huang", "born-huang"]
    assert ase.io.read(project / "run/structure/initial.extxyz").pbc.tolist() == [True, True, False]
    crystal = read_model(project / "run/model.h5")[0].basis.crystal
    assert (crystal.periodic, crystal.space_group) == (SHEET, "p-3m1 (layer group 72)")
    assert read_snapshots(project / "run/dataset.extxyz")[0].periodic == SHEET


def test_stresses_in_the_plane_alone_are_learnt(project: Path) -> None:
    answer = json.loads((project / "train.json").read_text(encoding="utf-8"))
    assert answer["rmse_force_relative"] < 0.02
    assert answer["stress_sd_ev_per_angstrom3"]["predictive"] > 0.0
    zero = read_model(project / "run/model.h5")[0].stress.zero
    assert zero[[0, 1, 5]].any()
    assert not zero[[2, 3, 4]].any()
    result = invoke("validate", project / "run/model.h5", project / "frames.extxyz", "--json")
    assert json.loads(result.stdout)["stress"]["rmse_ev_per_angstrom3"] < 1e-4


def test_the_barostat_leaves_the_vacuum_alone(project: Path) -> None:
    result = invoke("run-md", project / "c.yaml", "--json")
    assert result.exit_code == 0, result.stderr
    strains = read_trajectory(project / "run/md/100K-1/trajectory.h5").strains
    assert np.abs(strains[-1, :2, :2]).max() > 1e-4
    assert not strains[:, 2].any()
    assert not strains[:, :, 2].any()


def test_exports_and_the_calculator(project: Path) -> None:
    """Flexural waves of the exported model are quadratic; a longer vacuum thins the stress alone."""
    result = invoke("export", project / "run", "--format", "phonopy", "-o", project / "phonopy")
    assert result.exit_code == 0, result.stderr
    folder = project / "phonopy"
    phonon = phonopy.load(
        folder / "phonopy_params.yaml", force_constants_filename=folder / "force_constants.hdf5", log_level=0
    )
    phonon.run_qpoints([[0.01, 0.0, 0.0], [0.02, 0.0, 0.0]])
    near, far = phonon.qpoints.frequencies[:, 0]
    assert far / near == pytest.approx(4.0, rel=0.03)
    force_field, _ = read_model(project / "run/model.h5")
    atoms = slab() * (3, 3, 1)
    atoms.rattle(0.03, seed=2)
    longer = atoms.copy()
    longer.cell[2] *= 2.0
    for each in (atoms, longer):
        each.calc = ForceFieldCalculator(force_field)
    np.testing.assert_allclose(longer.get_forces(), atoms.get_forces(), atol=1e-12)
    np.testing.assert_allclose(2.0 * longer.get_stress(), atoms.get_stress(), atol=1e-12)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("structure.supercell=[2, 2, 2]", "repeats axis 3, which is vacuum"),
        ("expansion.born_file=c.yaml", "dipoles are known in three dimensions only"),
        ("structure.periodic=[true, false, false]", "no vacuum"),
    ],
)
def test_what_a_sheet_cannot_have_is_one_line(project: Path, override: str, words: str) -> None:
    result = invoke("init", project / "c.yaml", "--dry-run", "--set", override)
    assert result.exit_code in {2, 3}
    assert words in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("name", ["slab.extxyz", "slab.vasp"])
def test_init_of_a_structure_writes_a_sheet(project: Path, tmp_path: Path, name: str) -> None:
    """A VASP file does not know of vacuum, and the user says it."""
    ase.io.write(tmp_path / name, slab())
    asked = () if name.endswith("xyz") else ("--set", "structure.periodic=[true, true, false]")
    result = invoke("init", tmp_path / name, "-o", tmp_path / "new.yaml", "--json", *asked)
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["space_group"] == "p-3m1 (layer group 72)"
    written = yaml.safe_load((tmp_path / "new.yaml").read_text(encoding="utf-8"))
    assert written["structure"]["periodic"] == [True, True, False]
    assert written["structure"]["supercell"] == [6, 6, 1]
    assert written["engine"]["parameters"]["kpoints"] == [2, 2, 1]
    counted = re.findall(r"This one: (\d+) parameters", (tmp_path / "new.yaml").read_text(encoding="utf-8"))
    assert json.loads(result.stdout)["n_parameters"] == sum(map(int, counted))
    assert len(counted) == 2


@pytest.mark.parametrize("name", ["phonopy", "model"])
def test_a_prior_of_a_sheet_may_have_another_vacuum(project: Path, tmp_path: Path, name: str) -> None:
    """Harmonic constants of a file of phonopy, which knows no vacuum, or of a model; the vacuum is longer."""
    atoms = slab()
    atoms.cell[2] *= 1.5
    ase.io.write(tmp_path / "slab.extxyz", atoms)
    prior = project / "run/model.h5"
    if name == "phonopy":
        result = invoke("export", project / "run", "--format", "phonopy", "-o", tmp_path / "phonopy")
        assert result.exit_code == 0, result.stderr
        prior = tmp_path / "phonopy/phonopy_params.yaml"
    overrides = [f"training.prior={{{name}: {prior}}}"]
    workspace = Workspace(parse_config(CONFIG, source="c.yaml", folder=tmp_path, overrides=overrides))
    truth = read_model(project / "run/model.h5")[0]
    guessed, known = (
        force_constants(basis, parameters, 2, Torus(basis.crystal, np.diag([4, 4, 1])))
        for basis, parameters in (
            (workspace.expansion.basis, prior_guess(workspace, NullProgress()).parameters),
            (truth.basis, truth.posterior.mean),
        )
    )
    assert workspace.crystal.lattice[2, 2] == pytest.approx(1.5 * truth.basis.crystal.lattice[2, 2])
    np.testing.assert_array_equal(guessed.clusters, known.clusters)
    np.testing.assert_allclose(guessed.blocks, known.blocks, atol=1e-6)


def test_a_frame_that_ends_where_the_crystal_goes_on_is_refused(project: Path, tmp_path: Path) -> None:
    text = (project / "frames.extxyz").read_text(encoding="utf-8")
    (tmp_path / "cut.extxyz").write_text(text.replace('pbc="T T F"', 'pbc="T F F"'), encoding="utf-8")
    result = invoke("validate", project / "run/model.h5", tmp_path / "cut.extxyz")
    assert result.exit_code == 3
    assert "frame 1: the frame is not periodic along axis 2, the crystal is" in " ".join(
        result.stderr.split()
    )
