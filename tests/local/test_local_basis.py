"""Functions of the local part: which there are, what their radial functions are, and neighbors."""

import numpy as np
import pytest
from ase.build import bulk
from ase.neighborlist import neighbor_list

from mlff_dyn.kernels import local_rows
from mlff_dyn.kernels.reference.local_functions import radial_functions
from mlff_dyn.local.basis import LocalBasis, LocalSettings, build_local_basis
from mlff_dyn.local.environments import find_environments
from mlff_dyn.local.radial import gaussians

SETTINGS = LocalSettings(cutoff_angstrom=4.0, n_radial=4, l_max=2)


def zincblende() -> LocalBasis:
    cell = bulk("BAs", "zincblende", 4.8)
    numbers = cell.numbers.astype(np.int64)
    return build_local_basis(cell.cell.array, cell.positions, numbers, SETTINGS, largest_displacement=0.5)


@pytest.mark.parametrize("cutoff", [3.5, 5.0, 7.0])
def test_polynomials_are_the_gaussians_they_stand_for(cutoff: float) -> None:
    distances = np.linspace(1.0, cutoff, 200)
    found, slopes = radial_functions(gaussians(cutoff, 5), cutoff, distances)
    fall = 0.5 * (1.0 + np.cos(np.pi * distances / cutoff))
    wanted = np.exp(-((distances[:, None] - np.linspace(0.0, cutoff, 5)) ** 2)) * fall[:, None]
    np.testing.assert_allclose(found, wanted, atol=0.01)
    assert not found[-1].any()
    assert not slopes[-1].any()


def test_functions_of_a_distance_are_the_same_from_either_side() -> None:
    """And a product of two channels is the same in either order."""
    basis = zincblende()
    tables, n = basis.tables, SETTINGS.n_radial
    blocks = tables.pair_functions.reshape(2, 2, n)
    np.testing.assert_array_equal(blocks[0, 1], blocks[1, 0])
    triples = tables.triple_functions
    np.testing.assert_array_equal(triples, triples.transpose(0, 1, 3, 2))
    of_three = tables.quadruples[:, -1]
    used = np.unique(np.concatenate([tables.pair_functions.ravel(), triples.ravel(), of_three]))
    np.testing.assert_array_equal(used[used >= 0], np.arange(basis.n_functions))
    assert (basis.bodies == 2).sum() == np.count_nonzero(np.triu(np.ones((2, 2)))[..., None] * (blocks >= 0))


def test_functions_that_are_left_out_are_negligible() -> None:
    """Their values stay small in a strongly displaced crystal."""
    cell = bulk("BAs", "zincblende", 4.8)
    numbers = cell.numbers.astype(np.int64)
    basis = zincblende()
    missing = basis.tables.pair_functions < 0
    assert missing.any()
    assert not missing.all(axis=1).any()
    wide = find_environments(cell.cell.array, cell.positions, basis.tables.kinds, 4.0)
    first = int(numbers[0] > numbers[1])
    like = wide.slots[: wide.starts[1], 0] == 0
    nearest = np.linalg.norm(wide.vectors[: wide.starts[1]][like], axis=1).min()
    values, _ = radial_functions(basis.tables.radial, 4.0, np.array([0.8 * nearest, nearest]))
    own = missing[first].reshape(2, -1)[first]
    assert own.any()
    assert values[:, own].max() < 0.02


def test_species_that_do_not_meet_share_no_function() -> None:
    settings = LocalSettings(cutoff_angstrom=3.0, n_radial=3, l_max=1)
    cell = bulk("NaCl", "rocksalt", 5.6)
    numbers = cell.numbers.astype(np.int64)
    basis = build_local_basis(cell.cell.array, cell.positions, numbers, settings, largest_displacement=0.2)
    blocks = basis.tables.pair_functions.reshape(2, 2, 3)
    assert (blocks[[0, 1], [0, 1]] == -1).all()
    assert (blocks[0, 1] >= 0).any()


def test_neighbors_are_those_of_an_independent_search() -> None:
    cell = bulk("Ti", "hcp", a=2.95, c=4.68)
    kinds = np.zeros(2, np.int32)
    found = find_environments(cell.cell.array, cell.positions, kinds, 6.1)
    sites, others, vectors = neighbor_list("ijD", cell, 6.1)
    centers = np.repeat([0, 1], np.diff(found.starts))
    ours = np.column_stack([centers, found.slots[:, 0], found.vectors]).round(6)
    theirs = np.column_stack([sites, others, vectors]).round(6)
    np.testing.assert_allclose(ours[np.lexsort(ours.T)], theirs[np.lexsort(theirs.T)], atol=1e-5)


def test_sheet_has_no_neighbors_across_the_vacuum() -> None:
    lattice = np.diag([3.0, 3.0, 5.0])
    found = find_environments(lattice, np.zeros((1, 3)), np.zeros(1, np.int32), 6.0, (True, True, False))
    assert not found.slots[:, 3].any()


def test_energy_of_a_crystal_at_rest_is_that_of_its_cells() -> None:
    """Rows of a supercell at rest are multiples of those of one cell, and there are no forces."""
    tables = zincblende().tables
    one = local_rows(tables, tables.slots[:, :1].copy(), np.zeros((2, 3)), strain=np.zeros((3, 3)))
    cells = np.arange(4)
    shifted = (tables.slots[:, 1:].sum(axis=1)[:, None] + cells) % 4
    atoms = (4 * tables.slots[:, :1] + shifted).astype(np.int32)
    four = local_rows(tables, atoms, np.zeros((8, 3)), strain=np.zeros((3, 3)))
    np.testing.assert_allclose(four.energy, 4 * one.energy, rtol=1e-12, atol=1e-12)
    assert np.abs(four.forces).max() < 1e-12
