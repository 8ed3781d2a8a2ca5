"""Laws of molecular dynamics, in both backends; statistics in the compiled one, which is fast enough."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from polynomials import Torus, spring_crystal

from mlff_dyn.errors import DataError
from mlff_dyn.kernels import compiled, reference
from mlff_dyn.kernels.dynamics import Dynamics, MdState
from mlff_dyn.kernels.gather import build_gather_tables
from mlff_dyn.kernels.reference.random_numbers import rng_from_seed
from mlff_dyn.units import BOLTZMANN_EV_PER_K

BACKENDS = [reference, compiled]
TORUS = Torus((2, 2, 3))
N_ATOMS = 2 * TORUS.n_cells
STIFFNESS = 5.0
MASSES = np.repeat([28.0, 70.0], TORUS.n_cells)
NVE = Dynamics(masses=MASSES, timestep_fs=1.0)
LANGEVIN = dataclasses.replace(NVE, friction_per_fs=0.02, temperature_kelvin=300.0, timestep_fs=2.0)
BUSSI = dataclasses.replace(LANGEVIN, thermostat="bussi")


def make_kernel(backend, quartic=0.0):
    tables = build_gather_tables(spring_crystal())
    return backend.ForceKernel(tables, np.array([STIFFNESS, quartic]), TORUS.atom_indices(tables.slots))


def make_state(seed=1):
    rng = np.random.default_rng(seed)
    velocities = rng.normal(scale=1e-3, size=(N_ATOMS, 3))
    velocities -= MASSES @ velocities / MASSES.sum()
    return MdState(rng.normal(scale=0.05, size=(N_ATOMS, 3)), velocities, rng_from_seed(seed))


def total_energies(run):
    return run.potential_energies + run.kinetic_energies


@pytest.mark.parametrize("backend", BACKENDS)
def test_energy_drift_is_quadratic_in_the_timestep(backend):
    kernel = make_kernel(backend, quartic=20.0)
    drifts = []
    for timestep in (0.5, 1.0, 2.0):
        dynamics = dataclasses.replace(NVE, timestep_fs=timestep)
        drifts.append(np.ptp(total_energies(kernel.run(make_state(), dynamics, int(200 / timestep), 1))))
    assert drifts[1] / drifts[0] == pytest.approx(4.0, rel=0.1)
    assert drifts[2] / drifts[1] == pytest.approx(4.0, rel=0.1)


@pytest.mark.parametrize("backend", BACKENDS)
def test_energy_is_reported_by_the_kernel(backend):
    kernel = make_kernel(backend, quartic=20.0)
    run = kernel.run(make_state(), NVE, 6, 3)
    assert run.displacements.shape == (2, N_ATOMS, 3)
    for displacements, energy in zip(run.displacements, run.potential_energies, strict=True):
        assert kernel.energy_forces(displacements)[0] == pytest.approx(energy, rel=1e-13)
    expected = 0.5 * (NVE.inertias[:, None] * run.velocities**2).sum(axis=(1, 2))
    np.testing.assert_allclose(run.kinetic_energies, expected, rtol=1e-13)


@pytest.mark.parametrize("backend", BACKENDS)
def test_velocity_verlet_is_reversible(backend):
    kernel = make_kernel(backend, quartic=20.0)
    start = make_state()
    there = kernel.run(start, NVE, 100, 100).state
    back = kernel.run(dataclasses.replace(there, velocities=-there.velocities), NVE, 100, 100).state
    np.testing.assert_allclose(back.displacements, start.displacements, rtol=0, atol=1e-12)
    np.testing.assert_allclose(-back.velocities, start.velocities, rtol=0, atol=1e-13)


@pytest.mark.parametrize("dynamics", [NVE, LANGEVIN, BUSSI], ids=["nve", "langevin", "bussi"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_same_seed_gives_same_bytes_and_a_split_run_equals_the_whole(backend, dynamics):
    kernel = make_kernel(backend, quartic=20.0)
    whole = kernel.run(make_state(), dynamics, 40, 10)
    again = kernel.run(make_state(), dynamics, 40, 10)
    first = kernel.run(make_state(), dynamics, 20, 10)
    second = kernel.run(first.state, dynamics, 20, 10)
    for name in ("displacements", "velocities", "potential_energies", "kinetic_energies"):
        assert getattr(whole, name).tobytes() == getattr(again, name).tobytes()
        joined = np.concatenate([getattr(first, name), getattr(second, name)])
        assert joined.tobytes() == getattr(whole, name).tobytes()
    for name in ("displacements", "velocities", "rng"):
        assert getattr(second.state, name).tobytes() == getattr(whole.state, name).tobytes()


@pytest.mark.parametrize("dynamics", [NVE, LANGEVIN, BUSSI], ids=["nve", "langevin", "bussi"])
def test_backends_agree_on_a_short_run(dynamics):
    slow, fast = (
        make_kernel(backend, quartic=20.0).run(make_state(), dynamics, 50, 10) for backend in BACKENDS
    )
    np.testing.assert_allclose(fast.displacements, slow.displacements, rtol=0, atol=1e-10)
    np.testing.assert_allclose(fast.velocities, slow.velocities, rtol=0, atol=1e-10)
    np.testing.assert_array_equal(fast.state.rng, slow.state.rng)


@pytest.mark.parametrize("dynamics", [LANGEVIN, BUSSI], ids=["langevin", "bussi"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_thermostats_keep_the_center_of_mass_at_rest(backend, dynamics):
    start = make_state()
    run = make_kernel(backend).run(start, dynamics, 100, 10)
    momentum = np.einsum("i,sia->sa", MASSES, run.velocities)
    assert np.abs(momentum).max() < 1e-12
    center = np.einsum("i,sia->sa", MASSES, run.displacements) / MASSES.sum()
    np.testing.assert_allclose(
        center, np.tile(MASSES @ start.displacements / MASSES.sum(), (len(center), 1)), atol=1e-12
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_input_state_is_not_changed(backend):
    start, same = make_state(), make_state()
    make_kernel(backend).run(start, LANGEVIN, 5, 1)
    for field in dataclasses.fields(MdState):
        np.testing.assert_array_equal(getattr(start, field.name), getattr(same, field.name))


def axis_modes():
    """Squared frequencies of one axis but the translation, rad²/fs², and the sum of <u²> over kT."""
    kernel = make_kernel(compiled)
    columns = []
    for atom in range(N_ATOMS):
        unit = np.zeros((N_ATOMS, 3))
        unit[atom, 0] = 1.0
        columns.append(-kernel.energy_forces(unit)[1][:, 0])
    roots = np.sqrt(NVE.inertias)
    dynamical = np.array(columns) / np.outer(roots, roots)
    compliance = np.linalg.pinv(dynamical, hermitian=True) / np.outer(roots, roots)
    return np.linalg.eigvalsh(dynamical)[1:], np.trace(compliance)


@pytest.mark.parametrize("temperature", [150.0, 300.0])
def test_langevin_samples_the_harmonic_crystal(temperature):
    """BAOAB is exact in the displacements; its mode kinetic energy is kT/2 (1 - (omega h)^2 / 4)."""
    dynamics = dataclasses.replace(LANGEVIN, temperature_kelvin=temperature, timestep_fs=3.0)
    kernel = make_kernel(compiled)
    equilibrated = kernel.run(make_state(), dynamics, 2000, 2000).state
    run = kernel.run(equilibrated, dynamics, 200_000, 10)
    squared_frequencies, compliance = axis_modes()
    thermal = BOLTZMANN_EV_PER_K * temperature
    kinetic = 0.5 * thermal * (1.0 - squared_frequencies * dynamics.timestep_fs**2 / 4.0)
    assert run.kinetic_energies.mean() == pytest.approx(3.0 * kinetic.sum(), rel=0.01)
    assert run.kinetic_energies.var() == pytest.approx(3.0 * (2.0 * kinetic**2).sum(), rel=0.08)
    assert run.potential_energies.mean() == pytest.approx(1.5 * thermal * (N_ATOMS - 1), rel=0.01)
    center = np.einsum("i,sia->sa", MASSES, run.displacements) / MASSES.sum()
    squares = ((run.displacements - center[:, None]) ** 2).sum(axis=(1, 2))
    assert squares.mean() == pytest.approx(3.0 * thermal * compliance, rel=0.03)


def test_bussi_gives_the_canonical_kinetic_energy():
    kernel = make_kernel(compiled, quartic=20.0)
    dynamics = dataclasses.replace(BUSSI, timestep_fs=0.5)
    equilibrated = kernel.run(make_state(), dynamics, 4000, 4000).state
    kinetic = kernel.run(equilibrated, dynamics, 400_000, 20).kinetic_energies
    thermal = BOLTZMANN_EV_PER_K * BUSSI.temperature_kelvin
    n_freedoms = 3 * (N_ATOMS - 1)
    assert kinetic.mean() == pytest.approx(0.5 * n_freedoms * thermal, rel=0.01)
    assert kinetic.var() == pytest.approx(0.5 * n_freedoms * thermal**2, rel=0.08)


@pytest.mark.parametrize("backend", BACKENDS)
def test_guard_names_step_and_atom(backend):
    start = make_state()
    velocities = start.velocities.copy()
    velocities[5] = [0.5, 0.0, 0.0]
    displacements = np.zeros((N_ATOMS, 3))
    dynamics = dataclasses.replace(NVE, displacement_limit=1.2)
    kernel = make_kernel(backend)
    run = kernel.run(MdState(displacements, velocities, start.rng), dynamics, 100, 1)
    assert run.stopped_atom == 5
    assert run.stopped_step == 3
    assert len(run.displacements) == len(run.potential_energies) == 2
    assert np.linalg.norm(run.state.displacements[5]) > 1.2
    free = kernel.run(start, dynamics, 10, 1)
    assert free.stopped_step is None
    assert free.stopped_atom is None


@pytest.mark.parametrize("backend", BACKENDS)
def test_diverging_run_stops_without_a_limit(backend):
    tables = build_gather_tables(spring_crystal())
    kernel = backend.ForceKernel(tables, np.array([STIFFNESS, -1e6]), TORUS.atom_indices(tables.slots))
    with np.errstate(over="ignore", invalid="ignore"):
        run = kernel.run(make_state(), NVE, 200, 1)
    assert run.stopped_step is not None
    assert np.isfinite(run.displacements).all()


def test_impossible_dynamics_are_refused():
    with pytest.raises(DataError, match="mass"):
        Dynamics(masses=np.zeros(3), timestep_fs=1.0)
    with pytest.raises(DataError, match="timestep_fs"):
        Dynamics(masses=np.ones(3), timestep_fs=0.0)
    with pytest.raises(DataError, match="friction_per_fs"):
        Dynamics(masses=np.ones(3), timestep_fs=1.0, friction_per_fs=-1.0)
    with pytest.raises(DataError, match="temperature_kelvin"):
        Dynamics(masses=np.ones(3), timestep_fs=1.0, temperature_kelvin=float("nan"))
    with pytest.raises(DataError, match="thermostat 'berendsen'"):
        Dynamics(masses=np.ones(3), timestep_fs=1.0, thermostat="berendsen")
    with pytest.raises(DataError, match="displacement_limit"):
        Dynamics(masses=np.ones(3), timestep_fs=1.0, displacement_limit=0.0)
    with pytest.raises(DataError, match="masses has shape"):
        make_kernel(reference).run(make_state(), Dynamics(masses=np.ones(3), timestep_fs=1.0), 1, 1)
    with pytest.raises(DataError, match="sample_every"):
        make_kernel(reference).run(make_state(), NVE, 1, 0)
