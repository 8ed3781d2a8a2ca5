"""Thermodynamic integration: exact limits, and the perturbation of few frames."""

import dataclasses

import numpy as np
import pytest
from ase.build import bulk

from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.torus import input_supercell
from mlff_dyn.local.basis import LocalSettings
from mlff_dyn.observables.canonical_samples import Sampling, canonical_samples
from mlff_dyn.observables.free_energy import anharmonic_part, harmonic_free_energy, harmonic_torus
from mlff_dyn.units import BOLTZMANN_EV_PER_K
from tests.models import (
    crystal_of,
    dipoles_of,
    fitted_to_harmonic,
    random_force_field,
    spring_hessian,
    with_local_part,
)
from tests.observables.test_truncation import TORUS, trained

SHORT = Sampling(300.0, 6.0, 0.005, 100, 60, 10, 1.2, (1,))


def test_a_harmonic_crystal_has_no_anharmonic_part():
    atoms = bulk("Cu", "fcc", a=3.6, cubic=True)
    torus = input_supercell(crystal_of(atoms), (2, 2, 2))
    basis = build_basis(torus.crystal, {2: 3.0}, torus)
    hessian = spring_hessian(torus, {3.6 / np.sqrt(2.0): (2.0, 0.3)})
    force_field = fitted_to_harmonic(basis, torus, hessian)
    found = anharmonic_part(force_field, torus, SHORT, n_points=2)
    for average in (found.free_energy, found.energy, found.heat_capacity, found.entropy(300.0)):
        assert average.value == pytest.approx(0.0, abs=1e-9)
    kelvin, masses = 300.0, np.repeat(torus.masses, 3) * 103.642696
    squares = np.linalg.eigvalsh(hessian / np.sqrt(np.outer(masses, masses)))[3:]
    thermal = BOLTZMANN_EV_PER_K * kelvin
    expected = thermal * np.log(0.6582119569 * np.sqrt(squares) / thermal).sum() / torus.n_atoms
    mean = force_field.posterior.mean
    assert harmonic_free_energy(force_field.expansion, mean, torus, kelvin) == pytest.approx(
        expected, abs=1e-7
    )
    change = 1e-4 * mean
    slope = [
        harmonic_free_energy(force_field.expansion, mean + sign * change, torus, kelvin) for sign in (1, -1)
    ]
    assert found.free_energy.gradient @ change == pytest.approx(0.5 * (slope[0] - slope[1]), rel=0.05)


@pytest.mark.parametrize("kind", ["dipoles", "local"])
def test_the_switched_energy_is_between_both(kind):
    force_field, torus = random_force_field(
        bulk("NaCl", "rocksalt", a=5.6, cubic=True), (2, 2, 2), {2: 3.0, 3: 3.0}
    )
    if kind == "dipoles":
        force_field = dataclasses.replace(force_field, long_range=dipoles_of(torus.crystal))
    else:
        force_field = with_local_part(force_field, LocalSettings(3.5, 2, 1, "species"), training=torus)
    mean = force_field.posterior.mean
    harmonic = harmonic_torus(force_field.expansion, mean, torus)
    moved = 0.05 * np.random.default_rng(1).standard_normal((torus.n_atoms, 3))
    whole, parts = force_field.on(torus).kernel.energy_forces(moved), harmonic.energy_forces(moved)
    for coupling in (0.0, 0.3, 1.0):
        kernel = force_field.expansion.on(torus).switched_kernel(mean, harmonic, coupling)
        energy, forces = kernel.energy_forces(moved)
        assert energy == pytest.approx(coupling * whole[0] + (1.0 - coupling) * parts[0], rel=1e-9)
        np.testing.assert_allclose(forces, coupling * whole[1] + (1.0 - coupling) * parts[1], atol=1e-9)


def test_it_is_the_free_energy_of_perturbation():
    """From frames of the harmonic crystal, which reach far enough where the anharmonic part is small."""
    force_field, kelvin = trained(3, 4), 100.0
    sampling = dataclasses.replace(SHORT, temperature_kelvin=kelvin, n_samples=200)
    found = anharmonic_part(force_field, TORUS, sampling, n_points=2)
    harmonic = harmonic_torus(force_field.expansion, force_field.posterior.mean, TORUS)
    kernel = force_field.on(TORUS).kernel
    none = force_field.expansion.on(TORUS).switched_kernel(force_field.posterior.mean, harmonic, 0.0)
    frames = canonical_samples(none, TORUS.masses, dataclasses.replace(sampling, seed=(2,)))
    works = np.array([kernel.energy_forces(u)[0] - harmonic.energy_forces(u)[0] for u in frames])
    thermal = BOLTZMANN_EV_PER_K * kelvin
    expected = -thermal * np.log(np.mean(np.exp(-works / thermal))) / TORUS.n_atoms
    assert found.free_energy.value == pytest.approx(expected, abs=4.0 * found.free_energy.statistical_error)
    assert found.free_energy.statistical_error < 1e-4
