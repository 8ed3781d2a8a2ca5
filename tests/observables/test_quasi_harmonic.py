"""Quasi-harmonic expansion against phonopy's, by finite displacements at several volumes."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import EMT
from phonopy import Phonopy
from phonopy.structure.atoms import PhonopyAtoms

from mlff_dyn.errors import DataError
from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.local.basis import LocalSettings
from mlff_dyn.model.calculator import ForceFieldCalculator
from mlff_dyn.model.expansion import Expansion
from mlff_dyn.model.fitting.fit import fit_force_field
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.model.fitting.labelled_frame import FitOptions
from mlff_dyn.model.local_expansion import local_basis
from mlff_dyn.observables.quasi_harmonic import quasi_harmonic
from mlff_dyn.observables.rest_energy import RestEnergy
from mlff_dyn.observables.sampled_phonons import sampled_phonons
from mlff_dyn.store.dataset import Snapshot
from mlff_dyn.workflows.snapshots import frames_of_snapshots
from tests.models import copper
from tests.observables.test_truncation import TORUS

qha = pytest.importorskip("phonopy.qha.qha")

KELVIN = np.arange(100.0, 720.0, 20.0)
ASKED = (200.0, 400.0, 600.0)
STRAINS = np.linspace(-0.006, 0.024, 9)
MESH = (7, 7, 7)


@cache
def trained():
    """Model of EMT copper that small displacements at several volumes have taught."""
    generator, snapshots = np.random.default_rng(1), []
    for strain in (0.0, 0.006, 0.012, 0.018, 0.024, -0.004):
        atoms = copper() * (2, 2, 2)
        atoms.set_cell((1.0 + strain) * atoms.cell.array, scale_atoms=True)
        atoms.positions += 0.02 * generator.standard_normal(atoms.positions.shape)
        atoms.calc = EMT()
        labels = (float(atoms.get_potential_energy()), atoms.get_forces(), atoms.get_stress())
        snapshots.append(Snapshot(atoms.numbers, atoms.positions, atoms.cell.array, *labels))
    basis = build_basis(TORUS.crystal, {2: "full", 3: 3.0, 4: {2: 3.0}}, TORUS)
    local = local_basis(TORUS.crystal, LocalSettings(4.5, 5, 2, "species"), training=TORUS)
    frames = frames_of_snapshots(Path("frames"), snapshots, Expansion(basis, None, local))
    return fit_force_field(basis, FitData(frames, options=FitOptions(stress=True)))


def expansion_by_phonopy(calculator):
    """Linear expansion at `ASKED`, 1/K: finite displacements at each volume, equation of state of Vinet."""
    phonons, energies = [], []
    for strain in STRAINS:
        atoms = copper()
        atoms.set_cell((1.0 + strain) * atoms.cell.array, scale_atoms=True)
        unit = PhonopyAtoms(numbers=atoms.numbers, cell=atoms.cell.array, positions=atoms.positions)
        phonon = Phonopy(unit, 2 * np.eye(3, dtype=int), primitive_matrix="F", log_level=0)
        phonon.generate_displacements(distance=0.01, is_plusminus=True)
        rest, *displaced = (
            Atoms(cell.symbols, cell.positions, cell=cell.cell, pbc=True, calculator=calculator)
            for cell in (phonon.supercell, *phonon.supercells_with_displacements)
        )
        energies.append(rest.get_potential_energy() / len(rest))
        phonon.forces = [each.get_forces() for each in displaced]
        phonon.produce_force_constants()
        phonons.append(phonon)
    found = qha.run_qha(phonons, KELVIN, energies, mesh=MESH, exclude_gamma_acoustic=True)
    return np.interp(ASKED, KELVIN[: len(found.thermal_expansion)], found.thermal_expansion) / 3.0


@cache
def expansion_of_model():
    phonons = sampled_phonons(trained(), TORUS, n_samples=2)
    found = quasi_harmonic(phonons, RestEnergy(trained(), 0.0), MESH, ASKED)["quantum"]
    return found.rates[:, 0] / (np.sqrt(3.0) + found.amounts[:, 0])


def test_expansion_is_that_of_phonopy_by_the_same_model():
    expected = expansion_by_phonopy(ForceFieldCalculator(trained()))
    np.testing.assert_allclose(expansion_of_model(), expected, rtol=0.01)


def test_expansion_is_that_of_phonopy_by_the_engine():
    """Without the stresses of the frames it would be off by 2.2 %."""
    expected = expansion_by_phonopy(EMT())
    np.testing.assert_allclose(expansion_of_model(), expected, rtol=0.02)


def test_a_crystal_that_has_expanded_to_pieces_is_refused():
    phonons = sampled_phonons(trained(), TORUS, n_samples=2)
    with pytest.raises(DataError, match="no minimum at 20000 K"):
        quasi_harmonic(phonons, RestEnergy(trained(), 0.0), (3, 3, 3), [20000.0])
