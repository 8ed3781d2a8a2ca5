"""Displaced structures find their supercell and sites, or are refused with the reason."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, make_supercell

from mlff_dyn.errors import DataError
from mlff_dyn.lattice.matching import match_structure
from tests.lattice.crystals import quartz, rocksalt, silicon, wurtzite
from tests.models import crystal_of


def displaced(atoms: Atoms, sd: float = 0.08, seed: int = 1) -> tuple[Atoms, np.ndarray]:
    """The structure with displacements without rigid shift, and those."""
    u = sd * np.random.default_rng(seed).standard_normal((len(atoms), 3))
    u -= u.mean(axis=0)
    moved = atoms.copy()
    moved.positions += u
    return moved, u


def check(reference: Atoms, ideal: Atoms, moved: Atoms, u: np.ndarray, *, atol: float = 1e-10) -> None:
    """Every atom of the torus is the input atom it names, displaced as the input was."""
    match = match_structure(crystal_of(reference), moved.cell.array, moved.positions, moved.numbers)
    torus = match.torus
    assert sorted(match.atoms) == list(range(len(moved)))
    np.testing.assert_array_equal(moved.numbers[match.atoms], torus.numbers)
    np.testing.assert_allclose(match.displacements, u[match.atoms], atol=atol)
    np.testing.assert_allclose(match.displacements.mean(axis=0), 0.0, atol=1e-12)
    difference = (ideal.positions[match.atoms] - torus.positions) @ np.linalg.inv(torus.lattice)
    difference = (difference - np.rint(difference)) @ torus.lattice
    np.testing.assert_allclose(difference, np.broadcast_to(difference[0], difference.shape), atol=1e-6)


@pytest.mark.parametrize(
    ("reference", "ideal"),
    [
        (silicon(), silicon() * (2, 2, 2)),
        (silicon(), bulk("Si", "diamond", a=5.43) * (3, 2, 1)),
        (silicon(), make_supercell(silicon(), [[1, 1, 0], [-1, 1, 0], [0, 0, 2]])),
        (rocksalt(), bulk("NaCl", "rocksalt", a=5.64) * (2, 2, 3)),
        (wurtzite(), wurtzite() * (2, 3, 1)),
        (quartz(), quartz() * (1, 1, 2)),
    ],
)
def test_any_supercell_in_any_order(reference: Atoms, ideal: Atoms) -> None:
    order = np.random.default_rng(4).permutation(len(ideal))
    shuffled = ideal[order]
    moved, u = displaced(shuffled)
    check(reference, shuffled, moved, u)


@pytest.mark.parametrize(
    "shift", [(0.2, -0.1, 0.3), (1.3, 0.7, -2.9), (2.715, 2.715, 0.0), (50.0, -31.0, 7.7)]
)
def test_a_rigid_shift_is_no_displacement(shift: tuple[float, float, float]) -> None:
    ideal = silicon() * (2, 2, 2)
    moved, u = displaced(ideal)
    moved.positions += shift
    check(silicon(), ideal, moved, u)


def test_atoms_may_lie_in_any_periodic_image() -> None:
    ideal = rocksalt() * (2, 1, 1)
    moved, u = displaced(ideal)
    images = np.random.default_rng(2).integers(-3, 4, size=(len(ideal), 3))
    moved.positions += images @ moved.cell.array
    check(rocksalt(), ideal, moved, u)


def refuse(reference: Atoms, atoms: Atoms) -> DataError:
    with pytest.raises(DataError) as caught:
        match_structure(crystal_of(reference), atoms.cell.array, atoms.positions, atoms.numbers)
    assert caught.value.fix
    return caught.value


def test_other_species_are_refused() -> None:
    moved, _ = displaced(silicon() * (2, 2, 2))
    moved.numbers[5] = 32
    assert "one to one" in refuse(silicon(), moved).message
    moved.numbers[:] = 32
    refuse(silicon(), moved)


@pytest.mark.parametrize("n_pairs", [1, 3])
def test_exchanged_species_are_refused(n_pairs: int) -> None:
    """Atoms of both elements that have changed places: the composition is right, the order is not."""
    moved, _ = displaced(rocksalt() * (2, 1, 1))
    sodium, chlorine = np.flatnonzero(moved.numbers == 11), np.flatnonzero(moved.numbers == 17)
    composition = np.bincount(moved.numbers)
    moved.numbers[sodium[:n_pairs]], moved.numbers[chlorine[:n_pairs]] = 17, 11
    np.testing.assert_array_equal(np.bincount(moved.numbers), composition)
    assert "one to one" in refuse(rocksalt(), moved).message


def test_all_species_exchanged_is_a_shift_of_rocksalt() -> None:
    """Both sublattices are alike, so the structure is the crystal, half a cell away."""
    moved, _ = displaced(rocksalt() * (2, 1, 1))
    moved.numbers = 28 - moved.numbers
    match = match_structure(crystal_of(rocksalt()), moved.cell.array, moved.positions, moved.numbers)
    np.testing.assert_array_equal(moved.numbers[match.atoms], match.torus.numbers)
    assert np.abs(match.displacements).max() < 0.4


def random_gradient(size: float, seed: int) -> np.ndarray:
    return np.eye(3) + size * np.random.default_rng(seed).uniform(-1.0, 1.0, (3, 3))


@pytest.mark.parametrize(
    ("ideal", "size"),
    [(silicon() * (2, 2, 2), 0.03), (wurtzite() * (3, 2, 2), 0.02), (rocksalt() * (6, 1, 1), 0.05)],
)
def test_a_strained_and_turned_cell_is_recognized(ideal: Atoms, size: float) -> None:
    """Position = rotation (1 + strain) site + rotation displacement, whatever the order of the atoms."""
    reference = {"Si": silicon(), "AlN": wurtzite(), "NaCl": rocksalt()}[
        ideal.get_chemical_formula(empirical=True).replace("ClNa", "NaCl")
    ]
    gradient = random_gradient(size, 5)
    shuffled = ideal[np.random.default_rng(4).permutation(len(ideal))]
    moved, u = displaced(shuffled)
    moved.set_cell(shuffled.cell.array @ gradient.T)
    moved.positions = shuffled.positions @ gradient.T + u + [0.3, -0.2, 0.1]
    match = match_structure(crystal_of(reference), moved.cell.array, moved.positions, moved.numbers)
    stretch = np.eye(3) + match.strain
    np.testing.assert_allclose(match.rotation @ stretch, gradient, atol=1e-12)
    np.testing.assert_allclose(match.rotation.T @ match.rotation, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(match.strain, match.strain.T, atol=1e-14)
    np.testing.assert_allclose(match.torus.lattice @ gradient.T, moved.cell.array, atol=1e-9)
    np.testing.assert_allclose(match.displacements @ match.rotation.T, u[match.atoms], atol=1e-9)


def test_a_cell_of_its_own_has_no_strain() -> None:
    moved, _ = displaced(silicon() * (2, 1, 1))
    moved.set_cell(moved.cell.array * (1.0 + 1e-8))
    match = match_structure(crystal_of(silicon()), moved.cell.array, moved.positions, moved.numbers)
    assert not match.strain.any()
    np.testing.assert_array_equal(match.rotation, np.eye(3))


@pytest.mark.parametrize("strain", [0.12, -0.13])
def test_a_cell_strained_by_much_is_refused(strain: float) -> None:
    moved, _ = displaced(silicon() * (2, 2, 2))
    moved.set_cell((1 + strain) * moved.cell.array, scale_atoms=True)
    assert "not a supercell" in refuse(silicon(), moved).message


@pytest.mark.parametrize("length", [1e9, 1e20, 1e80])
def test_mistyped_lengths_are_refused(length: float) -> None:
    cell, _ = displaced(silicon() * (2, 2, 2))
    cell.set_cell(cell.cell.array + np.diag([0.0, length, 0.0]))
    assert "a cell vector has a component of" in refuse(silicon(), cell).message
    atom, _ = displaced(silicon() * (2, 2, 2))
    atom.positions[3, 1] = length
    assert "the position of an atom has a component of" in refuse(silicon(), atom).message


def test_a_rotated_cell_is_refused() -> None:
    moved, _ = displaced(silicon() * (2, 2, 2))
    moved.rotate(20, "z", rotate_cell=True)
    assert "not a supercell" in refuse(silicon(), moved).message


def test_a_missing_atom_is_refused() -> None:
    moved, _ = displaced(silicon() * (2, 2, 2))
    del moved[7]
    assert "63 atoms" in refuse(silicon(), moved).message


def test_a_melted_structure_is_refused() -> None:
    moved, _ = displaced(silicon() * (2, 2, 2), sd=0.9)
    assert "melted" in str(refuse(silicon(), moved))


def test_a_hop_is_refused() -> None:
    """One atom that sits beside another one's site leaves its own site empty."""
    moved, _ = displaced(silicon() * (2, 2, 2), sd=0.02)
    moved.positions[3] = moved.positions[10] + [0.2, 0.1, 0.1]
    assert "one to one" in refuse(silicon(), moved).message
