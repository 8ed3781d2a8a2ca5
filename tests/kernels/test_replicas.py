"""Replicas that run together: each is bit for bit the trajectory that it is alone."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest
from polynomials import Torus, random_polynomial, spring_crystal

from mlff_dyn.errors import DataError
from mlff_dyn.kernels import compiled, reference
from mlff_dyn.kernels.dynamics import Dynamics, MdRun, MdState
from mlff_dyn.kernels.gather import build_gather_tables
from mlff_dyn.kernels.harmonic import HarmonicTorus
from mlff_dyn.kernels.reference.random_numbers import rng_from_seed

BACKENDS = [reference, compiled]
PARAMETERS = np.array([5.0, 20.0])
CELLS = [(1, 1, 1), (1, 1, 3), (1, 2, 4), (1, 3, 3), (2, 2, 3), (1, 1, 17), (3, 3, 3)]
"""1, 3, 8, 9, 12, 17 and 27 cells: with and without whole vectors, with every kind of rest."""


def weak_springs(grid: tuple[int, int, int]) -> HarmonicTorus:
    """Every atom of two sites bound to its own place and to the other atom of its cell."""
    blocks = np.zeros((6, 6, int(np.prod(grid))))
    blocks[:, :, 0] = np.kron([[2.0, -0.5], [-0.5, 2.0]], np.eye(3))
    return HarmonicTorus(grid, blocks)


def make_kernel(backend, shape, precision="double", n_threads=1, *, harmonic=False):
    tables = build_gather_tables(spring_crystal())
    torus = Torus(shape, shear=0)
    extra = {"grid": shape, "harmonic": weak_springs(shape)} if harmonic else {}
    slot_atoms = torus.atom_indices(tables.slots)
    return backend.ForceKernel(tables, PARAMETERS, slot_atoms, precision, n_threads, **extra)


def masses_of(kernel) -> np.ndarray:
    return np.repeat([28.0, 70.0], kernel.n_atoms // 2)


def every_dynamics(kernel, n_replicas: int) -> list[Dynamics]:
    """NVE, Langevin and Bussi in turn, each with its own masses, temperature and time step."""
    kinds = [{}, {"friction_per_fs": 0.02}, {"friction_per_fs": 0.01, "thermostat": "bussi"}]
    return [
        Dynamics(
            masses=masses_of(kernel) + k,
            timestep_fs=1.0 + 0.1 * k,
            temperature_kelvin=200.0 + 50.0 * k,
            **kinds[k % 3],
        )
        for k in range(n_replicas)
    ]


def make_states(kernel, n_replicas: int) -> list[MdState]:
    states = []
    for seed in range(n_replicas):
        rng = np.random.default_rng(seed)
        u = rng.normal(scale=0.05, size=(kernel.n_atoms, 3))
        states.append(MdState(u, rng.normal(scale=1e-3, size=u.shape), rng_from_seed(seed)))
    return states


def assert_same_bits(runs: Sequence[MdRun], others: Sequence[MdRun]) -> None:
    assert len(runs) == len(others)
    for run, other in zip(runs, others, strict=True):
        for name in ("displacements", "velocities", "potential_energies", "kinetic_energies"):
            np.testing.assert_array_equal(getattr(run, name), getattr(other, name))
        for field in dataclasses.fields(MdState):
            np.testing.assert_array_equal(getattr(run.state, field.name), getattr(other.state, field.name))
        assert (run.stopped_step, run.stopped_atom) == (other.stopped_step, other.stopped_atom)


def run_alone(kernel, states, dynamics, n_steps, sample_every):
    return [
        kernel.run(state, own, n_steps, sample_every) for state, own in zip(states, dynamics, strict=True)
    ]


@pytest.mark.parametrize("harmonic", [False, True], ids=["short", "with harmonic"])
@pytest.mark.parametrize("precision", ["double", "single"])
@pytest.mark.parametrize("shape", CELLS)
def test_every_replica_is_the_trajectory_that_it_is_alone(shape, precision, harmonic):
    kernel = make_kernel(compiled, shape, precision, harmonic=harmonic)
    for n_replicas in (1, 2, 5, 8, 19):
        states, dynamics = make_states(kernel, n_replicas), every_dynamics(kernel, n_replicas)
        together = kernel.run_replicas(states, dynamics, 30, 7)
        assert_same_bits(together, run_alone(kernel, states, dynamics, 30, 7))
        assert all(len(run.displacements) == 4 and run.stopped_step is None for run in together)


@pytest.mark.parametrize("precision", ["double", "single"])
@pytest.mark.parametrize("n_cells", [3, 9, 21])
def test_terms_of_all_orders_and_several_programs_keep_their_bits(precision, n_cells):
    """Forces without symmetry or sum rule, at rest: one short step shows them in the velocities."""
    rng = np.random.default_rng(n_cells)
    polynomial = random_polynomial(rng, (1, 2, 3, 4, 5, 6), n_slots=9, n_monomials=300)
    tables = build_gather_tables(polynomial)
    parameters = rng.normal(size=polynomial.n_parameters)
    slot_atoms = Torus((1, 3, n_cells // 3)).atom_indices(tables.slots)
    kernel = compiled.ForceKernel(tables, parameters, slot_atoms, precision)
    dynamics = [Dynamics(masses=np.full(kernel.n_atoms, 50.0), timestep_fs=0.1)] * 11
    states = make_states(kernel, 11)
    together = kernel.run_replicas(states, dynamics, 3, 1)
    assert_same_bits(together, run_alone(kernel, states, dynamics, 3, 1))


@pytest.mark.parametrize("n_threads", [2, 3])
def test_threads_change_nothing_while_there_are_enough_replicas(n_threads):
    alone = make_kernel(compiled, (2, 2, 3))
    kernel = make_kernel(compiled, (2, 2, 3), n_threads=n_threads)
    states, dynamics = make_states(kernel, 5), every_dynamics(kernel, 5)
    assert_same_bits(kernel.run_replicas(states, dynamics, 30, 7), run_alone(alone, states, dynamics, 30, 7))


def test_more_threads_than_replicas_agree_to_rounding():
    alone = make_kernel(compiled, (3, 3, 3))
    kernel = make_kernel(compiled, (3, 3, 3), n_threads=4)
    states, dynamics = make_states(kernel, 2), every_dynamics(kernel, 2)
    together = kernel.run_replicas(states, dynamics, 30, 7)
    for run, other in zip(together, run_alone(alone, states, dynamics, 30, 7), strict=True):
        np.testing.assert_allclose(run.displacements, other.displacements, rtol=0, atol=1e-12)
        np.testing.assert_allclose(run.potential_energies, other.potential_energies, rtol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_replica_that_leaves_its_limit_does_not_disturb_the_others(backend):
    kernel = make_kernel(backend, (1, 3, 3), harmonic=True)
    states, dynamics = make_states(kernel, 5), every_dynamics(kernel, 5)
    for replica, atom, speed in ((0, 4, 1e100), (3, 7, 0.5)):
        velocities = states[replica].velocities.copy()
        velocities[atom] = [0.0, speed, 0.0]
        states[replica] = dataclasses.replace(states[replica], velocities=velocities)
    dynamics = [dataclasses.replace(own, displacement_limit=1.2) for own in dynamics]
    runs = kernel.run_replicas(states, dynamics, 30, 1)
    assert_same_bits(runs, run_alone(kernel, states, dynamics, 30, 1))
    assert [run.stopped_atom for run in runs] == [4, None, None, 7, None]
    assert runs[0].stopped_step == 1
    assert 1 < (runs[3].stopped_step or 0) < 30
    assert [len(run.displacements) for run in runs] == [0, 30, 30, (runs[3].stopped_step or 0) - 1, 30]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_split_run_equals_the_whole(backend):
    kernel = make_kernel(backend, (2, 2, 3))
    states, dynamics = make_states(kernel, 4), every_dynamics(kernel, 4)
    whole = kernel.run_replicas(states, dynamics, 20, 5)
    first = kernel.run_replicas(states, dynamics, 5, 5)
    second = kernel.run_replicas([run.state for run in first], dynamics, 15, 5)
    for all_at_once, start, end in zip(whole, first, second, strict=True):
        joined = np.concatenate([start.displacements, end.displacements])
        np.testing.assert_array_equal(joined, all_at_once.displacements)
        np.testing.assert_array_equal(end.state.rng, all_at_once.state.rng)


def test_backends_agree_on_a_short_run():
    slow, fast = (make_kernel(backend, (1, 3, 3), harmonic=True) for backend in BACKENDS)
    states, dynamics = make_states(slow, 4), every_dynamics(slow, 4)
    runs = (kernel.run_replicas(states, dynamics, 30, 10) for kernel in (slow, fast))
    for one, other in zip(*runs, strict=True):
        np.testing.assert_allclose(one.displacements, other.displacements, rtol=0, atol=1e-10)
        np.testing.assert_allclose(one.potential_energies, other.potential_energies, rtol=0, atol=1e-9)


@pytest.mark.parametrize("backend", BACKENDS)
def test_replicas_that_do_not_fit_are_refused(backend):
    kernel = make_kernel(backend, (1, 1, 3))
    states, dynamics = make_states(kernel, 2), every_dynamics(kernel, 2)
    assert kernel.run_replicas([], [], 10, 1) == []
    with pytest.raises(DataError, match="1 dynamics are given for 2 replicas"):
        kernel.run_replicas(states, dynamics[:1], 10, 1)
    with pytest.raises(DataError, match="displacements has shape"):
        kernel.run_replicas([states[0], make_states(make_kernel(backend, (1, 1, 1)), 1)[0]], dynamics, 10, 1)
