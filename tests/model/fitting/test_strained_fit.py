"""Strained frames as data: matched, fitted, predicted."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import EMT
from numpy.typing import NDArray

from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.torus import input_supercell
from mlff_dyn.model.calculator import ForceFieldCalculator
from mlff_dyn.model.expansion import Expansion
from mlff_dyn.model.fitting.fit import fit_force_field
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.model.fitting.labelled_frame import FitOptions, labelled_frame
from mlff_dyn.model.force_field import ForceField
from mlff_dyn.workflows.snapshots import frames_of_snapshots
from tests.lattice.crystals import wurtzite
from tests.models import copper, crystal_of, labelled_snapshot, random_force_field


def deformed(atoms: Atoms, size: float, sd: float, seed: int) -> Atoms:
    """Randomly deformed cell, shuffled and displaced atoms."""
    generator = np.random.default_rng(seed)
    gradient = np.eye(3) + size * generator.uniform(-1.0, 1.0, (3, 3))
    moved = atoms[generator.permutation(len(atoms))]
    moved.set_cell(moved.cell.array @ gradient.T, scale_atoms=True)
    moved.positions += sd * generator.standard_normal((len(atoms), 3))
    return moved


def test_strained_frames_recover_the_parameters() -> None:
    """Noise-free frames of deformed cells of a crystal that may feel a net force."""
    truth, _ = random_force_field(wurtzite(), (2, 2, 1), {2: 2.0, 3: 2.0})
    snapshots = []
    for seed in range(6):
        atoms = deformed(wurtzite() * (2, 2, 1), 0.02, 0.05, seed)
        atoms.calc = ForceFieldCalculator(truth)
        snapshots.append(labelled_snapshot(atoms))
    rows = frames_of_snapshots(Path("strained"), snapshots, truth.expansion)
    design = np.concatenate([each.supercell.rows(each.displacements)[0] for each in rows])
    targets = np.concatenate([each.forces for each in rows])
    found = np.linalg.lstsq(design, targets, rcond=None)[0]
    np.testing.assert_allclose(found, truth.posterior.mean, atol=1e-8)
    energies = [each.supercell.rows(each.displacements)[1] @ found - each.energy_ev for each in rows]
    rest = truth.training.reference_energy_ev_per_cell * rows[0].n_cells
    np.testing.assert_allclose(energies, -rest, atol=1e-8)


def expanded_copper(scale: float) -> Atoms:
    atoms = copper()
    atoms.set_cell(scale * atoms.cell.array, scale_atoms=True)
    return atoms


def test_stresses_tell_the_stress_at_rest_and_energies_of_strains_use_it() -> None:
    """The reference structure is 1 % too large, the data are deformed cells."""
    crystal = crystal_of(expanded_copper(1.01))
    torus = input_supercell(crystal, (2, 2, 2))
    basis = build_basis(crystal, {2: "full", 3: 3.0, 4: {2: 3.0}}, torus)
    snapshots = []
    for seed in range(12):
        atoms = deformed(expanded_copper(1.01) * (2, 2, 2), 0.01, 0.05, seed)
        atoms.calc = EMT()
        snapshots.append(replace(labelled_snapshot(atoms), stress_ev_per_angstrom3=atoms.get_stress()))
    rows = frames_of_snapshots(Path("deformed"), snapshots, Expansion(basis))
    force_field = fit_force_field(basis, FitData(rows, FitOptions(stress=True)))
    sizes = np.array([-0.01, 0.0, 0.01])
    expected, found = (
        np.array([energy_of(expanded_copper(1.01 * (1.0 + size)), calculator) for size in sizes])
        for calculator in (EMT(), ForceFieldCalculator(force_field))
    )
    differences = (np.diff(each) for each in (expected, found))
    np.testing.assert_allclose(*differences, rtol=0.1, atol=1e-3)
    assert (expected[1] - expected[0]) > 0.0


def energy_of(atoms: Atoms, calculator: object) -> float:
    atoms = atoms * (2, 2, 2)
    atoms.calc = calculator
    return float(atoms.get_potential_energy()) / len(atoms)


def test_without_stresses_energies_of_strained_frames_are_no_rows() -> None:
    truth, torus = random_force_field(wurtzite(), (2, 2, 1), {2: 2.0, 3: 2.0})
    u = 0.05 * np.random.default_rng(1).standard_normal((torus.n_atoms, 3))
    places = [None, None, np.diag([0.01, -0.02, 0.03])]
    data = [labelled_frame(truth.expansion.on(torus, strain), u, u, -1.0) for strain in places]
    rows = FitData(data, FitOptions())
    assert [rows.has_energy_row(k) for k in range(len(data))] == [True, True, False]
    assert [len(rows.block(k).targets) - u.size for k in range(len(data))] == [1, 1, 0]


@pytest.fixture(scope="module")
def copper_model() -> ForceField:
    """Trained on displaced atoms in the cell at rest only."""
    crystal = crystal_of(copper())
    torus = input_supercell(crystal, (3, 3, 3))
    basis = build_basis(crystal, {2: 5.2, 3: 4.5, 4: {2: 3.0}}, torus)
    snapshots = []
    for seed in range(8):
        atoms = deformed(copper() * (3, 3, 3), 0.0, 0.08, seed)
        atoms.calc = EMT()
        snapshots.append(labelled_snapshot(atoms))
    return fit_force_field(basis, FitData(frames_of_snapshots(Path("copper"), snapshots, Expansion(basis))))


def strain_energies(sizes: tuple[float, ...], calculator: object) -> NDArray[np.float64]:
    energies = []
    for size in sizes:
        atoms = copper() * (3, 3, 3)
        atoms.set_cell(atoms.cell.array * (1.0 + size), scale_atoms=True)
        atoms.calc = calculator
        energies.append(atoms.get_potential_energy())
    return np.array(energies)


def test_forces_of_displacements_tell_the_bulk_modulus(copper_model: ForceField) -> None:
    """Second difference of the energy over the volume; the stress at rest is not known and drops out."""
    sizes = (-0.01, 0.0, 0.01)
    expected, found = (
        np.dot([1.0, -2.0, 1.0], strain_energies(sizes, calculator))
        for calculator in (EMT(), ForceFieldCalculator(copper_model))
    )
    assert found == pytest.approx(expected, rel=0.1)


def test_forces_in_strained_cells_are_predicted(copper_model: ForceField) -> None:
    for seed in (20, 21):
        atoms = deformed(copper() * (3, 3, 3), 0.02, 0.05, seed)
        atoms.calc = EMT()
        expected = atoms.get_forces()
        atoms.calc = ForceFieldCalculator(copper_model)
        error = atoms.get_forces() - (expected - expected.mean(axis=0))
        assert np.sqrt(np.mean(error**2)) < 0.1 * np.sqrt(np.mean(expected**2))
