"""Supercells as tori: laws of the Smith normal form and of the numbering of atoms."""

import numpy as np
import pytest
from ase.build import bulk

from mlff_dyn.errors import BasisError
from mlff_dyn.lattice.torus import Torus, input_supercell, smith_normal_form
from tests.lattice.crystals import quartz, silicon, skewed, triclinic
from tests.models import crystal_of

MATRICES = [
    np.diag([2, 2, 2]),
    np.diag([2, 3, 4]),
    np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]]),
    np.array([[2, 1, 0], [0, 2, 0], [0, 0, 1]]),
    np.array([[0, 3, 1], [-2, 1, 5], [4, 0, 2]]),
    np.array([[1, 0, 0], [0, 0, 1], [0, 1, 0]]),
    np.array([[2, 2, 0], [0, 4, 0], [0, 0, 6]]),
]


@pytest.mark.parametrize("seed", range(40))
def test_smith_normal_form(seed: int) -> None:
    """V is unimodular, d divides along the diagonal, and n V = 0 mod d exactly on the lattice of S."""
    generator = np.random.default_rng(seed)
    matrix = generator.integers(-6, 7, size=(3, 3))
    if round(np.linalg.det(matrix)) == 0:
        matrix += 7 * np.eye(3, dtype=int)
    diagonal, v = smith_normal_form(matrix)
    assert abs(round(np.linalg.det(v))) == 1
    assert diagonal.prod() == abs(round(np.linalg.det(matrix)))
    assert diagonal[1] % diagonal[0] == 0
    assert diagonal[2] % diagonal[1] == 0
    points = generator.integers(-9, 10, size=(400, 3))
    coefficients = points @ np.linalg.inv(matrix)
    on_lattice = np.abs(coefficients - np.rint(coefficients)).max(axis=1) < 1e-9
    np.testing.assert_array_equal(((points @ v) % diagonal == 0).all(axis=1), on_lattice)
    assert (((points @ matrix) @ v) % diagonal == 0).all()


@pytest.mark.parametrize("matrix", MATRICES)
def test_cell_index_is_a_homomorphism(matrix: np.ndarray) -> None:
    """Equal modulo the supercell means equal index, and adding an offset permutes all cells."""
    torus = Torus(crystal_of(bulk("Si")), matrix)
    assert torus.n_cells == abs(round(np.linalg.det(matrix)))
    assert sorted(torus.cell_index(torus.offsets)) == list(range(torus.n_cells))
    generator = np.random.default_rng(3)
    a, b, n = generator.integers(-20, 21, size=(3, 200, 3))
    np.testing.assert_array_equal(torus.cell_index(a + n @ matrix), torus.cell_index(a))
    sums = torus.offsets[torus.cell_index(a)] + torus.offsets[torus.cell_index(b)]
    np.testing.assert_array_equal(torus.cell_index(sums), torus.cell_index(a + b))
    for offset in a[:20]:
        assert len(np.unique(torus.cell_index(torus.offsets + offset))) == torus.n_cells


@pytest.mark.parametrize("matrix", MATRICES)
def test_a_wave_fits_a_supercell_of_as_many_cells_as_its_order(matrix: np.ndarray) -> None:
    torus = Torus(crystal_of(bulk("Si")), matrix)
    multiples = np.arange(1, torus.n_cells + 1)[:, None]
    for index, wavevector in enumerate(torus.wavevectors):
        smallest = torus.of_wave(index)
        fitting = np.abs(multiples * wavevector - np.rint(multiples * wavevector)).max(axis=1) < 1e-9
        assert smallest.n_cells == multiples[fitting].min()
        phases = smallest.matrix @ wavevector
        np.testing.assert_allclose(phases, np.rint(phases), atol=1e-9)


@pytest.mark.parametrize("matrix", MATRICES)
def test_atom_indices_mean_the_positions(matrix: np.ndarray) -> None:
    """Every slot runs over every atom of its site once, and each lies where lattice vectors say."""
    crystal = crystal_of(quartz())
    torus = Torus(crystal, matrix)
    generator = np.random.default_rng(5)
    slots = np.column_stack(
        [generator.integers(crystal.n_sites, size=30), generator.integers(-3, 4, (30, 3))]
    )
    atoms = torus.atom_indices(slots)
    inverse = np.linalg.inv(torus.lattice)
    for slot, row in zip(slots, atoms, strict=True):
        assert sorted(row) == list(range(slot[0] * torus.n_cells, (slot[0] + 1) * torus.n_cells))
        expected = crystal.positions[slot[0]] + (torus.offsets + slot[1:]) @ crystal.lattice
        difference = (torus.positions[row] - expected) @ inverse
        assert np.abs(difference - np.rint(difference)).max() < 1e-9


@pytest.mark.parametrize("matrix", MATRICES)
def test_positions_are_distinct_and_inside(matrix: np.ndarray) -> None:
    torus = Torus(crystal_of(quartz()), matrix)
    fractional = torus.positions @ np.linalg.inv(torus.lattice)
    assert fractional.min() > -1e-8
    assert fractional.max() < 1
    shifted = fractional[:, None] - fractional[None]
    gaps = np.linalg.norm((shifted - np.rint(shifted)) @ torus.lattice, axis=-1)
    assert (gaps + np.eye(torus.n_atoms)).min() > 0.5
    np.testing.assert_array_equal(torus.numbers, np.repeat(torus.crystal.numbers, torus.n_cells))


@pytest.mark.parametrize("atoms", [silicon(), skewed(triclinic()), skewed(bulk("Si"))])
def test_match_finds_site_and_displacement(atoms) -> None:
    torus = input_supercell(crystal_of(atoms), [[2, 1, 0], [0, 2, 0], [0, 0, 1]])
    generator = np.random.default_rng(2)
    displacements = 0.15 * generator.standard_normal((torus.n_atoms, 3))
    images = generator.integers(-4, 5, size=(torus.n_atoms, 3)) @ torus.lattice
    found, residual = torus.match(torus.positions + displacements + images)
    np.testing.assert_array_equal(found, np.arange(torus.n_atoms))
    np.testing.assert_allclose(residual, displacements, atol=1e-10)


def test_supercells_count_in_cells_of_the_input() -> None:
    """Two conventional cells of silicon a side are 64 atoms, two primitive ones 16."""
    assert input_supercell(crystal_of(silicon()), (2, 2, 2)).n_atoms == 64
    assert input_supercell(crystal_of(bulk("Si")), (2, 2, 2)).n_atoms == 16


def test_a_singular_matrix_is_refused() -> None:
    with pytest.raises(BasisError, match="singular"):
        Torus(crystal_of(bulk("Si")), np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]]))
