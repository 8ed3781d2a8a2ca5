"""Basis, forces, dynamics, information matrix, fit and variances by this program."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmarks.models import CASES, SI, SI_64, SNSE, Case, Model, build_model, silicon_snapshots
from benchmarks.peak import NAME as PEAK
from benchmarks.peak import measure_peak, multiply_adds
from benchmarks.report import Measurement
from benchmarks.timing import median_seconds, once
from mlff_dyn.kernels import ForceKernel, force_variances, reduced_rows
from mlff_dyn.kernels.dynamics import Dynamics, MdState
from mlff_dyn.kernels.placement import place_tables
from mlff_dyn.kernels.reference.random_numbers import rng_from_seed
from mlff_dyn.model.fitting.fit import fit_force_field
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.model.fitting.labelled_frame import labelled_frame
from mlff_dyn.regression.planning.selection import SELECTIONS
from mlff_dyn.training.frame_choice import choose_frames, information_pool
from mlff_dyn.units import AMU_ANGSTROM2_PER_FS2_EV, BOLTZMANN_EV_PER_K

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.model.force_field import ForceField

NAME = "mlff_dyn"
REFIT_COUNTS = (15, 25, 50)
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
    slot_atoms = torus.atom_indices(model.expansion.lattice.tables.slots)
    return ForceKernel(model.expansion.lattice.tables, model.basis.expand(parameters), slot_atoms, precision)


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
        model.basis, FitData([labelled_frame(place, *each, None) for each in zip(u, forces, strict=True)])
    )


def measure_regression(n_configurations: int) -> Iterator[Measurement]:
    model = build_model(SI)
    torus = model.torus(SI.supercell)
    u, forces = silicon_snapshots(torus, n_configurations)
    label = f"Si {torus.n_atoms}"
    tables, reduction = model.expansion.lattice.tables, model.expansion.lattice.reduction
    place = (place_tables(tables, torus.atom_indices(tables.slots)), reduction)

    def fill_matrix() -> None:
        rows = reduced_rows(*place, u[0])
        rows.T @ rows

    seconds = median_seconds(fill_matrix)
    yield Measurement("design and information matrix, a configuration", label, NAME, seconds, "s")
    posterior = train(model, SI.supercell, u, forces).posterior
    whole = median_seconds(lambda: train(model, SI.supercell, u, forces))
    yield Measurement(f"{n_configurations} configurations to the posterior", label, NAME, whole, "s")
    for n in REFIT_COUNTS:
        if n <= n_configurations:
            seconds = _refit(model, u[:n], forces[:n])
            yield Measurement(f"refit after one more configuration, about {n}", label, NAME, seconds, "s")
    yield from measure_selection()
    seconds = median_seconds(lambda: force_variances(*place, u[0], posterior.covariance_factor))
    yield Measurement("variance of all force components", label, NAME, seconds, "s")
    few = np.arange(0, torus.n_atoms, 8)
    seconds = median_seconds(lambda: force_variances(*place, u[0], posterior.covariance_factor, atoms=few))
    yield Measurement("variance for every eighth atom", label, NAME, seconds, "s")


def _refit(model: Model, u: np.ndarray, forces: np.ndarray, n_more: int = 5) -> float:
    """Median CPU seconds of the fits to the last few configurations, one more each time."""
    place = model.expansion.on(model.torus(SI.supercell))
    data = [labelled_frame(place, *each, None) for each in zip(u, forces, strict=True)]
    known = FitData(data[: -n_more - 1], grows=True)
    seconds = []
    for count in range(len(known), len(data) + 1):
        known = known.extended(data[len(known) : count])
        seconds.append(once(lambda known=known: fit_force_field(model.basis, known)))
    return float(np.median(seconds[2:]))


def measure_selection(n_frames: int = 1000) -> Iterator[Measurement]:
    """Time to make a pool of frames of 300 K size and larger, and to choose from it."""
    model = build_model(SI_64)
    torus = model.torus(SI_64.supercell)
    place = model.expansion.on(torus)
    u, forces = silicon_snapshots(torus, 8)
    data = [labelled_frame(place, *each, None) for each in zip(u, forces, strict=True)]
    force_field = fit_force_field(model.basis, FitData(data))
    rng = np.random.default_rng(2)
    frames = rng.normal(size=(n_frames, torus.n_atoms, 3)) * rng.uniform(0.04, 0.12, (n_frames, 1, 1))
    pool = information_pool(force_field, torus, frames, data)
    making = once(lambda: information_pool(force_field, torus, frames, data))
    for kind in SELECTIONS:
        for n_chosen in (1, 4):
            seconds = making + once(lambda kind=kind, n=n_chosen: choose_frames(pool, kind, n))
            label = f"Si {torus.n_atoms}"
            yield Measurement(f"{kind}, {n_chosen} of {n_frames} frames", label, NAME, seconds, "s")


def start(torus: Torus, seed: int) -> MdState:
    """The crystal at rest with velocities of 300 K."""
    rng = np.random.default_rng(seed)
    spread = np.sqrt(BOLTZMANN_EV_PER_K * 300.0 / (np.asarray(torus.masses) * AMU_ANGSTROM2_PER_FS2_EV))
    velocities = rng.normal(size=(torus.n_atoms, 3)) * spread[:, None]
    return MdState(
        np.zeros((torus.n_atoms, 3)), velocities - velocities.mean(axis=0), rng_from_seed(seed + 1)
    )


def seconds_per_step(
    kernel: ForceKernel, torus: Torus, n_replicas: int, n_steps: int, displacement_limit: float = 1.0
) -> float:
    """Of NVE dynamics of so many replicas together."""
    nve = Dynamics(masses=np.asarray(torus.masses), timestep_fs=1.0, displacement_limit=displacement_limit)
    states = [start(torus, seed) for seed in range(n_replicas)]
    runs = kernel.run_replicas(states, [nve] * n_replicas, n_steps, 100)
    if any(run.stopped_step is not None for run in runs):
        raise RuntimeError("a trajectory left the trusted region: no speed is reported")
    return median_seconds(lambda: kernel.run_replicas(states, [nve] * n_replicas, n_steps, 100)) / n_steps


def measure_dynamics(n_steps: int = 3000) -> Iterator[Measurement]:
    training = build_model(SI_64)
    torus = training.torus(SI_64.supercell)
    u, forces = silicon_snapshots(torus, 12)
    parameters = train(training, SI_64.supercell, u, forces).posterior.mean
    for precision, name in (("double", NAME), ("single", f"{NAME} f32")):
        for n in (2, 3):
            torus = training.torus((n, n, n))
            kernel = make_kernel(training, (n, n, n), parameters, precision)
            seconds = seconds_per_step(kernel, torus, 1, n_steps)
            yield Measurement("NVE dynamics, a step", f"Si {torus.n_atoms}", name, seconds, "s")
            peak = measure_peak() if precision == "double" else None
            if peak is not None:
                seconds = multiply_adds(kernel) / peak
                yield Measurement("NVE dynamics, a step", f"Si {torus.n_atoms}", PEAK, seconds, "s")
        yield from measure_replicas(
            training, parameters, precision, ((1, (2, 2, 2)), (8, (2, 2, 2)), (1, (4, 4, 4)))
        )
    # Free atoms: the cost does not depend on the parameters.
    model = build_model(SNSE)
    nothing = np.zeros(model.basis.n_parameters)
    for precision in ("double", "single"):
        yield from measure_replicas(
            model, nothing, precision, ((1, (1, 3, 3)), (8, (1, 3, 3)), (1, (2, 6, 6)))
        )


def measure_replicas(
    model: Model,
    parameters: np.ndarray,
    precision: str,
    runs: tuple[tuple[int, tuple[int, int, int]], ...],
) -> Iterator[Measurement]:
    """Time of a step and an atom for numbers of replicas of supercells; free atoms may go anywhere."""
    limit = 1.0 if parameters.any() else np.inf
    for n_replicas, supercell in runs:
        torus = model.torus(supercell)
        kernel = make_kernel(model, supercell, parameters, precision)
        n_atoms = n_replicas * torus.n_atoms
        seconds = seconds_per_step(kernel, torus, n_replicas, max(100, 200_000 // n_atoms), limit)
        element = "Si" if len(set(torus.numbers)) == 1 else "SnSe"
        label = f"{element} {n_replicas} x {torus.n_atoms}"
        name = NAME if precision == "double" else f"{NAME} f32"
        yield Measurement("NVE dynamics, a step and atom", label, name, seconds / n_atoms, "s")
