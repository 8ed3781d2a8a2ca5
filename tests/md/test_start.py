"""How trajectories start, and how far they may go."""

import numpy as np
import pytest
from ase.build import bulk

from mlff_dyn.kernels.dynamics import Dynamics
from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.torus import input_supercell
from mlff_dyn.md.start import displacement_limit, maxwell_boltzmann, start_at_rest_positions
from mlff_dyn.units import AMU_ANGSTROM2_PER_FS2_EV, BOLTZMANN_EV_PER_K
from tests.models import crystal_of, fitted_to_harmonic, spring_hessian

MASSES = np.repeat([28.0, 70.0, 119.0], 200)


def temperature(masses: np.ndarray, velocities: np.ndarray) -> float:
    """Kinetic temperature with the center of mass at rest."""
    kinetic = 0.5 * AMU_ANGSTROM2_PER_FS2_EV * np.sum(masses[:, None] * velocities**2)
    return float(2 * kinetic / (3 * (len(masses) - 1) * BOLTZMANN_EV_PER_K))


def test_the_center_of_mass_is_at_rest() -> None:
    velocities = maxwell_boltzmann(MASSES, 300.0, np.random.default_rng(1))
    momentum = MASSES @ velocities
    assert np.abs(momentum).max() < 1e-12 * np.abs(MASSES[:, None] * velocities).sum()


@pytest.mark.parametrize("asked", [30.0, 300.0, 1200.0])
def test_every_element_has_the_temperature(asked: float) -> None:
    """Equipartition: 300 K means 300 K for light and heavy atoms, within 5 standard deviations."""
    found = []
    for seed in range(40):
        velocities = maxwell_boltzmann(MASSES, asked, np.random.default_rng(seed))
        energies = AMU_ANGSTROM2_PER_FS2_EV * MASSES[:, None] * velocities**2 / BOLTZMANN_EV_PER_K
        found.append(energies.reshape(3, -1).mean(axis=1))
    per_element = np.mean(found, axis=0)
    spread = asked * np.sqrt(2 / (40 * 600))
    np.testing.assert_allclose(per_element, asked, atol=5 * spread)


@pytest.mark.parametrize("n_atoms", [2, 8, 600])
def test_without_a_thermostat_the_energy_is_that_of_the_temperature(n_atoms: int) -> None:
    for seed in range(3):
        masses = MASSES[:: 600 // n_atoms]
        state = start_at_rest_positions(masses, 300.0, (seed,), keeps_energy=True)
        assert temperature(masses, state.velocities) == pytest.approx(600.0, rel=1e-12)


def test_equal_seeds_give_equal_starts() -> None:
    first = start_at_rest_positions(MASSES, 300.0, (1, 2, 3))
    second = start_at_rest_positions(MASSES, 300.0, (1, 2, 3))
    other = start_at_rest_positions(MASSES, 300.0, (1, 2, 4))
    np.testing.assert_array_equal(first.velocities, second.velocities)
    np.testing.assert_array_equal(first.rng, second.rng)
    assert np.abs(first.velocities - other.velocities).max() > 0
    assert (first.rng != other.rng).any()
    assert not first.displacements.any()


@pytest.mark.parametrize("asked", [100.0, 600.0])
def test_a_harmonic_crystal_settles_at_the_temperature(asked: float) -> None:
    """Without a thermostat half of the kinetic energy at the start becomes potential energy."""
    crystal = crystal_of(bulk("Cu", "fcc", a=3.6, cubic=True))
    torus = input_supercell(crystal, (3, 3, 3))
    hessian = spring_hessian(torus, {3.6 / np.sqrt(2): (2.0, 0.2)})
    basis = build_basis(crystal, {2: 3.0}, torus)
    kernel = fitted_to_harmonic(basis, torus, hessian).on(torus).kernel
    dynamics = Dynamics(torus.masses, timestep_fs=2.0)
    found = []
    for seed in range(6):
        state = start_at_rest_positions(torus.masses, asked, (seed,))
        settled = kernel.run(state, dynamics, 500, 500).state
        run = kernel.run(settled, dynamics, 4000, 10)
        found.append(2 * run.kinetic_energies.mean() / (3 * (torus.n_atoms - 1) * BOLTZMANN_EV_PER_K))
    assert np.mean(found) == pytest.approx(asked, rel=0.05)


def test_the_limit_follows_bonds() -> None:
    crystal = crystal_of(bulk("Si", cubic=True))
    assert displacement_limit(crystal) == pytest.approx(0.3 * 5.43 * np.sqrt(3) / 4)
