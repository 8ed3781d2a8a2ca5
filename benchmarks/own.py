"""Basis, forces, dynamics, information matrix, fit and variances by this program."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmarks.models import CASES, SI, SI_64, Case, Model, build_model, silicon_snapshots
from benchmarks.report import Measurement
from benchmarks.timing import median_seconds, once
from mlff_dyn.kernels import ForceKernel, force_variances, row_statistics, sample_forces
from mlff_dyn.kernels.dynamics import Dynamics, MdState
from mlff_dyn.kernels.random_numbers import rng_from_seed
from mlff_dyn.kernels.reduction import block_reduction
from mlff_dyn.model.fit import RowMemory, fit_force_field, label_rows
from mlff_dyn.units import BOLTZMANN_EV_PER_K

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlff_dyn.model.force_field import ForceField

NAME = "mlff_dyn"
SUPERCELLS = {"Si": (2, 3, 5), "c-BAs": (2, 3, 5)}
SNSE_SUPERCELLS = ((1, 2, 2), (2, 3, 3), (3, 4, 4))


def supercells(case: Case) -> list[tuple[int, int, int]]:
    """Supercells that forces are measured in."""
    if case.name == "SnSe":
        return list(SNSE_SUPERCELLS)
    return [(n, n, n) for n in SUPERCELLS[case.name]]


def measure_basis() -> Iterator[Measurement]:
    for case in CASES:
        for order in (4, 6):
            seconds = median_seconds(lambda case=case, order=order: build_model(case, order).basis, rounds=3)
            yield Measurement(f"basis, orders 2-{order}", case.name, NAME, seconds, "s")


def make_kernel(
    model: Model, supercell: tuple[int, int, int], parameters: np.ndarray, precision: str
) -> ForceKernel:
    torus = model.torus(supercell)
    slot_atoms = torus.atom_indices(model.expansion.tables.slots)
    return ForceKernel(model.expansion.tables, model.basis.expand(parameters), slot_atoms, precision)


def measure_forces() -> Iterator[Measurement]:
    for case in CASES:
        for order in (4, 6):
            model = build_model(case, order)
            for supercell in supercells(case):
                n_atoms = model.torus(supercell).n_atoms
                u = np.random.default_rng(0).normal(scale=0.05, size=(n_atoms, 3))
                for precision in ("double", "single"):
                    kernel = make_kernel(model, supercell, model.random_parameters(), precision)
                    seconds = median_seconds(lambda kernel=kernel, u=u: kernel.energy_forces(u), budget=0.5)
                    label = f"{case.name} {n_atoms}"
                    name = NAME if precision == "double" else f"{NAME} f32"
                    yield Measurement(f"force call, orders 2-{order}", label, name, seconds, "s")


def train(model: Model, supercell: tuple[int, int, int], u: np.ndarray, forces: np.ndarray) -> ForceField:
    """Rows, hyperparameters of largest evidence, posterior and calibration, as the program does it."""
    place = model.expansion.on(model.torus(supercell))
    return fit_force_field(
        model.basis, [label_rows(place, *each, None) for each in zip(u, forces, strict=True)]
    )


def measure_regression(n_configurations: int) -> Iterator[Measurement]:
    model = build_model(SI)
    torus = model.torus(SI.supercell)
    u, forces = silicon_snapshots(torus, n_configurations)
    label = f"Si {torus.n_atoms}"
    tables = model.expansion.tables
    place = (tables, block_reduction(model.basis.nullspaces), torus.atom_indices(tables.slots))
    seconds = median_seconds(lambda: row_statistics(*place, u[:10], forces[:10])) / 10
    yield Measurement("design and information matrix, a configuration", label, NAME, seconds, "s")
    posterior = train(model, SI.supercell, u, forces).posterior
    whole = median_seconds(lambda: train(model, SI.supercell, u, forces))
    yield Measurement(f"{n_configurations} configurations to the posterior", label, NAME, whole, "s")
    yield Measurement("refit after one more configuration", label, NAME, _refit(model, u, forces), "s")
    seconds = median_seconds(lambda: force_variances(*place, u[0], posterior.covariance_factor))
    yield Measurement("variance of all force components", label, NAME, seconds, "s")
    few = np.arange(0, torus.n_atoms, 8)
    seconds = median_seconds(lambda: force_variances(*place, u[0], posterior.covariance_factor, atoms=few))
    yield Measurement("variance for every eighth atom", label, NAME, seconds, "s")
    samples = posterior.sample(16, np.random.default_rng(0))
    seconds = median_seconds(lambda: sample_forces(*place, u[0], samples))
    yield Measurement("forces of 16 posterior samples", label, NAME, seconds, "s")


def _refit(model: Model, u: np.ndarray, forces: np.ndarray, n_more: int = 5) -> float:
    """Median CPU seconds of the fits to the last few configurations, one more each time."""
    place = model.expansion.on(model.torus(SI.supercell))
    data = [label_rows(place, *each, None) for each in zip(u, forces, strict=True)]
    memory = RowMemory()
    fit_force_field(model.basis, data[: -n_more - 1], memory=memory)
    fit_force_field(model.basis, data[:-n_more], memory=memory)
    counts = range(len(data) - n_more + 1, len(data) + 1)
    return float(
        np.median([once(lambda n=n: fit_force_field(model.basis, data[:n], memory=memory)) for n in counts])
    )


def measure_dynamics(n_steps: int = 3000) -> Iterator[Measurement]:
    training = build_model(SI_64)
    torus = training.torus(SI_64.supercell)
    u, forces = silicon_snapshots(torus, 12)
    posterior = train(training, SI_64.supercell, u, forces).posterior
    for n in (2, 3):
        torus = training.torus((n, n, n))
        rng = np.random.default_rng(0)
        masses = np.asarray(torus.masses)
        nve = Dynamics(masses=masses, timestep_fs=1.0, displacement_limit=1.0)
        spread = np.sqrt(BOLTZMANN_EV_PER_K * 300.0 / nve.inertias)[:, None]
        velocities = rng.normal(size=(torus.n_atoms, 3)) * spread
        state = MdState(np.zeros((torus.n_atoms, 3)), velocities - velocities.mean(axis=0), rng_from_seed(1))
        for precision in ("double", "single"):
            kernel = make_kernel(training, (n, n, n), posterior.mean, precision)
            run = kernel.run(state, nve, n_steps, 100)
            if run.stopped_step is not None:
                raise RuntimeError("the trajectory left the trusted region: no speed is reported")
            seconds = min(once(lambda k=kernel, s=state, d=nve: k.run(s, d, n_steps, 100)) for _ in range(3))
            name = NAME if precision == "double" else f"{NAME} f32"
            yield Measurement("NVE dynamics, a step", f"Si {torus.n_atoms}", name, seconds / n_steps, "s")
