"""The trusted region: as wide as the crystal moves, narrow enough for runaways; its advice works."""

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk

from mlff_dyn.errors import ConfigError, DataError
from mlff_dyn.kernels.dynamics import Dynamics, MdRun, MdState
from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.torus import Torus, input_supercell
from mlff_dyn.local.basis import LocalSettings
from mlff_dyn.md.start import start_at_rest_positions
from mlff_dyn.model.force_field import ForceField
from mlff_dyn.model.harmonic_modes import harmonic_modes
from mlff_dyn.model.local_expansion import local_basis
from mlff_dyn.training.trusted_region import Motion, trusted_region
from mlff_dyn.units import BOLTZMANN_EV_PER_K
from tests.models import crystal_of, fitted_to_harmonic, spring_hessian

BOND = 3.6 / np.sqrt(2)


def springs(along: float, across: float, repeats: int = 2) -> tuple[ForceField, Torus]:
    crystal = crystal_of(bulk("Cu", "fcc", a=3.6, cubic=True))
    torus = input_supercell(crystal, (repeats,) * 3)
    basis = build_basis(crystal, {2: 3.0}, torus)
    return fitted_to_harmonic(basis, torus, spring_hessian(torus, {BOND: (along, across)})), torus


def sampled(
    torus: Torus,
    kinetic: float,
    potential: float,
    stopped: int | None = None,
    distance: float = 1.0,
    speed: float = 0.0,
) -> MdRun:
    """A run of one sample, whose atom 3 stopped it or not."""
    u = np.zeros((torus.n_atoms, 3))
    u[3, 0] = distance
    v = np.zeros_like(u)
    v[3, 0] = speed
    state = MdState(u, v, np.zeros(4, np.uint64))
    atom = None if stopped is None else 3
    energies = np.array([potential]), np.array([kinetic])
    return MdRun(state, 0.0 * u[None], 0.0 * u[None], *energies, stopped, atom)


@pytest.mark.parametrize("temperature", [100.0, 400.0])
@pytest.mark.parametrize("repeats", [2, 3])
def test_the_expected_maximum_is_that_of_dynamics(temperature: float, repeats: int) -> None:
    """Extremes of a harmonic crystal spread by a tenth, and follow the root of the temperature."""
    force_field, torus = springs(2.0, 0.2, repeats)
    n_steps = 20000
    region = trusted_region(force_field.on(torus), Motion(temperature, 2.0, n_steps))
    dynamics = Dynamics(torus.masses, 2.0, 0.01, temperature)
    state = start_at_rest_positions(torus.masses, temperature, (1,))
    run = force_field.on(torus).kernel.run(state, dynamics, n_steps, 4)
    found = np.linalg.norm(run.displacements, axis=2).max()
    assert found == pytest.approx(region.expected_angstrom, rel=0.2)
    assert region.is_usual(run).all()
    assert region.describe_stop(run, n_steps, torus) is None
    assert found < region.displacement_limit_angstrom


def test_the_limit_follows_temperature_data_and_bonds() -> None:
    force_field, torus = springs(2.0, 0.2)
    on = force_field.on(torus)
    cold, warm = (trusted_region(on, Motion(t, 2.0, 1000)) for t in (50.0, 200.0))
    assert warm.expected_angstrom == pytest.approx(2.0 * cold.expected_angstrom)
    assert warm.displacement_limit_angstrom == pytest.approx(2.0 * warm.expected_angstrom)
    assert trusted_region(on, Motion(1e5, 2.0, 1000)).displacement_limit_angstrom == pytest.approx(0.5 * BOND)
    assert trusted_region(on, Motion(50.0, 2.0, 1000, 0.07)).displacement_limit_angstrom == 0.07
    far = replace(force_field, training=replace(force_field.training, displacement_max_angstrom=2.0))
    assert trusted_region(far.on(torus), Motion(50.0, 2.0, 1000)).displacement_limit_angstrom == 3.0
    unstable, _ = springs(1.0, -0.3)
    region = trusted_region(unstable.on(torus), Motion(50.0, 2.0, 1000))
    assert region.expected_angstrom is None
    assert region.displacement_limit_angstrom == pytest.approx(0.3 * BOND)
    assert "order 2 is not stable" in region.describe_limit()


def test_energies_that_no_equilibrium_has() -> None:
    force_field, torus = springs(2.0, 0.2)
    region = trusted_region(force_field.on(torus), Motion(300.0, 2.0, 1000))
    mean = 1.5 * (torus.n_atoms - 1) * BOLTZMANN_EV_PER_K * 300.0
    assert region.escape(sampled(torus, 2.0 * mean, -0.1 * mean)) is None
    assert region.escape(sampled(torus, 5.0 * mean, mean)) == "the atoms move as at 1500 K"
    assert "below that of the crystal at rest" in str(region.escape(sampled(torus, mean, -2.0 * mean)))
    assert region.escape(sampled(torus, np.nan, mean)) is not None
    unstable, _ = springs(1.0, -0.3)
    loose = trusted_region(unstable.on(torus), Motion(300.0, 2.0, 1000))
    assert loose.escape(sampled(torus, mean, -20.0 * mean)) is None
    stop = region.describe_stop(sampled(torus, 5.0 * mean, mean), 70, torus)
    assert stop == "at 300 K, step 70, the atoms move as at 1500 K"


def test_a_stop_names_the_key_and_a_value_that_does() -> None:
    force_field, torus = springs(2.0, 0.2)
    on = force_field.on(torus)
    region = trusted_region(on, Motion(300.0, 2.0, 1000, 0.05))
    slow = sampled(torus, 0.1, 0.1, stopped=7, distance=0.06)
    stop = region.describe_stop(slow, 7, torus)
    assert stop is not None
    assert stop.startswith("at 300 K, step 7, atom 3 (Cu) is 0.06 Å from its site; the limit is 0.05 Å")
    remedy = region.remedy(slow, torus)
    assert remedy.startswith("set md.displacement_limit_angstrom to ")
    value = float(remedy.split()[3])
    expected = trusted_region(on, Motion(300.0, 2.0, 1000)).displacement_limit_angstrom
    assert expected <= value < 1.5 * expected
    fast = sampled(torus, 0.1, 0.1, stopped=7, distance=0.06, speed=0.1)
    assert "not stable" in region.remedy(fast, torus)


def test_a_step_that_does_not_resolve_the_fastest_vibration_is_refused() -> None:
    force_field, torus = springs(2.0, 0.2)
    modes = harmonic_modes(force_field.expansion, force_field.posterior.mean, torus)
    longest = 0.8 / modes.largest_angular_frequency
    region = trusted_region(force_field.on(torus), Motion(300.0, 2.0, 1000))
    region.check_timestep(0.999 * longest)
    with pytest.raises(ConfigError, match="is too long") as error:
        region.check_timestep(1.001 * longest)
    value = float(str(error.value.fix).split()[3])
    assert 0.9 * longest < value <= longest


def test_a_local_part_ends_dynamics_where_its_neighbors_end() -> None:
    """Whatever limit is asked for; at the limit there is an energy, beyond it none."""
    bare, torus = springs(5.0, 2.0)
    local = local_basis(bare.basis.crystal, LocalSettings(4.0, 2, 1))
    mean = np.append(bare.posterior.mean, np.zeros(local.n_parameters))
    factor = np.pad(bare.posterior.covariance_factor, ((0, local.n_parameters), (0, 0)))
    known = replace(bare.posterior, mean=mean, covariance_factor=factor)
    place = replace(bare, local=local, posterior=known).on(torus)
    region = trusted_region(place, Motion(300.0, 1.0, 100, displacement_limit_angstrom=9.0))
    assert region.displacement_limit_angstrom == pytest.approx(local.largest_displacement)
    assert "the local part of the energy ends" in region.describe_limit()
    u = np.zeros((torus.n_atoms, 3))
    u[0, 1] = region.displacement_limit_angstrom
    assert np.isfinite(place.energy_forces(u)[0])
    with pytest.raises(DataError, match="the local part of the energy ends"):
        place.energy_forces(1.01 * u)
