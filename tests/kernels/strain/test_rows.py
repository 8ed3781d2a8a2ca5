"""Rows of strained crystals: the force kernel and the closed form are their measure."""

from __future__ import annotations

import numpy as np
import pytest
from keating import KeatingCrystal, diamond, triclinic
from polynomials import Torus, random_polynomial

from mlff_dyn.errors import DataError
from mlff_dyn.kernels import compiled, reference
from mlff_dyn.kernels.gather import build_gather_tables
from mlff_dyn.kernels.placement import place_tables
from mlff_dyn.kernels.reduction import block_reduction
from mlff_dyn.kernels.strain.moves import VOIGT, gauss_sum, slot_positions, unit_strains

BACKENDS = [reference, compiled]
CRYSTALS = {"diamond": diamond(), "triclinic": triclinic(), "triclinic, order 6": triclinic((2, 3))}
TORUS = Torus((2, 3, 2))


class Case:
    """Tables and a random state of a closed-form crystal."""

    def __init__(self, crystal: KeatingCrystal) -> None:
        self.crystal = crystal
        self.tables = build_gather_tables(crystal.polynomial())
        self.parameters = np.ones(self.tables.n_parameters)
        self.positions = slot_positions(self.tables, crystal.lattice, crystal.sites)
        generator = np.random.default_rng(1)
        self.u = generator.normal(scale=0.1, size=(len(crystal.sites) * TORUS.n_cells, 3))
        self.u -= self.u.mean(axis=0)
        strain = generator.normal(scale=0.05, size=(3, 3))
        self.strain = 0.5 * (strain + strain.T)
        slot_atoms = TORUS.atom_indices(self.tables.slots)
        self.unstrained = place_tables(self.tables, slot_atoms)
        self.strained = place_tables(self.tables, slot_atoms, self.positions @ self.strain)

    def work(self, u: np.ndarray, strain: np.ndarray) -> float:
        """Energy to displace the atoms of the strained crystal."""
        return self.crystal.energy(TORUS, u, strain) - self.crystal.energy(TORUS, 0 * u, strain)


def every_row(backend, place, u):
    """Rows with each parameter as an independent one."""
    return backend.reduced_rows(place, block_reduction([np.eye(place.tables.n_parameters)]), u)


def slope(function, step: float = 1e-3) -> float:
    values = [function(k * step) for k in (-3, -2, -1, 1, 2, 3)]
    return float(np.dot([-1.0, 9.0, -45.0, 45.0, -9.0, 1.0], values) / (60.0 * step))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CRYSTALS)
def test_force_rows_of_a_strained_crystal(name, backend):
    case = Case(CRYSTALS[name])
    design = every_row(backend, case.strained, case.u)
    forces = (design @ case.parameters).reshape(-1, 3)
    for atom, axis in ((0, 0), (7, 1), (len(case.u) - 1, 2)):
        moved = np.zeros_like(case.u)
        moved[atom, axis] = 1.0
        expected = -slope(lambda x, moved=moved: case.work(case.u + x * moved, case.strain))
        assert forces[atom, axis] == pytest.approx(expected, abs=1e-9 * np.abs(forces).max())


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CRYSTALS)
@pytest.mark.parametrize("is_strained", [True, False])
def test_stress_rows_are_slopes_of_the_work(name, backend, is_strained):
    case = Case(CRYSTALS[name])
    strain = case.strain if is_strained else np.zeros((3, 3))
    place = case.strained if is_strained else case.unstrained
    found = backend.stress_rows(place, case.positions, case.u) @ case.parameters
    for value, unit in zip(found, unit_strains(), strict=True):
        expected = slope(lambda x, unit=unit: case.work(case.u, strain + x * unit))
        assert value == pytest.approx(expected, abs=1e-9 * np.abs(found).max())


@pytest.mark.parametrize("backend", BACKENDS)
def test_both_ways_to_the_stress_of_an_unstrained_crystal_agree(backend):
    case = Case(CRYSTALS["triclinic, order 6"])
    without_strain = np.zeros_like(case.positions)
    moved = place_tables(case.tables, case.unstrained.slot_atoms, without_strain)
    by_euler = backend.stress_rows(case.unstrained, case.positions, case.u)
    by_gauss = backend.stress_rows(moved, case.positions, case.u)
    np.testing.assert_allclose(by_gauss, by_euler, rtol=0, atol=1e-12 * np.abs(by_euler).max())


@pytest.mark.parametrize("backend", BACKENDS)
def test_variances_are_those_of_the_rows(backend):
    case = Case(CRYSTALS["triclinic"])
    generator = np.random.default_rng(2)
    blocks = [generator.normal(size=(terms.n_parameters, 1)) for terms in case.tables.polynomial.orders]
    reduction = block_reduction(blocks)
    design = every_row(backend, case.strained, case.u)
    rows = design @ reduction.dense()
    factor = np.linalg.cholesky(np.eye(len(blocks)) + 0.1)
    found = backend.force_variances(case.strained, reduction, case.u, factor)
    np.testing.assert_allclose(found.ravel(), ((rows @ factor) ** 2).sum(axis=1), rtol=1e-11)


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 3)])
def test_backends_agree(shape):
    generator = np.random.default_rng(8)
    tables = build_gather_tables(random_polynomial(generator, (1, 2, 3, 4, 5, 6)))
    positions = generator.normal(size=(len(tables.slots), 3))
    moves = generator.normal(scale=0.3, size=positions.shape)
    place = place_tables(tables, Torus(shape).atom_indices(tables.slots), moves)
    u = generator.normal(scale=0.5, size=(place.n_atoms, 3))
    designs = [every_row(backend, place, u) for backend in BACKENDS]
    np.testing.assert_allclose(designs[1], designs[0], rtol=0, atol=1e-12 * np.abs(designs[0]).max())
    stresses = [backend.stress_rows(place, positions, u) for backend in BACKENDS]
    np.testing.assert_allclose(stresses[1], stresses[0], rtol=0, atol=1e-12 * np.abs(stresses[0]).max())


@pytest.mark.parametrize("degree", range(8))
def test_gauss_sums_are_exact(degree):
    assert float(gauss_sum(lambda x: np.array(x**degree), degree)) == pytest.approx(1.0 / (degree + 1))


def test_unit_strains_are_the_components_of_a_symmetric_tensor():
    tensor = np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 5.0], [3.0, 5.0, 6.0]])
    for (a, b), unit in zip(VOIGT, unit_strains(), strict=True):
        assert (tensor * unit).sum() == tensor[a, b]


def test_moves_of_another_crystal_are_refused():
    case = Case(CRYSTALS["diamond"])
    with pytest.raises(DataError, match="moves has shape"):
        place_tables(case.tables, case.unstrained.slot_atoms, np.zeros((2, 3)))
