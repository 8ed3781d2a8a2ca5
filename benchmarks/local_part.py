"""Forces and dynamics with a local part, by its size, and the matrix products of as many operations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmarks.models import SNSE, Model, build_model
from benchmarks.own import NAME, seconds_per_step
from benchmarks.report import Measurement
from benchmarks.timing import median_seconds
from mlff_dyn.kernels import ForceKernel, force_variances, local_rows
from mlff_dyn.kernels.local_tables import LocalPlace, LocalTerms
from mlff_dyn.kernels.placement import place_tables
from mlff_dyn.local.basis import LocalSettings, build_local_basis

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlff_dyn.lattice.torus import Torus

LARGEST_DISPLACEMENT_ANGSTROM = 0.4
SIZES = ((5.0, 3, 1), (5.0, 5, 2), (4.0, 5, 3), (5.0, 5, 3), (6.0, 5, 3), (5.0, 8, 4), (5.0, 8, 6))
"""Cutoff in Å, radial functions, largest l."""
STANDARD = LocalSettings()
SUPERCELLS = ((1, 3, 3), (2, 6, 6))


def local_terms(model: Model, torus: Torus, settings: LocalSettings) -> LocalTerms:
    """Local part of random values, so small that they move nothing."""
    crystal = model.crystal
    basis = build_local_basis(
        crystal.lattice,
        crystal.positions,
        crystal.numbers,
        settings,
        largest_displacement=LARGEST_DISPLACEMENT_ANGSTROM,
    )
    values = np.random.default_rng(0).normal(scale=1e-6, size=basis.n_functions)
    return LocalTerms(basis.tables, values, torus.atom_indices(basis.tables.slots), np.zeros((3, 3)))


def make_kernel(model: Model, torus: Torus, terms: LocalTerms | None, precision: str) -> ForceKernel:
    """Kernel of both parts; lattice parameters are zero, which costs as much as others."""
    tables = model.expansion.tables
    return ForceKernel(
        tables,
        model.basis.expand(np.zeros(model.basis.n_parameters)),
        torus.atom_indices(tables.slots),
        precision,
        grid=torus.grid,
        local=terms,
    )


def contraction_operations(terms: LocalTerms) -> float:
    """Multiplications and additions from radial functions and harmonics to forces, at rest."""
    tables = terms.tables
    n_harmonics = (tables.l_max + 1) ** 2
    n_cells = terms.neighbor_atoms.shape[1]
    n_pairs = n_cells * int((np.linalg.norm(terms.vectors, axis=1) < tables.cutoff).sum())
    of_pairs = 3 * n_pairs * tables.n_radial * n_harmonics
    return 2.0 * (of_pairs + terms.n_atoms * tables.n_channels**2 * n_harmonics)


def operations_per_second(size: int = 512) -> float:
    """Of numpy's product of matrices: nearly the most that the core can do."""
    matrix = np.random.default_rng(0).normal(size=(size, size))
    return 2.0 * size**3 / median_seconds(lambda: matrix @ matrix)


def measure_local_part() -> Iterator[Measurement]:
    model = build_model(SNSE, cutoffs={2: 6.2})
    speed = operations_per_second()
    for cutoff, n_radial, l_max in SIZES:
        quantity = f"local part, {cutoff:g} Å, {n_radial} radial, l up to {l_max}"
        for supercell in SUPERCELLS:
            torus = model.torus(supercell)
            terms = local_terms(model, torus, LocalSettings(cutoff, n_radial, l_max))
            label = f"SnSe {torus.n_atoms}"
            u = np.random.default_rng(0).normal(scale=0.05, size=(torus.n_atoms, 3))
            for precision, name in (("double", NAME), ("single", f"{NAME} f32")):
                kernel = make_kernel(model, torus, terms, precision)
                bare = make_kernel(model, torus, None, precision)
                seconds = median_seconds(lambda kernel=kernel, u=u: kernel.energy_forces(u), budget=0.3)
                seconds -= median_seconds(lambda kernel=bare, u=u: kernel.energy_forces(u), budget=0.3)
                yield Measurement(quantity, label, name, seconds, "s")
            ideal = contraction_operations(terms) / speed
            yield Measurement(quantity, label, "numpy, products of as many operations", ideal, "s")
            yield from measure_rows(terms, u, f"rows of a frame, {quantity}", label)
    yield from measure_local_variances()
    yield from measure_local_dynamics()


def measure_rows(terms: LocalTerms, u: np.ndarray, quantity: str, label: str) -> Iterator[Measurement]:
    """Of energy, forces and virial."""
    given = (terms.tables, terms.neighbor_atoms, u)
    seconds = median_seconds(lambda: local_rows(*given, strain=terms.strain), budget=0.3)
    yield Measurement(quantity, label, NAME, seconds, "s")


def measure_local_variances() -> Iterator[Measurement]:
    """Of the forces of both parts, for a full covariance."""
    model = build_model(SNSE, cutoffs={2: 6.2, 3: 4.5})
    torus = model.torus(SUPERCELLS[0])
    terms = local_terms(model, torus, STANDARD)
    local = LocalPlace(terms.tables, terms.neighbor_atoms, terms.strain)
    tables, reduction = model.expansion.tables, model.expansion.reduction
    place = place_tables(tables, torus.atom_indices(tables.slots))
    n_parameters = reduction.n_columns + local.tables.n_functions
    factor = np.triu(np.random.default_rng(0).normal(size=(n_parameters, n_parameters)))
    u = np.random.default_rng(0).normal(scale=0.05, size=(torus.n_atoms, 3))
    seconds = median_seconds(lambda: force_variances(place, reduction, u, factor, local=local))
    label = f"SnSe {torus.n_atoms}"
    yield Measurement("variance of all force components with a local part", label, NAME, seconds, "s")


def measure_local_dynamics() -> Iterator[Measurement]:
    """Both parts, order 2 of the whole cell and order 3 to 4.5 Å."""
    model = build_model(SNSE, cutoffs={2: 6.2, 3: 4.5})
    for precision, name in (("double", NAME), ("single", f"{NAME} f32")):
        for supercell in SUPERCELLS:
            torus = model.torus(supercell)
            kernel = make_kernel(model, torus, local_terms(model, torus, STANDARD), precision)
            n_steps = max(100, 100_000 // torus.n_atoms)
            seconds = seconds_per_step(kernel, torus, 1, n_steps, np.inf)
            yield Measurement("NVE with a local part, a step", f"SnSe {torus.n_atoms}", name, seconds, "s")
