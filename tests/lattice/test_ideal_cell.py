"""Rounded, noisy and turned cells have the basis of the ideal crystal."""

from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from symfc import Symfc
from symfc.utils.utils import SymfcAtoms

from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.crystal import Crystal, build_crystal
from mlff_dyn.lattice.ideal_cell import distance_from_given, ideal_input
from mlff_dyn.lattice.matching import match_structure
from mlff_dyn.lattice.tensors import reduced_echelon
from mlff_dyn.lattice.torus import Torus, input_supercell
from mlff_dyn.model.expansion import Expansion
from mlff_dyn.workflows.snapshots import displaced_atoms
from tests.lattice.crystals import rocksalt, silicon, wurtzite
from tests.lattice.seven_systems import CRYSTALS, noisy, turned
from tests.models import Cutoffs, fitted_to_harmonic, spring_hessian

ANGLES = (0.0, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 0.7)


def crystal_within(atoms: Atoms, symprec: float) -> Crystal:
    return build_crystal(atoms.cell.array, atoms.positions, atoms.numbers, symprec=symprec)


def counts(crystal: Crystal) -> dict[int, int]:
    reach = 1.05 * crystal.nearest_neighbor_distance
    small = crystal.n_sites <= 10
    cutoffs: Cutoffs = {2: 1.5 * reach, 3: reach, **({4: reach} if small else {})}
    return build_basis(crystal, cutoffs).n_parameters_per_order


@pytest.mark.parametrize("name", CRYSTALS)
@pytest.mark.parametrize("symprec", [1e-5, 1e-3])
def test_counts_are_those_of_the_ideal_crystal(name: str, symprec: float) -> None:
    generator = np.random.default_rng(len(name))
    atoms = CRYSTALS[name]
    exact = crystal_within(atoms, symprec)
    expected = counts(exact)
    for share, angle in zip((1e-2, 0.3, 1.0), generator.permutation(ANGLES), strict=False):
        given = turned(noisy(atoms, share * symprec, generator), angle, generator)
        crystal = crystal_within(given, symprec)
        assert crystal.space_group == exact.space_group
        assert counts(crystal) == expected, (share, angle)
        assert distance_from_given(crystal) <= 2 * symprec


@pytest.mark.parametrize("name", ["NaCl", "Mg", "AlN", "quartz", "SnO2", "SnSe", "VO in P2_1", "OCN"])
def test_rotational_sum_rules_are_those_of_the_ideal_crystal(name: str) -> None:
    generator = np.random.default_rng(5)
    found = set()
    for share, angle in ((0.0, 0.0), (0.3, 1e-7), (1.0, 1e-4), (0.3, 0.7)):
        given = turned(noisy(CRYSTALS[name], share * 1e-3, generator), angle, generator)
        crystal = crystal_within(given, 1e-3)
        reach = 1.6 * crystal.nearest_neighbor_distance
        basis = build_basis(crystal, {2: reach}, rotational_sum_rules=("huang", "born-huang"))
        found.add(basis.n_parameters_per_order[2])
    assert len(found) == 1


@pytest.mark.parametrize(
    ("name", "supercell"),
    [
        ("Al", (3, 3, 3)),
        ("Si", (1, 1, 1)),
        ("AlN", (2, 2, 1)),
        ("SnO2", (1, 1, 2)),
        ("SrTiO3", (2, 1, 1)),
        ("Bi2Te3", (2, 1, 1)),
        ("SnSe", (1, 1, 1)),
        ("MnO in P-1", (1, 1, 1)),
    ],
)
def test_counts_of_the_whole_supercell_are_those_of_symfc(name: str, supercell: tuple[int, int, int]) -> None:
    generator = np.random.default_rng(3)
    atoms = CRYSTALS[name]
    repeated = atoms * supercell
    cell, scaled = repeated.cell.array, repeated.get_scaled_positions()
    symfc = Symfc(SymfcAtoms(cell=cell, scaled_positions=scaled, numbers=repeated.numbers))
    expected = {}
    for order in (2, 3):
        symfc.compute_basis_set(order)
        expected[order] = symfc.basis_set[order].basis_set.shape[1]
    for angle in (1e-7, 1e-4, 0.7):
        crystal = crystal_within(turned(noisy(atoms, 5e-6, generator), angle, generator), 1e-5)
        basis = build_basis(crystal, {2: "full", 3: "full"}, input_supercell(crystal, supercell))
        assert {order: basis.n_parameters_per_order[order] for order in expected} == expected


@pytest.mark.parametrize(
    ("file", "exact", "supercell"),
    [
        ("NaCl_rotated_1e-6.json", rocksalt(), (2, 2, 2)),
        ("AlN_rotated_1e-4.vasp", wurtzite(), (3, 3, 2)),
    ],
)
def test_turned_files(shared_data: Path, file: str, exact: Atoms, supercell: tuple[int, int, int]) -> None:
    """31 and 126 parameters of order 2, as of the cells with axes along x, y, z."""
    given = ase.io.read(shared_data.parent / "cases" / file)
    found = []
    for atoms in (given, exact):
        crystal = crystal_within(atoms, 1e-5)
        torus = input_supercell(crystal, supercell)
        found.append(build_basis(crystal, {2: "full", 3: 3.5}, torus).n_parameters_per_order)
    assert found[0] == found[1]


def test_a_file_of_six_digits(shared_data: Path) -> None:
    atoms = ase.io.read(shared_data.parent / "cases" / "fcc_6_digits_refused.vasp")
    crystal = crystal_within(atoms, 1e-5)
    assert crystal.space_group == "Fm-3m (225)"
    basis = build_basis(crystal, {2: "full", 3: 4.0}, input_supercell(crystal, (4, 4, 4)))
    assert basis.n_parameters_per_order[2] == 50


@pytest.mark.parametrize("name", CRYSTALS)
def test_the_space_group_of_the_ideal_crystal_is_exact(name: str) -> None:
    generator = np.random.default_rng(7)
    crystal = crystal_within(turned(noisy(CRYSTALS[name], 1e-4, generator), 0.3, generator), 1e-3)
    for g, rotation in enumerate(crystal.cartesian_rotations):
        images = crystal.positions[crystal.site_map[g]] + crystal.site_shift[g] @ crystal.lattice
        moved = crystal.positions @ rotation.T
        np.testing.assert_allclose(images - images[0], moved - moved[0], atol=1e-11)
        np.testing.assert_allclose(
            crystal.lattice @ rotation.T, crystal.rotations[g].T @ crystal.lattice, atol=1e-11
        )
        products = crystal.cartesian_rotations @ rotation
        distance = np.abs(products[:, None] - crystal.cartesian_rotations).max(axis=(2, 3))
        assert distance.min(axis=1).max() < 1e-13


@pytest.mark.parametrize("name", CRYSTALS)
def test_an_exact_cell_is_left_as_it_is(name: str) -> None:
    atoms = CRYSTALS[name]
    crystal = crystal_within(atoms, 1e-5)
    assert distance_from_given(crystal) == 0.0
    lattice, positions = ideal_input(crystal)
    assert np.array_equal(lattice, atoms.cell.array)
    assert np.array_equal(positions, atoms.positions)
    assert all(site in atoms.positions.tolist() for site in crystal.positions.tolist())


def test_the_ideal_crystal_of_the_ideal_crystal_is_itself() -> None:
    given = turned(noisy(CRYSTALS["SnSe"], 1e-4, np.random.default_rng(1)), 0.2, np.random.default_rng(2))
    crystal = crystal_within(given, 1e-3)
    assert 1e-5 < distance_from_given(crystal) < 2e-3
    lattice, positions = ideal_input(crystal)
    again = build_crystal(lattice, positions, given.numbers, symprec=1e-5)
    assert again.space_group == crystal.space_group
    assert distance_from_given(again) == 0.0


def test_a_small_turn_within_the_tolerance_keeps_the_zeros_of_the_force_constants() -> None:
    exact = build_basis(crystal_within(wurtzite(), 1e-5), {2: 3.2, 3: 2.0}).polynomial
    given = turned(wurtzite(), 1e-6, np.random.default_rng(1))
    found = build_basis(crystal_within(given, 1e-5), {2: 3.2, 3: 2.0}).polynomial
    assert [len(terms.data) for terms in found.orders] == [len(terms.data) for terms in exact.orders]


@pytest.mark.parametrize("angle", [1e-9, 1e-7, 1e-4])
def test_no_pivot_is_a_rounding_error(angle: float) -> None:
    """Projectors on the plane across an axis that is nearly x: the echelon form stays of order one."""
    axis = np.array([np.cos(angle), np.sin(angle) * 0.6, np.sin(angle) * 0.8])
    projector = np.eye(3) - np.outer(axis, axis)
    (rows,), (rank,) = reduced_echelon(projector[None])
    assert rank == 2
    assert np.abs(rows).max() < 10.0
    np.testing.assert_allclose(rows[:rank] @ axis, 0.0, atol=1e-12)


@pytest.mark.parametrize("symprec", [1e-5, 1e-2])
def test_frames_of_the_given_cell_are_unstrained(symprec: float) -> None:
    """A frame has the same displacements in a supercell of the given cell and of the ideal one."""
    generator = np.random.default_rng(4)
    given = noisy(rocksalt(), 0.7 * symprec, generator)
    crystal = crystal_within(given, symprec)
    assert crystal.n_sites == 2
    lattice, _ = ideal_input(crystal)
    ideal = rocksalt() * (2, 2, 2)
    ideal.set_cell(2 * lattice, scale_atoms=True)
    ideal.positions += 0.1 * generator.standard_normal(ideal.positions.shape)
    of_given = ideal.copy()
    of_given.set_cell(2 * given.cell.array, scale_atoms=True)
    matches = [match_structure(crystal, a.cell.array, a.positions, a.numbers) for a in (ideal, of_given)]
    for match in matches:
        assert not match.strain.any()
        assert np.array_equal(match.rotation, np.eye(3))
    assert np.array_equal(matches[0].atoms, matches[1].atoms)
    np.testing.assert_allclose(matches[0].displacements, matches[1].displacements, atol=1e-11)


@pytest.mark.parametrize("angle", [1e-7, 1e-4, 1e-2, 1.1])
def test_forces_and_energies_turn_with_the_crystal(angle: float) -> None:
    """A crystal of springs, fitted in either orientation; the turned one is noisy as well."""
    springs = {5.43 * np.sqrt(3) / 4: (8.0, 1.5), 5.43 / np.sqrt(2): (0.7, -0.2)}
    generator = np.random.default_rng(6)
    given = turned(silicon(), angle, np.random.default_rng(8))
    rotation = np.linalg.solve(silicon().cell.array, given.cell.array)
    noise = noisy(given, 1e-7, generator)
    predicted = []
    u = 0.05 * generator.standard_normal((64, 3))
    for atoms, turn in ((silicon(), np.eye(3)), (noise, rotation)):
        crystal = crystal_within(atoms, 1e-5)
        torus = input_supercell(crystal, (2, 2, 2))
        basis = build_basis(crystal, {2: "full"}, torus)
        field = fitted_to_harmonic(basis, torus, spring_hessian(torus, springs))
        frame = silicon() * (2, 2, 2)
        frame.positions += u
        match = match_structure(crystal, (2 * atoms.cell.array), frame.positions @ turn, frame.numbers)
        kernel = Expansion(basis).on(match.torus).kernel(field.posterior.mean)
        energy, forces = kernel.energy_forces(match.displacements)
        in_order = np.empty_like(forces)
        in_order[match.atoms] = forces
        predicted.append((energy, in_order @ turn.T))
    assert predicted[1][0] == pytest.approx(predicted[0][0], rel=1e-5)
    np.testing.assert_allclose(predicted[1][1], predicted[0][1], atol=1e-4)


def test_the_training_cell_is_a_repetition_of_the_ideal_cell() -> None:
    given = noisy(wurtzite(), 5e-4, np.random.default_rng(9))
    crystal = crystal_within(given, 1e-3)
    torus: Torus = input_supercell(crystal, (2, 2, 1))
    atoms = displaced_atoms(torus, np.zeros((torus.n_atoms, 3)))
    again = crystal_within(atoms, 1e-6)
    assert again.space_group == crystal.space_group
    assert again.n_sites == crystal.n_sites
