"""Self-consistent phonons of copper at 800 K by hiPhive and phonopy, on the same force field."""

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from hiphive import ClusterSpace, ForceConstantPotential
from hiphive.self_consistent_phonons import self_consistent_harmonic_model
from phonopy import Phonopy
from phonopy.sscha.core import MLPSSCHA

from mlff_dyn.formats.phonopy_cells import phonopy_cells
from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.torus import input_supercell
from mlff_dyn.model.expansion import Expansion
from mlff_dyn.model.fitting.fit import fit_force_field
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.observables.effective.averaged import EffectiveSettings
from mlff_dyn.observables.effective.correction import Correction
from mlff_dyn.observables.effective.effective_phonons import effective_bands, free_energy
from mlff_dyn.observables.effective.self_consistent import self_consistent
from mlff_dyn.observables.sampled_phonons import sampled_phonons
from mlff_dyn.workflows.snapshots import frames_of_snapshots
from tests.models import copper, crystal_of, emt_snapshots

pytestmark = pytest.mark.slow

KELVIN = 800.0
WAVEVECTORS = np.array([[0.5, 0.5, 0.0], [0.5, 0.0, 0.0], [0.25, 0.25, 0.0], [0.5, 0.25, 0.75]])


class Crystal:
    """The force field in the atom order of phonopy's supercell."""

    def __init__(self) -> None:
        self.torus = input_supercell(crystal_of(copper()), (2, 2, 2))
        basis = build_basis(self.torus.crystal, {2: 3.5, 3: {2: 3.5, 3: 3.0}, 4: {2: 3.0}}, self.torus)
        snapshots = emt_snapshots((2, 2, 2), (0.05, 0.08, 0.12, 0.15, 0.1, 0.1))
        frames = frames_of_snapshots(Path("frames"), snapshots, Expansion(basis))
        self.force_field = fit_force_field(basis, FitData(frames))
        self.phonon = Phonopy(**phonopy_cells(self.torus), log_level=0)
        self.cell = self.phonon.supercell
        self.kernel = self.force_field.on(self.torus).kernel
        self.atoms, _ = self.torus.match(self.cell.positions)

    def energy_forces(self, positions):
        moved = (positions - self.cell.positions) @ np.linalg.inv(self.cell.cell)
        displacements = np.empty((len(positions), 3))
        displacements[self.atoms] = (moved - np.rint(moved)) @ self.cell.cell
        energy, forces = self.kernel.energy_forces(displacements)
        return energy, forces[self.atoms]

    def frequencies(self, force_constants):
        self.phonon.force_constants = force_constants
        self.phonon.run_qpoints(WAVEVECTORS)
        return np.array(self.phonon.qpoints.frequencies)


@pytest.fixture(scope="module")
def crystal():
    return Crystal()


@pytest.fixture(scope="module")
def found(crystal):
    phonons = sampled_phonons(crystal.force_field, crystal.torus, n_samples=8, seed=1)
    settings = EffectiveSettings(KELVIN, "self-consistent", True, 0.002, 8000, 1)
    correction = Correction(crystal.force_field.expansion, crystal.torus)
    file = self_consistent(phonons, correction, settings).in_phonopy_form(phonons, settings, "")
    bands = effective_bands(file, phonons.phonon, crystal.torus, WAVEVECTORS)
    return bands, free_energy(file, phonons.phonon, crystal.torus, (20, 20, 20))


def test_hiphive_finds_the_same_frequencies(crystal, found):
    class Model(Calculator):
        implemented_properties = ("energy", "forces")

        def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
            super().calculate(atoms, properties, system_changes)
            energy, forces = crystal.energy_forces(atoms.positions)
            self.results = {"energy": energy, "forces": forces}

    ideal = Atoms(crystal.cell.symbols, crystal.cell.positions, cell=crystal.cell.cell, pbc=True)
    with contextlib.redirect_stdout(io.StringIO()):
        cluster_space = ClusterSpace(copper(), [3.5])
        every = self_consistent_harmonic_model(
            ideal, Model(), cluster_space, KELVIN, 0.3, 20, 60, QM_statistics=True
        )
        theirs = [
            crystal.frequencies(
                ForceConstantPotential(cluster_space, each).get_force_constants(ideal).get_fc_array(order=2)
            )
            for each in every[-10:]
        ]
    np.testing.assert_allclose(found[0].frequencies_thz, np.mean(theirs, axis=0), atol=0.04)


@pytest.mark.filterwarnings("ignore:Half-grid shift")
def test_phonopy_finds_the_same_frequencies_and_free_energy(crystal, found):
    class Model:
        mlp = None

        def evaluate(self, cells):
            energies, forces = zip(*(crystal.energy_forces(each.positions) for each in cells), strict=True)
            return np.array(energies), np.array(forces), np.zeros((len(cells), 6))

    phonon = Phonopy(**phonopy_cells(crystal.torus), log_level=0)
    sampled = sampled_phonons(crystal.force_field, crystal.torus, n_samples=2, seed=1)
    phonon.force_constants = sampled.choose(0).force_constants
    theirs = MLPSSCHA(
        phonon, Model(), temperature=KELVIN, number_of_snapshots=200, max_iterations=8, mesh=20, random_seed=1
    )
    theirs.run()
    last = [crystal.frequencies(each) for each in theirs._force_constants_history[-5:]]
    np.testing.assert_allclose(found[0].frequencies_thz, np.mean(last, axis=0), atol=0.08)
    energies = [each.free_energy for each in theirs._history[-5:]]
    assert found[1].value == pytest.approx(float(np.mean(energies)), abs=0.001)
