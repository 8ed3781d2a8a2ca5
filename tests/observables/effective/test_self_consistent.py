"""Self-consistent phonons: closed forms of a quartic oscillator, and a harmonic crystal."""

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk

from mlff_dyn.errors import BasisError
from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.torus import input_supercell
from mlff_dyn.model.expansion import Expansion
from mlff_dyn.observables.effective.averaged import EffectiveSettings
from mlff_dyn.observables.effective.correction import Correction
from mlff_dyn.observables.effective.effective_phonons import effective_bands, free_energy
from mlff_dyn.observables.effective.limits import EFFECTIVE_LIMITS
from mlff_dyn.observables.effective.self_consistent import self_consistent
from mlff_dyn.observables.harmonic_properties import harmonic_properties
from mlff_dyn.observables.sampled_phonons import sampled_phonons
from tests.models import crystal_of, dipoles_of, fitted_to_harmonic, spring_hessian
from tests.observables.effective.gap_equation import oscillator


def solved(force_field, torus, kelvin, *, is_quantum, error=0.03, seed=1, most=1024, limits=EFFECTIVE_LIMITS):
    phonons = sampled_phonons(force_field, torus, n_samples=6, seed=seed)
    settings = EffectiveSettings(kelvin, "self-consistent", is_quantum, error, most, seed)
    correction = Correction(force_field.expansion, torus)
    return phonons, settings, self_consistent(phonons, correction, settings, limits=limits)


def stiffness_of(harmonic):
    """Of the relative displacement along x."""
    return harmonic.blocks[0, 0].sum()


@pytest.mark.parametrize("is_quantum", [False, True])
@pytest.mark.parametrize(("quadratic", "kelvin"), [(5.0, 300.0), (-5.0, 300.0), (-1.0, 50.0)])
def test_the_gap_equation_of_a_quartic_oscillator_is_solved(quadratic, kelvin, is_quantum):
    """Also where the harmonic frequency is imaginary."""
    force_field, torus, known = oscillator(quadratic, 200.0)
    _, _, found = solved(force_field, torus, kelvin, is_quantum=is_quantum)
    exact = known.stiffness(kelvin, is_quantum=is_quantum)
    sd = np.std([stiffness_of(each) for each in found.of_monte_carlo], ddof=1)
    assert found.is_converged
    assert sd < 0.06 * exact
    assert abs(stiffness_of(found.harmonic) - exact) < 4.0 * sd


def test_its_free_energy_is_that_of_the_best_gaussian():
    """F_vib of the found stiffness and the mean of the rest; what Monte Carlo does to both cancels."""
    force_field, torus, known = oscillator(5.0, 200.0)
    kelvin, thermal = 300.0, 8.617333e-5 * 300.0
    _, _, found = solved(force_field, torus, kelvin, is_quantum=False)
    exact = known.stiffness(kelvin, is_quantum=False)
    change = 1.5 * thermal * np.log(stiffness_of(found.harmonic) / exact)
    difference = change + found.energies[0] - known.energy(kelvin, is_quantum=False)
    assert abs(difference) < 4.0 * found.energies[1]
    assert found.energies[1] < 0.02 * thermal


@pytest.mark.parametrize("quadratic", [5.0, -1.0])
def test_errors_of_the_data_go_through_the_response_of_the_crystal(quadratic):
    """Samples of the posterior against the solution of each of them, with the same random numbers."""
    force_field, torus, _ = oscillator(quadratic, 200.0)
    force_field.posterior.covariance_factor[:] *= 30.0
    exactly = {"error": 1.0, "limits": replace(EFFECTIVE_LIMITS, tolerance=1e-5)}
    phonons, _, found = solved(force_field, torus, 300.0, is_quantum=False, **exactly)
    mean = force_field.posterior.mean.copy()
    changes, predicted, energies = [], [], []
    for number in range(phonons.n_samples):
        force_field.posterior.mean[:] = phonons.parameters[1 + number]
        own = solved(force_field, torus, 300.0, is_quantum=False, **exactly)[2]
        force_field.posterior.mean[:] = mean
        changes.append(stiffness_of(own.harmonic) - stiffness_of(found.harmonic))
        predicted.append(stiffness_of(found.of_data[number]) - stiffness_of(found.harmonic))
        vibration = 1.5 * 8.617333e-5 * 300.0 * np.log(1.0 + changes[-1] / stiffness_of(found.harmonic))
        energies.append(own.energies[0] + vibration - found.energies[0])
    np.testing.assert_allclose(predicted, changes, atol=0.1 * np.std(changes))
    assert np.std(energies, ddof=1) == pytest.approx(found.energies[2], rel=0.25)


def test_the_effective_phonons_of_a_harmonic_crystal_are_its_own():
    atoms = bulk("Cu", "fcc", a=3.6, cubic=True)
    crystal = crystal_of(atoms)
    torus = input_supercell(crystal, (2, 2, 2))
    basis = build_basis(crystal, {2: 2.7}, torus)
    force_field = fitted_to_harmonic(basis, torus, spring_hessian(torus, {3.6 / np.sqrt(2.0): (2.0, 0.1)}))
    phonons, settings, found = solved(force_field, torus, 300.0, is_quantum=True)
    assert found.error_relative < 1e-9
    assert found.is_converged
    file = found.in_phonopy_form(phonons, settings, "")
    wavevectors = np.array([[0.1, 0.2, 0.3], [0.5, 0.5, 0.0]])
    bands = effective_bands(file, phonons.phonon, torus, wavevectors)
    phonon = phonons.choose(0)
    phonon.run_qpoints(wavevectors)
    np.testing.assert_allclose(bands.frequencies_thz, phonon.qpoints.frequencies, rtol=1e-6)
    assert bands.monte_carlo_sds_thz.max() < 1e-9
    energy = free_energy(file, phonons.phonon, torus, (4, 4, 4))
    harmonic = harmonic_properties(phonons, (4, 4, 4), [300.0])
    assert energy.value == pytest.approx(float(harmonic.free_energy.value[1]), abs=1e-9)


def test_longitudinal_waves_are_split_once():
    """Near the zone center only dipoles split them, which effective force constants leave as they are."""
    crystal = crystal_of(bulk("NaCl", "rocksalt", a=5.6, cubic=True))
    torus = input_supercell(crystal, (2, 2, 2))
    dipoles = dipoles_of(crystal, scalar=True)
    basis = build_basis(crystal, {2: 4.5, 4: {2: 3.0}}, torus)
    rest = Expansion(basis, dipoles).on(torus).dipole_dipole
    hessian = spring_hessian(torus, {2.8: (8.0, 1.0), 5.6 / np.sqrt(2.0): (2.0, 0.3)})
    unit = np.eye(3 * torus.n_atoms).reshape(-1, torus.n_atoms, 3)
    hessian -= np.array([rest.energy_forces(each)[1].ravel() for each in unit])
    force_field = fitted_to_harmonic(basis, torus, hessian, long_range=dipoles)
    force_field.posterior.mean[basis.parameter_orders == 4] = 0.0
    phonons, settings, found = solved(force_field, torus, 300.0, is_quantum=True)
    file = found.in_phonopy_form(phonons, settings, "")
    wavevectors = np.array([[0.001, 0.0, 0.001], [0.1, 0.0, 0.1], [0.5, 0.5, 0.5]])
    bands = effective_bands(file, phonons.phonon, torus, wavevectors)
    phonon = phonons.choose(0)
    phonon.run_qpoints(wavevectors)
    np.testing.assert_allclose(bands.frequencies_thz, phonon.qpoints.frequencies, rtol=1e-5)
    assert bands.frequencies_thz[0, 5] > bands.frequencies_thz[0, 4] + 1.0


def test_a_supercell_without_pairs_is_refused():
    crystal = crystal_of(bulk("Cu", "fcc", a=3.6))
    basis = build_basis(crystal, {2: 2.6, 4: {2: 2.6}})
    with pytest.raises(BasisError, match="effective force constants on 1 atoms"):
        Correction(Expansion(basis), input_supercell(crystal, (1, 1, 1)))
