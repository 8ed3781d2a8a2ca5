"""Stress: the derivative of the energy with respect to a homogeneous strain."""

from __future__ import annotations

import numpy as np
import pytest
from polynomials import Torus, random_polynomial, spring_crystal

from mlff_dyn.errors import DataError
from mlff_dyn.kernels import compiled, reference
from mlff_dyn.kernels.gather import build_gather_tables
from mlff_dyn.kernels.placement import place_tables
from mlff_dyn.kernels.strain.moves import VOIGT, slot_positions

BACKENDS = [reference, compiled]
LATTICE = np.array([[3.0, 0.2, 0.1], [0.0, 2.5, 0.4], [0.3, 0.0, 2.8]])
SITES = np.array([[0.1, 0.2, 0.3], [1.4, 1.1, 1.6]])
BONDS = [((0, (0, 0, 0)), (1, (0, 0, 0)))] + [
    ((first, (0, 0, 0)), (second, offset))
    for first, second in ((1, 0), (0, 0))
    for offset in ((1, 0, 0), (0, 1, 0), (0, 0, 1))
]
"""Pairs (site, offset) that `spring_crystal` joins."""


def strained_energy(torus, parameters, u, strain):
    """Springs k/2 |d|^2 + b/4 sum d^4 with d = u_i - u_j + strain (R_i - R_j), without that of u = 0."""
    total = 0.0
    for (site, offset), (other, other_offset) in BONDS:
        slots = np.array([[site, *offset], [other, *other_offset]])
        atoms = torus.atom_indices(slots)
        bond = SITES[site] - SITES[other] + (np.array(offset) - other_offset) @ LATTICE
        for size, sign in ((1.0, 1.0), (0.0, -1.0)):
            d = size * (u[atoms[0]] - u[atoms[1]]) + strain @ bond
            total += sign * (0.5 * parameters[0] * (d**2).sum() + 0.25 * parameters[1] * (d**4).sum())
    return total


@pytest.mark.parametrize("backend", BACKENDS)
def test_stress_is_the_slope_of_the_strained_energy(backend):
    tables = build_gather_tables(spring_crystal())
    torus = Torus((2, 3, 4))
    rng = np.random.default_rng(3)
    u = rng.normal(scale=0.2, size=(2 * torus.n_cells, 3))
    parameters = np.array([5.0, 20.0])
    place = place_tables(tables, torus.atom_indices(tables.slots))
    rows = backend.stress_rows(place, slot_positions(tables, LATTICE, SITES), u)
    step = 1e-4
    for (a, b), derivative in zip(VOIGT, rows @ parameters, strict=True):
        strain = np.zeros((3, 3))
        strain[a, b] += 0.5 * step
        strain[b, a] += 0.5 * step
        values = [strained_energy(torus, parameters, u, factor * strain) for factor in (1, -1, 2, -2)]
        slope = (8.0 * (values[0] - values[1]) - (values[2] - values[3])) / (12.0 * step)
        assert derivative == pytest.approx(slope, rel=1e-8, abs=1e-8)


@pytest.mark.parametrize("backend", BACKENDS)
def test_stress_does_not_depend_on_the_origin(backend):
    tables = build_gather_tables(spring_crystal())
    torus = Torus((2, 2, 3))
    u = np.random.default_rng(0).normal(scale=0.2, size=(2 * torus.n_cells, 3))
    place = place_tables(tables, torus.atom_indices(tables.slots))
    positions = slot_positions(tables, LATTICE, SITES)
    rows = backend.stress_rows(place, positions, u)
    moved = backend.stress_rows(place, positions + np.array([7.0, -3.0, 5.0]), u)
    np.testing.assert_allclose(moved, rows, rtol=0, atol=1e-11 * np.abs(rows).max())


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 3)])
def test_backends_agree(shape):
    rng = np.random.default_rng(8)
    tables = build_gather_tables(random_polynomial(rng, (1, 2, 3, 4, 5, 6)))
    place = place_tables(tables, Torus(shape).atom_indices(tables.slots))
    u = rng.normal(scale=0.5, size=(place.n_atoms, 3))
    positions = rng.normal(size=(len(tables.slots), 3))
    slow, fast = (backend.stress_rows(place, positions, u) for backend in BACKENDS)
    np.testing.assert_allclose(fast, slow, rtol=0, atol=1e-12 * np.abs(slow).max())


@pytest.mark.parametrize("backend", BACKENDS)
def test_positions_of_another_crystal_are_refused(backend):
    tables = build_gather_tables(spring_crystal())
    place = place_tables(tables, Torus((1, 2, 2)).atom_indices(tables.slots))
    with pytest.raises(DataError, match="positions has shape"):
        backend.stress_rows(place, np.zeros((1, 3)), np.zeros((8, 3)))
