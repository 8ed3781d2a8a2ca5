"""How many threads there are by default, and that small cells do not depend on it."""

import os

import numpy as np
import pytest

from mlff_dyn.kernels import compiled, threads
from mlff_dyn.kernels.dynamics import Dynamics, MdRun
from mlff_dyn.kernels.gather import build_gather_tables
from mlff_dyn.md.start import start_at_rest_positions
from tests.kernels.polynomials import Torus, random_polynomial

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="cores are those of Linux")


def runs(n_threads: int | None, *, n_replicas: int) -> list[MdRun]:
    rng = np.random.default_rng(4)
    polynomial = random_polynomial(rng, (2, 3))
    torus, tables = Torus((4, 4, 4)), build_gather_tables(polynomial)
    parameters = 1e-3 * rng.normal(size=polynomial.n_parameters)
    kernel = compiled.ForceKernel(tables, parameters, torus.atom_indices(tables.slots), n_threads=n_threads)
    dynamics = Dynamics(np.full(kernel.n_atoms, 40.0), 1.0, friction_per_fs=0.01, temperature_kelvin=100.0)
    starts = [start_at_rest_positions(dynamics.masses, 100.0, (seed,)) for seed in range(n_replicas)]
    return kernel.run_replicas(starts, [dynamics] * n_replicas, 20, 5)


def assert_same(some: list[MdRun], others: list[MdRun], *, atol: float = 0.0) -> None:
    for one, other in zip(some, others, strict=True):
        np.testing.assert_allclose(one.displacements, other.displacements, rtol=0, atol=atol)


def test_cores_are_those_of_this_process() -> None:
    assert threads.available_cores() == len(os.sched_getaffinity(0))


@pytest.mark.parametrize("n_replicas", [1, 3])
def test_small_cells_are_the_same_on_every_machine(n_replicas: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlff_dyn.kernels.compiled.forces.available_cores", lambda: 8)
    assert_same(runs(None, n_replicas=n_replicas), runs(1, n_replicas=n_replicas))


def test_large_cells_take_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = runs(3, n_replicas=1)
    monkeypatch.setattr("mlff_dyn.kernels.compiled.forces.available_cores", lambda: 3)
    monkeypatch.setattr(threads, "THREAD_LIMITS", threads.ThreadLimits(work_per_thread=1.0))
    assert_same(runs(None, n_replicas=1), expected)
    assert_same(expected, runs(1, n_replicas=1), atol=1e-12)


@pytest.mark.parametrize(
    ("work", "n_cores", "expected"), [(0.0, 8, 1), (1.9e7, 8, 1), (2e7, 8, 2), (1e12, 8, 8), (1e12, 99, 16)]
)
def test_each_thread_has_enough_to_do(work: float, n_cores: int, expected: int) -> None:
    assert threads.paying_threads(work, n_cores) == expected
