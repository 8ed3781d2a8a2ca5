"""Laws of energy, forces and design matrix on random polynomials, in both backends."""

from __future__ import annotations

import numpy as np
import pytest
from polynomials import Torus, random_polynomial

from mlff_dyn.errors import DataError
from mlff_dyn.kernels import compiled, reference
from mlff_dyn.kernels.gather import build_gather_tables, energy_row
from mlff_dyn.kernels.placement import place_tables
from mlff_dyn.kernels.reduction import block_reduction

BACKENDS = [reference, compiled]
ORDERS = [(1,), (2,), (3,), (4,), (5,), (6,), (1, 2, 3, 4, 5, 6), (2, 4)]


def make_case(orders, seed=0, shape=(2, 3, 2), **options):
    rng = np.random.default_rng(seed)
    polynomial = random_polynomial(rng, orders, **options)
    tables = build_gather_tables(polynomial)
    torus = Torus(shape)
    displacements = rng.normal(scale=0.7, size=(polynomial.n_sites * torus.n_cells, 3))
    parameters = rng.normal(size=polynomial.n_parameters)
    return polynomial, tables, torus, torus.atom_indices(tables.slots), displacements, parameters


def every_row(backend, tables, slot_atoms, u):
    """Rows with each parameter as an independent one."""
    reduction = block_reduction([np.eye(tables.n_parameters)])
    return backend.reduced_rows(place_tables(tables, slot_atoms), reduction, u)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("orders", ORDERS)
def test_design_matrix_is_minus_the_gradient(backend, orders):
    polynomial, tables, torus, slot_atoms, u, parameters = make_case(orders)
    forces = every_row(backend, tables, slot_atoms, u) @ parameters
    step = 1e-4
    for component in np.random.default_rng(1).integers(u.size, size=8):
        shift = np.zeros(u.size)
        shift[component] = step
        shift = shift.reshape(u.shape)
        ahead = torus.energy(polynomial, parameters, u + shift)
        behind = torus.energy(polynomial, parameters, u - shift)
        slope = (ahead - behind) / (2 * step)
        assert forces[component] == pytest.approx(-slope, abs=1e-5 * max(1.0, np.abs(forces).max()))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("orders", ORDERS)
def test_force_kernel_agrees_with_design_matrix_and_direct_energy(backend, orders):
    polynomial, tables, torus, slot_atoms, u, parameters = make_case(orders, seed=3)
    energy, forces = backend.ForceKernel(tables, parameters, slot_atoms).energy_forces(u)
    design = every_row(backend, tables, slot_atoms, u)
    direct = torus.energy(polynomial, parameters, u)
    assert energy == pytest.approx(direct, rel=1e-12, abs=1e-12)
    row = energy_row(design, u, tables.polynomial.parameter_orders)
    assert row @ parameters == pytest.approx(direct, rel=1e-11, abs=1e-11)
    np.testing.assert_allclose(
        forces.reshape(-1), design @ parameters, rtol=0, atol=1e-12 * np.abs(forces).max()
    )


@pytest.mark.parametrize("orders", ORDERS)
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 1, 3), (2, 3, 4)])
@pytest.mark.parametrize("n_sites", [1, 4, 7])
def test_backends_agree(orders, shape, n_sites):
    _, tables, _, slot_atoms, u, parameters = make_case(orders, 5, shape, n_sites=n_sites)
    slow_design = every_row(reference, tables, slot_atoms, u)
    fast_design = every_row(compiled, tables, slot_atoms, u)
    np.testing.assert_allclose(fast_design, slow_design, rtol=0, atol=1e-12 * np.abs(slow_design).max())
    slow_energy, slow_forces = reference.ForceKernel(tables, parameters, slot_atoms).energy_forces(u)
    fast_energy, fast_forces = compiled.ForceKernel(tables, parameters, slot_atoms).energy_forces(u)
    assert fast_energy == pytest.approx(slow_energy, rel=1e-12, abs=1e-12)
    np.testing.assert_allclose(fast_forces, slow_forces, rtol=0, atol=1e-12 * np.abs(slow_forces).max())


def test_small_cache_chunks_change_nothing(monkeypatch):
    monkeypatch.setattr("mlff_dyn.kernels.compiled.tables.lifted.CHUNK_COMPONENTS", 60)
    monkeypatch.setattr("mlff_dyn.kernels.compiled.tables.design_chunks.CHUNK_ENTRIES", 40)
    _, tables, _, slot_atoms, u, parameters = make_case((1, 2, 3, 4, 5, 6), seed=7)
    design = every_row(compiled, tables, slot_atoms, u)
    expected = every_row(reference, tables, slot_atoms, u)
    np.testing.assert_allclose(design, expected, rtol=0, atol=1e-12 * np.abs(expected).max())
    _, forces = compiled.ForceKernel(tables, parameters, slot_atoms).energy_forces(u)
    np.testing.assert_allclose(
        forces.reshape(-1), expected @ parameters, rtol=0, atol=1e-12 * np.abs(forces).max()
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_lattice_translation_permutes_forces(backend):
    _, tables, torus, slot_atoms, u, parameters = make_case((1, 2, 3, 4), seed=9)
    kernel = backend.ForceKernel(tables, parameters, slot_atoms)
    sites = np.arange(tables.polynomial.n_sites)
    shifted = torus.atom_indices(np.column_stack([sites, np.tile([1, 2, 1], (len(sites), 1))])).reshape(-1)
    energy, forces = kernel.energy_forces(u)
    moved_energy, moved_forces = kernel.energy_forces(u[shifted])
    assert moved_energy == pytest.approx(energy, rel=1e-12)
    np.testing.assert_allclose(moved_forces, forces[shifted], rtol=0, atol=1e-12 * np.abs(forces).max())


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_orders_give_no_forces(backend):
    _, tables, _, slot_atoms, u, parameters = make_case(())
    energy, forces = backend.ForceKernel(tables, parameters, slot_atoms).energy_forces(u)
    assert energy == 0.0
    assert not forces.any()
    assert every_row(backend, tables, slot_atoms, u).shape == (u.size, 0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_wrong_shapes_are_refused(backend):
    _, tables, _, slot_atoms, u, parameters = make_case((2, 3))
    with pytest.raises(DataError, match="displacements has shape"):
        every_row(backend, tables, slot_atoms, u[:-1])
    with pytest.raises(DataError, match="slot_atoms has shape"):
        place_tables(tables, slot_atoms[:-1])
    with pytest.raises(DataError, match="outside 0"):
        place_tables(tables, slot_atoms + len(u))
    with pytest.raises(DataError, match="parameters has shape"):
        backend.ForceKernel(tables, parameters[:-1], slot_atoms)
    with pytest.raises(DataError, match="displacements has shape"):
        backend.ForceKernel(tables, parameters, slot_atoms).energy_forces(u[:, :2])
