"""Rows of the design matrix in independent parameters, and the variances made from them."""

from __future__ import annotations

import numpy as np
import pytest
from polynomials import Torus, random_polynomial

from mlff_dyn.errors import DataError
from mlff_dyn.kernels import compiled, reference
from mlff_dyn.kernels.gather import build_gather_tables
from mlff_dyn.kernels.placement import place_tables
from mlff_dyn.kernels.reduction import block_reduction
from mlff_dyn.kernels.reference.rows import design_matrix

BACKENDS = [reference, compiled]


def make_case(shape=(2, 3, 5), n_parameters=9):
    rng = np.random.default_rng(4)
    tables = build_gather_tables(random_polynomial(rng, (1, 2, 3, 4), n_parameters=n_parameters))
    place = place_tables(tables, Torus(shape).atom_indices(tables.slots))
    blocks = [rng.normal(size=(n_parameters, width)) for width in (2, n_parameters, 5, 4)]
    for block in blocks:
        block[rng.random(block.shape) < 0.5] = 0.0
    return place, block_reduction(blocks), rng.normal(scale=0.4, size=(place.n_atoms, 3))


def test_reduction_is_the_block_diagonal_matrix():
    blocks = [np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]]), np.array([[4.0]])]
    expected = np.array([[1.0, 0, 0], [0, 2, 0], [3, 0, 0], [0, 0, 4]])
    np.testing.assert_array_equal(block_reduction(blocks).dense(), expected)


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 5), (5, 3, 3), (4, 4, 12)])
@pytest.mark.parametrize("backend", BACKENDS)
def test_reduced_rows_are_rows_times_the_reduction(backend, shape):
    place, reduction, displacements = make_case(shape)
    expected = design_matrix(place, displacements) @ reduction.dense()
    found = backend.reduced_rows(place, reduction, displacements)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13 * np.abs(expected).max())


@pytest.mark.parametrize("backend", BACKENDS)
def test_rows_of_some_cells_are_those_of_the_whole(backend):
    place, reduction, displacements = make_case()
    every = backend.reduced_rows(place, reduction, displacements)
    some = backend.reduced_rows(place, reduction, displacements, slice(5, 19))
    by_cell = every.reshape(place.n_sites, place.n_cells, -1)
    expected = by_cell[:, 5:19].reshape(some.shape)
    np.testing.assert_allclose(some, expected, rtol=1e-13, atol=1e-13 * np.abs(every).max())


@pytest.mark.parametrize("triangle", [np.triu, np.tril, np.asarray])
@pytest.mark.parametrize("backend", BACKENDS)
def test_variances_are_quadratic_forms_of_the_rows(backend, triangle):
    place, reduction, displacements = make_case()
    n = reduction.n_columns
    factor = triangle(np.random.default_rng(5).normal(size=(n, n)))
    rows = design_matrix(place, displacements) @ reduction.dense()
    expected = np.einsum("ip,pq,iq->i", rows, factor @ factor.T, rows).reshape(-1, 3)
    found = backend.force_variances(place, reduction, displacements, factor)
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12 * expected.max())


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_site_without_terms_has_zeros(backend):
    """Whatever the memory held before that the results are written to."""
    rng = np.random.default_rng(6)
    tables = build_gather_tables(random_polynomial(rng, (2, 3), n_sites=5, n_slots=2))
    place = place_tables(tables, Torus((2, 2, 2)).atom_indices(tables.slots))
    empty = np.setdiff1d(np.arange(5), tables.entry_targets // 3)
    assert len(empty) >= 3
    n, u = tables.n_parameters, rng.normal(scale=0.4, size=(place.n_atoms, 3))
    reduction, kernel = (
        block_reduction([np.eye(n)]),
        backend.ForceKernel(tables, np.ones(n), place.slot_atoms),
    )
    for _ in range(5):
        garbage = [np.full((place.n_atoms, size), np.nan) for size in (3, 3 * n)]
        del garbage
        rows = backend.reduced_rows(place, reduction, u).reshape(5, -1)
        variances = backend.force_variances(place, reduction, u, np.eye(n)).reshape(5, -1)
        forces = kernel.energy_forces(u)[1].reshape(5, -1)
        assert not any(found[empty].any() for found in (rows, variances, forces))


@pytest.mark.parametrize("backend", BACKENDS)
def test_chosen_atoms_are_those_of_the_whole(backend):
    place, reduction, displacements = make_case()
    factor = np.random.default_rng(7).normal(size=(reduction.n_columns, 3))
    atoms = np.array([17, 2, len(displacements) - 1, 3, 2])
    given = (place, reduction, displacements)
    every = backend.force_variances(*given, factor)
    np.testing.assert_allclose(backend.force_variances(*given, factor, atoms=atoms), every[atoms], rtol=1e-13)
    with pytest.raises(DataError, match="outside"):
        backend.force_variances(*given, factor, atoms=np.array([len(displacements)]))


@pytest.mark.parametrize("backend", BACKENDS)
def test_arrays_that_do_not_fit_are_refused(backend):
    place, reduction, displacements = make_case()
    with pytest.raises(DataError, match="displacements has shape"):
        backend.reduced_rows(place, reduction, displacements[1:])
    with pytest.raises(DataError, match="factor has shape"):
        backend.force_variances(place, reduction, displacements, np.eye(3))
    short = block_reduction([np.eye(2)])
    with pytest.raises(DataError, match="reduction has shape"):
        backend.reduced_rows(place, short, displacements)
