"""The harmonic part of the local energy on larger cells: what the training supercell tells, no more."""

import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from phonopy import Phonopy
from phonopy.structure.atoms import PhonopyAtoms

from mlff_dyn.formats.phonopy_cells import compact_array, phonopy_cells
from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.crystal import Crystal, build_crystal
from mlff_dyn.lattice.matching import match_structure
from mlff_dyn.lattice.torus import Torus, input_supercell
from mlff_dyn.local.basis import LocalSettings
from mlff_dyn.model.expansion import Expansion
from mlff_dyn.model.fitting.fit import fit_force_field
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.model.fitting.labelled_frame import labelled_frame
from mlff_dyn.model.force_constants import whole_force_constants
from mlff_dyn.model.force_field import ForceField
from mlff_dyn.model.harmonic_modes import harmonic_modes
from mlff_dyn.model.local_expansion import local_basis
from mlff_dyn.model.long_range import LongRange
from mlff_dyn.store.model_file import read_model, write_model
from tests.lattice.crystals import quartz, rocksalt
from tests.models import crystal_of, random_force_field, with_local_part

STRAIN = np.array([[0.01, 0.004, 0.0], [0.004, -0.01, 0.002], [0.0, 0.002, 0.005]])
CRYSTALS = {
    "copper": (bulk("Cu", "fcc", a=3.6, cubic=True), (2, 2, 2), (4, 2, 4), LocalSettings(5.0, 3, 2)),
    "salt": (rocksalt(), (2, 2, 1), (2, 2, 2), LocalSettings(5.0, 2, 2)),
    "quartz": (quartz(), (1, 1, 1), (2, 1, 1), LocalSettings(3.5, 2, 1)),
    "zincblende": (
        bulk("BAs", a=4.8, crystalstructure="zincblende"),
        (3, 3, 3),
        (6, 3, 3),
        LocalSettings(4.5, 2, 1),
    ),
}


@cache
def models(name: str) -> tuple[ForceField, ForceField, Torus, Torus]:
    """Random force field whose images share, the same without, the training cell and a larger one."""
    atoms, supercell, larger, settings = CRYSTALS[name]
    bare, training = random_force_field(atoms, supercell, {2: "full"})
    return (
        with_local_part(bare, settings, training=training),
        with_local_part(bare, settings),
        training,
        input_supercell(training.crystal, larger),
    )


def displaced(torus: Torus, seed: int = 1) -> np.ndarray:
    moved = 0.05 * np.random.default_rng(seed).standard_normal((torus.n_atoms, 3))
    return moved - moved.mean(axis=0)


@pytest.mark.parametrize("name", CRYSTALS)
def test_nothing_changes_on_the_training_cell_and_its_copies(name: str) -> None:
    shared, alone, training, larger = models(name)
    u = displaced(training)
    energy, forces = shared.on(training).energy_forces(u)
    assert energy == alone.on(training).energy_forces(u)[0]
    copies, _ = training.match(larger.positions)
    energy_of_copies, forces_of_copies = shared.on(larger).energy_forces(u[copies])
    n_copies = larger.n_atoms // training.n_atoms
    reference = shared.training.reference_energy_ev_per_cell * training.n_cells
    assert energy_of_copies / n_copies - reference == pytest.approx(energy - reference, abs=1e-9)
    np.testing.assert_allclose(forces_of_copies, forces[copies], atol=1e-10 * np.abs(forces).max())
    other = displaced(larger)
    differs = shared.on(larger).energy_forces(other)[1] - alone.on(larger).energy_forces(other)[1]
    assert np.abs(differs).max() > 1e-3 * np.abs(forces).max()


@pytest.mark.parametrize("name", CRYSTALS)
def test_waves_between_those_of_the_training_cell_are_those_of_phonopy(name: str) -> None:
    """phonopy shares force constants of a supercell among the shortest images of each pair."""
    shared, _, training, larger = models(name)
    mean = shared.posterior.mean
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Warning: Point group symmetries")
        phonon = Phonopy(**phonopy_cells(training), log_level=0)
    constants = whole_force_constants(shared.expansion, mean, 2, training)
    phonon.force_constants = compact_array(constants, phonon.supercell, np.arange(training.n_atoms))
    modes = harmonic_modes(shared.expansion, mean, larger)
    phonon.run_qpoints(modes.torus.wavevectors)
    expected = phonon.qpoints.frequencies
    np.testing.assert_allclose(modes.frequencies_thz, expected, atol=2e-4 * np.abs(expected).max())


@pytest.mark.parametrize("strain", [None, STRAIN])
@pytest.mark.parametrize("name", CRYSTALS)
def test_kernels_rows_and_errors_agree(name: str, strain: np.ndarray | None) -> None:
    shared, _, training, larger = models(name)
    for torus in (training, larger):
        u, place = displaced(torus), shared.on(torus, strain=strain)
        supercell = shared.expansion.on(torus, strain)
        rows, row = supercell.rows(u)
        energy, forces = supercell.kernel(shared.posterior.mean).energy_forces(u)
        size = np.abs(forces).max()
        np.testing.assert_allclose(rows @ shared.posterior.mean, forces.ravel(), atol=1e-10 * size)
        assert row @ shared.posterior.mean == pytest.approx(energy, abs=1e-9 * size)
        factor = np.random.default_rng(3).standard_normal((len(row), 4))
        variances = supercell.force_variances(u, factor)
        np.testing.assert_allclose(variances.ravel(), ((rows @ factor) ** 2).sum(axis=1), rtol=1e-8)
        stress = place.stress(u) - place.stress(np.zeros_like(u))
        expected = (
            supercell.stress_rows(u) - supercell.stress_rows(np.zeros_like(u))
        ) @ shared.posterior.mean
        if strain is None:
            work = forces_work(forces, u) / supercell.volume
            np.testing.assert_allclose(stress, expected - work, atol=1e-8 * np.abs(stress).max())


def forces_work(forces: np.ndarray, displacements: np.ndarray) -> np.ndarray:
    """Symmetric part of the sum over atoms of displacement times force, in Voigt's order."""
    product = displacements.T @ forces
    symmetric = 0.5 * (product + product.T)
    return symmetric[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]


def test_nothing_is_shared_where_all_pairs_are_inside() -> None:
    crystal = crystal_of(bulk("Cu", "fcc", a=3.6))
    training = input_supercell(crystal, (6, 6, 6))
    local = local_basis(crystal, LocalSettings(3.0, 2, 1), training=training)
    expansion = Expansion(build_basis(crystal, {2: 3.0}, training), local=local)
    assert expansion.strained_lattice is expansion.lattice


def test_rotational_sum_rules_keep_the_local_part_as_it_is() -> None:
    crystal = crystal_of(bulk("Cu", "fcc", a=3.6))
    training = input_supercell(crystal, (2, 2, 2))
    local = local_basis(crystal, LocalSettings(5.0, 3, 2), training=training, is_at_rest=True)
    assert local.shared_on is None


def test_a_model_file_keeps_the_supercell(tmp_path: Path) -> None:
    shared, _, _, larger = models("copper")
    write_model(tmp_path / "model.h5", shared, {})
    found, _ = read_model(tmp_path / "model.h5")
    u = displaced(larger)
    assert found.on(larger).energy_forces(u)[0] == shared.on(larger).energy_forces(u)[0]


def test_sodium_chloride_is_right_in_a_larger_cell(shared_data: Path) -> None:
    """Trained on 64 atoms and tested on 512, where the local part joins atoms that are 10 Å apart."""
    phono3py = pytest.importorskip("phono3py")
    path = shared_data / "NaCl-vasp" / "phono3py_params_NaCl.yaml.xz"
    loaded = phono3py.load(path, produce_fc=False, log_level=0)
    unit = loaded.unitcell
    crystal = build_crystal(unit.cell, unit.positions, unit.numbers)
    training, larger = (input_supercell(crystal, (n, n, n)) for n in (2, 4))
    given = loaded.nac_params
    dipoles = LongRange(np.array(given["born"]), np.array(given["dielectric"]), 0.3, 14.4)
    basis = build_basis(crystal, {2: "full"}, training)
    errors = []
    for local in (None, local_basis(crystal, LocalSettings(5.0, 3, 2), training=training)):
        supercell = Expansion(basis, dipoles, local).on(training)
        frames = [
            labelled_frame(supercell, u, f, None)
            for u, f in matched(crystal, loaded.supercell, loaded.dataset, 4)
        ]
        force_field = fit_force_field(basis, FitData(frames))
        tests = matched(crystal, loaded.phonon_supercell, loaded.phonon_dataset, 2)
        wrong = [force_field.on(larger).energy_forces(u)[1] - f for u, f in tests]
        errors.append(np.sqrt(np.mean(np.square(wrong)) / np.mean(np.square([f for _, f in tests]))))
    assert errors[1] < min(errors[0], 0.03)


def matched(
    crystal: Crystal, cell: PhonopyAtoms, dataset: dict[str, np.ndarray], count: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Displacements and forces of the first frames of a data set, in the order of the torus."""
    found = []
    pairs = zip(dataset["displacements"], dataset["forces"], strict=True)
    for u, f in list(pairs)[:count]:
        match = match_structure(crystal, cell.cell, cell.positions + u, cell.numbers)
        found.append((match.displacements, np.asarray(f)[match.atoms]))
    return found
