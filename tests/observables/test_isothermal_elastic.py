"""Isothermal elastic constants: those of rest for a harmonic crystal, and of small strains for any."""

import numpy as np
import pytest
from ase.build import bulk

from mlff_dyn.lattice.torus import input_supercell
from mlff_dyn.observables.canonical_samples import Sampling, canonical_samples
from mlff_dyn.observables.elastic import elastic_constants
from mlff_dyn.observables.isothermal_elastic import isothermal_elastic
from mlff_dyn.units import BOLTZMANN_EV_PER_K, EV_PER_ANGSTROM3_GPA
from tests.model.test_elastic_constants import model_of
from tests.models import fitted_to_harmonic, spring_hessian
from tests.observables.test_truncation import TORUS, trained

KELVIN = 300.0
THERMAL = BOLTZMANN_EV_PER_K * KELVIN


def harmonic_frames(hessian, n_samples):
    """Independent samples of a harmonic crystal whose center of mass is at rest."""
    values, vectors = np.linalg.eigh(hessian)
    kept = values > 1e-6 * values.max()
    noise = np.random.default_rng(1).standard_normal((n_samples, kept.sum()))
    return (noise * np.sqrt(THERMAL / values[kept]) @ vectors[:, kept].T).reshape(n_samples, -1, 3)


def test_a_harmonic_crystal_has_those_of_rest():
    """Those of clamped sites and their relaxation by fluctuations; silicon has an internal strain."""
    atoms = bulk("Si", cubic=True)
    basis, _ = model_of(atoms, (1, 1, 1), {2: "full"})
    torus = input_supercell(basis.crystal, (1, 1, 1))
    near = atoms.get_all_distances(mic=True)[0]
    lengths = np.unique(near[near > 0.1].round(6))
    hessian = spring_hessian(torus, {float(lengths[0]): (9.0, 1.0), float(lengths[1]): (1.0, 0.0)})
    force_field = fitted_to_harmonic(basis, torus, hessian)
    rest = elastic_constants(force_field)
    assert np.abs(rest.moves).max() > 0.1
    found = isothermal_elastic(force_field.on(torus), harmonic_frames(hessian, 40), THERMAL)
    deviations = found.values - rest.values
    assert np.all(np.abs(deviations) < 3.5 * found.statistical_errors + 1e-4 * rest.values.max())
    assert found.statistical_errors[3, 3] < 1e-4 * rest.values[3, 3]


def test_they_are_slopes_of_the_mean_stress():
    """Of an anharmonic crystal, its frames weighted as those of two strained cells are."""
    force_field, step = trained(3, 4), 5e-4
    sampling = Sampling(KELVIN, 6.0, 0.005, 100, 80, 10, 1.2, (1,))
    strain = 0.003 * np.eye(3)
    here = force_field.on(TORUS).strained(strain)
    frames = canonical_samples(here.kernel, TORUS.masses, sampling)
    found = isothermal_elastic(here, frames, THERMAL)
    energies = np.array([here.kernel.energy_forces(u)[0] for u in frames])
    stresses = []
    for sign in (1.0, -1.0):
        moved = here.strained((1.003 * (1.0 + sign * step) - 1.0) * np.eye(3))
        changes = np.array([moved.kernel.energy_forces(u)[0] for u in frames]) - energies
        weights = np.exp(-(changes - changes.mean()) / THERMAL)
        slopes = np.array([np.trace(moved.strained_kernel.virial(u)) / 3.0 for u in frames])
        volume = abs(np.linalg.det(moved.lattice))
        stresses.append((1.0 + moved.strain[0, 0]) * (weights @ slopes) / weights.sum() / volume)
    expected = (stresses[0] - stresses[1]) / (2.0 * step) * EV_PER_ANGSTROM3_GPA
    assert found.values[0, 0] + 2.0 * found.values[0, 1] == pytest.approx(expected, rel=1e-3)


def test_values_have_the_symmetry_of_the_crystal():
    force_field = trained(3, 4)
    frames = 0.1 * np.random.default_rng(1).standard_normal((5, TORUS.n_atoms, 3))
    found = isothermal_elastic(force_field.on(TORUS), frames, THERMAL)
    first, second, third = found.values[0, 0], found.values[0, 1], found.values[3, 3]
    expected = np.diag([first - second] * 3 + [third] * 3) + second * np.pad(np.ones((3, 3)), (0, 3))
    np.testing.assert_allclose(found.values, expected, atol=1e-8)
