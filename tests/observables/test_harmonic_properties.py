"""Sums over modes: closed forms of the harmonic crystal, and phonopy on exported force constants."""

import dataclasses

import numpy as np
import phonopy
import pytest
from ase import Atoms
from ase.build import bulk

from mlff_dyn.formats.phonopy_files import write_phonopy
from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.crystal import build_crystal
from mlff_dyn.lattice.torus import input_supercell
from mlff_dyn.observables.harmonic_properties import harmonic_properties, mesh_of
from mlff_dyn.observables.sampled_phonons import sampled_phonons
from mlff_dyn.observables.state_density import DensityMesh
from mlff_dyn.regression.fit.noise import NoiseModel
from mlff_dyn.units import AMU_ANGSTROM2_PER_FS2_EV, BOLTZMANN_EV_PER_K, HBAR_EV_FS
from tests.models import crystal_of, fitted_to_harmonic, spring_hessian

WATSON = 0.505462019717326
"""Mean of 1 / (3 - cos x - cos y - cos z)."""
LOG_TREES = 1.673389302970000
"""Mean of ln(6 - 2 cos x - 2 cos y - 2 cos z)."""
STIFFNESS = 1.7
MASS = 40.0


@pytest.fixture(scope="module")
def simple_cubic():
    """Each atom bound to its six neighbors by springs that are alike in all directions."""
    atoms = Atoms("Ar", cell=3.0 * np.eye(3), pbc=True, masses=[MASS])
    torus = input_supercell(crystal_of(atoms), (3, 3, 3))
    basis = build_basis(torus.crystal, {2: 3.1})
    return fitted_to_harmonic(basis, torus, spring_hessian(torus, {3.0: (STIFFNESS, STIFFNESS)})), torus


@pytest.fixture(scope="module")
def rocksalt():
    """Two species, with error bars of a few percent, and nothing that the expansion leaves out."""
    atoms = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    torus = input_supercell(crystal_of(atoms), (1, 1, 1))
    hessian = spring_hessian(torus, {2.8: (2.0, 0.4), 2.8 * np.sqrt(2.0): (0.5, 0.1)})
    force_field = fitted_to_harmonic(build_basis(torus.crystal, {2: "full"}, torus), torus, hessian)
    mean = force_field.posterior.mean
    known = dataclasses.replace(force_field.posterior.hyperparameters, noise=NoiseModel(0.01))
    factor = 0.01 * float(np.abs(mean).max()) * np.eye(len(mean))
    posterior = dataclasses.replace(force_field.posterior, covariance_factor=factor, hyperparameters=known)
    return dataclasses.replace(force_field, posterior=posterior, calibration=1.3), torus


def test_a_hot_harmonic_crystal_is_that_of_the_textbook(simple_cubic):
    """<u^2> by Watson's integral, entropy by the number of spanning trees, C_v by Dulong and Petit."""
    kelvin = 30000.0
    found = harmonic_properties(sampled_phonons(*simple_cubic, n_samples=2), (12, 12, 12), [kelvin])
    thermal = BOLTZMANN_EV_PER_K * kelvin
    assert found.displacements is not None
    np.testing.assert_allclose(
        found.displacements.value[1, 0],
        thermal / (2.0 * STIFFNESS) * WATSON * np.eye(3),
        rtol=1e-3,
        atol=1e-9,
    )
    mean_log = 0.5 * (np.log(STIFFNESS / (MASS * AMU_ANGSTROM2_PER_FS2_EV)) + LOG_TREES)
    entropy = 3.0 * (1.0 + np.log(thermal / HBAR_EV_FS) - mean_log)
    assert found.entropy.value[1] == pytest.approx(entropy, rel=2e-4)
    assert found.heat_capacity.value[1] == pytest.approx(3.0, rel=1e-4)
    assert found.free_energy.value[1] == pytest.approx(thermal * (3.0 - entropy), rel=2e-4)


def test_a_cold_crystal_has_its_zero_point_energy_and_no_entropy(simple_cubic):
    found = harmonic_properties(sampled_phonons(*simple_cubic, n_samples=2), (10, 10, 10), [1.0])
    n = 64
    x, y, z = np.meshgrid(*(2.0 * np.pi * (np.arange(n) + 0.5) / n,) * 3)
    waves = np.sqrt(
        2.0 * STIFFNESS / (MASS * AMU_ANGSTROM2_PER_FS2_EV) * (3.0 - np.cos(x) - np.cos(y) - np.cos(z))
    )
    assert found.temperatures_kelvin.tolist() == [0.0, 1.0]
    assert found.free_energy.value[0] == pytest.approx(1.5 * HBAR_EV_FS * waves.mean(), rel=1e-3)
    assert found.free_energy.value[1] == pytest.approx(found.free_energy.value[0], rel=1e-6)
    assert found.entropy.value[0] == 0.0
    assert np.trace(found.displacements.value[0, 0]) == pytest.approx(
        1.5 * HBAR_EV_FS / (MASS * AMU_ANGSTROM2_PER_FS2_EV) * np.mean(1.0 / waves), rel=1e-2
    )


def test_densities_of_species_add_up_to_that_of_phonopy(rocksalt, tmp_path):
    force_field, torus = rocksalt
    found = harmonic_properties(sampled_phonons(force_field, torus, n_samples=2), (12, 12, 12), [300.0])
    points = found.frequencies_thz
    pitch = points[1] - points[0]
    assert found.species == ("Na", "Cl")
    np.testing.assert_allclose(found.dos.value.sum(axis=1) * pitch, [3.0, 3.0], rtol=0.02)
    write_phonopy(force_field, torus, tmp_path)
    phonon = phonopy.load(tmp_path / "phonopy_params.yaml", log_level=0)
    phonon.run_mesh([12, 12, 12], is_gamma_center=True)
    phonon.run_total_dos(freq_min=points[0], freq_max=points[-1] + 0.5 * pitch, freq_pitch=pitch)
    np.testing.assert_allclose(found.dos.value.sum(axis=0), phonon.total_dos.dos[: len(points)], atol=2e-3)


@pytest.mark.parametrize("mesh", [(5, 5, 5), (6, 6, 6), (4, 4, 6)])
def test_densities_from_irreducible_wave_vectors_are_those_from_all(rocksalt, mesh):
    """The last mesh has not the symmetry of the crystal."""
    phonons = sampled_phonons(*rocksalt, n_samples=2)
    phonon = phonons.choose(0)
    points = np.linspace(0.0, 12.0, 61)
    phonon.run_mesh(mesh, is_gamma_center=True, is_mesh_symmetry=False, with_eigenvectors=True)
    phonon.run_projected_dos(freq_min=0.0, freq_max=12.1, freq_pitch=0.2)
    shares = (np.abs(phonon.mesh.eigenvectors) ** 2).reshape(-1, 2, 3, 6).sum(axis=2)
    found = DensityMesh(phonon, mesh).density(phonon.mesh.frequencies, shares, points)
    np.testing.assert_allclose(found, phonon.projected_dos.projected_dos, atol=1e-3 * found.max())
    np.testing.assert_allclose(found.sum(axis=0), phonon.projected_dos.projected_dos.sum(axis=0), atol=1e-9)


def test_thermal_properties_are_those_of_phonopy_on_a_fine_mesh(rocksalt, tmp_path):
    force_field, torus = rocksalt
    found = harmonic_properties(sampled_phonons(force_field, torus, n_samples=2), (16, 16, 16), [50.0, 400.0])
    write_phonopy(force_field, torus, tmp_path)
    phonon = phonopy.load(tmp_path / "phonopy_params.yaml", log_level=0)
    phonon.run_mesh([30, 30, 30], is_gamma_center=True)
    phonon.run_thermal_properties(temperatures=[0.0, 50.0, 400.0], exclude_gamma_acoustic=True)
    known = phonon.thermal_properties
    np.testing.assert_allclose(96.485 * found.free_energy.value, known.free_energy, rtol=2e-3, atol=5e-3)
    np.testing.assert_allclose(8.31446 * found.entropy.value, known.entropy, rtol=5e-3)
    np.testing.assert_allclose(8.31446 * found.heat_capacity.value, known.heat_capacity, rtol=2e-3)
    assert (found.mesh_errors["free_energy"] > 0.0).all()


def test_error_bars_follow_the_calibration_and_vanish_with_the_covariance(rocksalt):
    force_field, torus = rocksalt
    surer = dataclasses.replace(
        force_field.posterior, covariance_factor=0.0 * force_field.posterior.covariance_factor
    )
    fields = [
        dataclasses.replace(force_field, calibration=1.0),
        dataclasses.replace(force_field, calibration=3.0),
        dataclasses.replace(force_field, posterior=surer),
    ]
    once, thrice, none = (
        harmonic_properties(sampled_phonons(each, torus, n_samples=4), (4, 4, 4), [300.0]) for each in fields
    )
    for name in ("dos", "free_energy", "entropy", "heat_capacity", "displacements"):
        first, second, third = (getattr(each, name) for each in (once, thrice, none))
        np.testing.assert_allclose(second.sd, 3.0 * first.sd)
        np.testing.assert_array_equal(second.value, first.value)
        assert first.sd.max() > 0.0
        assert third.sd.max() <= 1e-9 * np.abs(third.value).max()


def test_error_bars_of_the_free_energy_are_those_of_its_slope(rocksalt):
    """To first order sd^2 is the sum of squared changes along the columns of a covariance factor."""
    force_field, torus = rocksalt
    force_field = dataclasses.replace(force_field, calibration=1.0)
    found = harmonic_properties(sampled_phonons(force_field, torus, n_samples=200), (2, 2, 2), [300.0])
    posterior = force_field.posterior
    variance = 0.0
    for column in posterior.covariance_factor.T:
        moved = dataclasses.replace(posterior, mean=posterior.mean + 0.1 * column)
        changed = sampled_phonons(dataclasses.replace(force_field, posterior=moved), torus, n_samples=2)
        shifted = harmonic_properties(changed, (2, 2, 2), [300.0]).free_energy.value[1]
        variance += ((shifted - found.free_energy.value[1]) / 0.1) ** 2
    assert found.free_energy.sd[1] == pytest.approx(np.sqrt(variance), rel=0.2)


def test_imaginary_modes_are_counted(simple_cubic):
    force_field, torus = simple_cubic
    posterior = dataclasses.replace(force_field.posterior, mean=-force_field.posterior.mean)
    force_field = dataclasses.replace(force_field, posterior=posterior)
    found = harmonic_properties(sampled_phonons(force_field, torus, n_samples=2), (4, 4, 4), [300.0])
    assert found.n_imaginary == 3 * (2**3 - 1)


def test_a_sheet_has_one_wave_vector_along_its_vacuum_and_no_mean_square():
    places = [(1 / 3, 2 / 3, 0.5), (2 / 3, 1 / 3, 0.5)]
    atoms = Atoms("C2", scaled_positions=places, cell=[2.46, 2.46, 15.0, 90, 90, 120])
    crystal = build_crystal(
        atoms.cell.array, atoms.positions, atoms.numbers, atoms.get_masses(), periodic=(True, True, False)
    )
    torus = input_supercell(crystal, (3, 3, 1))
    assert mesh_of(torus, 0.5)[2] == 1
    assert mesh_of(torus, 0.25)[0] == 2 * mesh_of(torus, 0.5)[0]
    hessian = spring_hessian(torus, {2.46 / np.sqrt(3.0): (30.0, 8.0), 2.46: (5.0, 2.0)})
    force_field = fitted_to_harmonic(build_basis(crystal, {2: 2.5}), torus, hessian)
    found = harmonic_properties(sampled_phonons(force_field, torus, n_samples=2), (6, 6, 1), [300.0])
    assert found.displacements is None
    assert found.heat_capacity.value[1] > 0.0
