"""hiPhive, symfc and scikit-learn on the same crystals and cutoffs."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.models import CASES, SI, SI_64, Case, silicon_snapshots
from benchmarks.report import Measurement
from benchmarks.timing import median_seconds, once

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hiphive import ClusterSpace


def cluster_space(case: Case, order: int) -> ClusterSpace:
    from hiphive import ClusterSpace

    return ClusterSpace(case.atoms(), list(case.up_to(order).values()))


def measure_hiphive(orders: tuple[int, ...]) -> Iterator[Measurement]:
    """Cluster space, force call, fit matrix, and dynamics through ASE."""
    import hiphive

    logging.getLogger("hiphive").setLevel(logging.ERROR)
    name = f"hiPhive {hiphive.__version__}"
    for case in CASES:
        for order in orders:
            seconds = once(lambda case=case, order=order: cluster_space(case, order))
            yield Measurement(f"basis, orders 2-{order}", case.name, name, seconds, "s")
    for case in (SI_64, *CASES):
        yield from _measure_hiphive_forces(name, case, cluster_space(case, 4))


def _measure_hiphive_forces(name: str, case: Case, space: ClusterSpace) -> Iterator[Measurement]:
    from ase.md.verlet import VelocityVerlet
    from hiphive import ForceConstantPotential, StructureContainer
    from hiphive.calculators import ForceConstantCalculator

    ideal = case.atoms().repeat(case.supercell)
    n_atoms = len(ideal)
    rng = np.random.default_rng(0)
    scale = np.concatenate([np.full(space.get_n_dofs_by_order(n), 3.0 ** (n - 3)) for n in (2, 3, 4)])
    potential = ForceConstantPotential(space, rng.normal(size=space.n_dofs) * 1e-3 * scale)
    moved = ideal.copy()
    moved.positions += rng.normal(scale=0.02, size=moved.positions.shape)
    moved.calc = ForceConstantCalculator(potential.get_force_constants(ideal))

    def call_forces() -> None:
        moved.calc.results.clear()
        moved.positions[0, 0] += 1e-9
        moved.get_forces()

    label = f"{case.name} {n_atoms}"
    yield Measurement("force call, orders 2-4", label, name, median_seconds(call_forces), "s")
    if case.name == "Si":
        dynamics = VelocityVerlet(moved, timestep=0.01)
        seconds = median_seconds(lambda: dynamics.run(5)) / 5
        yield Measurement("NVE dynamics, a step", label, f"{name} with ASE", seconds, "s")
        if case is SI:
            moved.arrays["displacements"] = moved.positions - ideal.positions
            moved.arrays["forces"] = moved.get_forces()
            moved.positions = ideal.positions

            def fill_matrix() -> None:
                container = StructureContainer(space)
                container.add_structure(moved)
                matrix = container.get_fit_data()[0]
                matrix.T @ matrix

            seconds = median_seconds(fill_matrix)
            yield Measurement("design and information matrix, a configuration", label, name, seconds, "s")


def measure_symfc() -> Iterator[Measurement]:
    """Basis of orders 2 and 3 over the whole 64-atom cell, which has no cutoff to compare with."""
    import symfc
    from symfc.utils.utils import SymfcAtoms

    atoms = SI.atoms().repeat(2)
    cell = SymfcAtoms(
        cell=atoms.cell.array, scaled_positions=atoms.get_scaled_positions(), numbers=atoms.numbers
    )

    def build() -> None:
        symfc.Symfc(cell, cutoff={3: SI.cutoffs[3], 4: SI.cutoffs[4]}).compute_basis_set(4)

    yield Measurement("basis, orders 2-4", "Si", f"symfc {symfc.__version__}", once(build), "s")


def measure_sklearn(n_configurations: int) -> Iterator[Measurement]:
    """BayesianRidge on the stored design matrix, which comes from this program."""
    import sklearn
    from sklearn.linear_model import BayesianRidge

    from benchmarks.models import build_model

    model = build_model(SI)
    torus = model.torus(SI.supercell)
    displacements, forces = silicon_snapshots(torus, n_configurations)
    supercell = model.expansion.on(torus)
    rows = np.concatenate([supercell.rows(u)[0] for u in displacements])
    rows /= np.sqrt((rows**2).mean(axis=0))

    def fit() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            BayesianRidge(fit_intercept=False).fit(rows, forces.ravel())

    label = f"Si {torus.n_atoms}"
    name = f"scikit-learn {sklearn.__version__} (design matrix given)"
    yield Measurement(
        f"{n_configurations} configurations to the posterior", label, name, median_seconds(fit), "s"
    )
