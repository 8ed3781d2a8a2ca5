"""Sheets and wires: nothing sees its images across the vacuum, and long waves bend a sheet softly."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, graphene, make_supercell, mx2, nanotube
from numpy.typing import NDArray

from mlff_dyn.errors import BasisError, DataError
from mlff_dyn.lattice.basis import ForceConstantBasis, build_basis
from mlff_dyn.lattice.clusters import neighbors
from mlff_dyn.lattice.crystal import Crystal, build_crystal
from mlff_dyn.lattice.ideal_cell import distance_from_given
from mlff_dyn.lattice.matching import match_structure
from mlff_dyn.lattice.torus import Torus, input_supercell
from mlff_dyn.lattice.wigner_seitz import largest_safe_cutoff
from mlff_dyn.model.force_constants import force_constants

SHEET = (True, True, False)
RULES = ("huang", "born-huang")


def crystal_of(atoms: Atoms, periodic: tuple[bool, bool, bool] = SHEET, symprec: float = 1e-5) -> Crystal:
    return build_crystal(
        atoms.cell.array,
        atoms.positions,
        atoms.numbers,
        atoms.get_masses(),
        symprec=symprec,
        periodic=periodic,
    )


def sheet(vacuum: float = 6.0) -> Atoms:
    return graphene(vacuum=vacuum)


def rectangular() -> Atoms:
    """Graphene in a cell of four atoms."""
    return make_supercell(sheet(), [[1, 0, 0], [1, 2, 0], [0, 0, 1]])


@pytest.mark.parametrize(
    ("atoms", "symbol", "n_operations", "n_sites"),
    [
        (sheet(), "p6/mmm (layer group 80)", 24, 2),
        (rectangular(), "p6/mmm (layer group 80)", 24, 2),
        (mx2("MoS2", vacuum=8.0), "p-6m2 (layer group 78)", 12, 3),
        (mx2("MoS2", kind="1T", vacuum=8.0), "p-3m1 (layer group 72)", 12, 3),
    ],
    ids=["graphene", "rectangular", "2H", "1T"],
)
def test_layer_groups(atoms: Atoms, symbol: str, n_operations: int, n_sites: int) -> None:
    crystal = crystal_of(atoms)
    assert (crystal.space_group, crystal.n_operations, crystal.n_sites) == (symbol, n_operations, n_sites)
    np.testing.assert_allclose(crystal.lattice[2], atoms.cell.array[2], atol=1e-12)
    for k, rotation in enumerate(crystal.cartesian_rotations):
        moved = crystal.positions @ rotation.T
        images = crystal.positions[crystal.site_map[k]] + crystal.site_shift[k] @ crystal.lattice
        np.testing.assert_allclose(moved - moved[0], images - images[0], atol=1e-5)


@pytest.mark.parametrize(("shift", "stresses"), [(1, [1, 2, 3]), (2, [0, 2, 4])])
def test_the_vacuum_may_be_along_any_axis(shift: int, stresses: list[int]) -> None:
    atoms = mx2("MoS2", vacuum=8.0)
    turned = Atoms(
        numbers=atoms.numbers,
        cell=np.roll(atoms.cell.array, (shift, shift), axis=(0, 1)),
        positions=np.roll(atoms.positions, shift, axis=1),
    )
    periodic = tuple(np.roll(SHEET, shift).tolist())
    counts = []
    for each, kept, repeats in ((atoms, SHEET, (3, 3, 1)), (turned, periodic, np.roll((3, 3, 1), shift))):
        crystal = crystal_of(each, kept)
        torus = input_supercell(crystal, repeats)
        basis = build_basis(crystal, {2: "full", 3: 3.2}, torus, rotational_sum_rules=RULES)
        counts.append((crystal.space_group, basis.n_parameters_per_order))
    assert counts[0] == counts[1]
    np.testing.assert_array_equal(crystal.stress_components, stresses)


def test_a_cubic_cell_is_a_sheet_all_the_same() -> None:
    """A square sheet whose vacuum is as long as its edges: no operation turns the plane out of itself."""
    atoms = Atoms("Cu", cell=5.0 * np.eye(3), pbc=True)
    assert crystal_of(atoms, (True, True, True)).n_operations == 48
    assert crystal_of(atoms).n_operations == 16


@pytest.mark.parametrize("noise", [1e-7, 1e-5, 1e-3])
@pytest.mark.parametrize("name", ["graphene", "2H", "1T"])
def test_noise_within_the_tolerance_is_taken_out(name: str, noise: float) -> None:
    """Rounded vectors and positions make the ideal sheet, upright, with the count of its parameters."""
    atoms = sheet() if name == "graphene" else mx2("MoS2", kind=name, vacuum=8.0)
    generator, counts = np.random.default_rng(5), []
    noisy = atoms.copy()
    noisy.set_cell(atoms.cell.array + noise * generator.uniform(-0.5, 0.5, (3, 3)), scale_atoms=True)
    noisy.positions += noise * generator.uniform(-0.5, 0.5, atoms.positions.shape)
    for each in (atoms, noisy):
        crystal = crystal_of(each, symprec=max(noise, 1e-5))
        torus = input_supercell(crystal, (4, 4, 1))
        basis = build_basis(crystal, {2: 4.0, 3: 3.0}, torus, rotational_sum_rules=RULES)
        counts.append((crystal.space_group, crystal.n_operations, basis.n_parameters_per_order))
    assert counts[0] == counts[1]
    assert distance_from_given(crystal) < 2.0 * max(noise, 1e-5)
    np.testing.assert_allclose(crystal.lattice[:2] @ crystal.lattice[2], 0.0, atol=1e-12)
    supercell = noisy * (3, 3, 1)
    match = match_structure(crystal, supercell.cell.array, supercell.positions, supercell.numbers)
    assert np.abs(match.displacements).max() < 2.0 * max(noise, 1e-5)
    assert not match.strain.any()


def test_magnetic_order_of_a_sheet() -> None:
    """Alternating moments double the cell of a square sheet; operations may reverse them."""
    atoms = Atoms("Fe2", cell=[4.0, 4.0, 14.0], scaled_positions=[[0.0, 0.0, 0.5], [0.5, 0.5, 0.5]])
    counts = []
    for moments in ([2.0, 2.0], [2.0, -2.0]):
        crystal = build_crystal(
            atoms.cell.array, atoms.positions, atoms.numbers, periodic=SHEET, magnetic_moments=moments
        )
        counts.append((crystal.n_sites, crystal.n_operations))
    assert counts == [(1, 16), (2, 32)]


def test_no_translation_crosses_the_vacuum() -> None:
    """Two sheets half a cell apart are a primitive cell of a crystal, but not of a slab."""
    atoms = sheet(vacuum=5.0)
    second = atoms.copy()
    second.positions[:, 2] += 5.0
    both = atoms + second
    assert crystal_of(both, (True, True, True)).n_sites == 2
    crystal = crystal_of(both)
    assert crystal.n_sites == 4
    assert np.ptp(crystal.positions[:, 2]) == pytest.approx(5.0)
    assert not crystal.site_shift[:, :, 2].any()


def test_a_sheet_across_the_edge_of_its_cell_is_one_piece() -> None:
    atoms = mx2("MoS2", vacuum=8.0)
    atoms.positions[:, 2] -= atoms.positions[0, 2]
    atoms.wrap(pbc=True)
    assert np.ptp(atoms.positions[:, 2]) > 10.0
    crystal = crystal_of(atoms)
    assert crystal.n_operations == 12
    assert np.ptp(crystal.positions[:, 2]) < 4.0
    torus = input_supercell(crystal, (2, 2, 1))
    assert np.ptp(torus.positions[:, 2]) < 4.0


@pytest.mark.parametrize("vacuum", [2.4, 10.0])
def test_cutoffs_and_parameters_do_not_know_the_vacuum(vacuum: float) -> None:
    """A reach of 5 Å passes the images of a sheet that are 4.8 Å apart."""
    crystal, far = crystal_of(sheet(vacuum)), crystal_of(sheet(12.0))
    torus, distant = (input_supercell(each, (4, 4, 1)) for each in (crystal, far))
    assert largest_safe_cutoff(torus) == largest_safe_cutoff(distant)
    for cutoffs in ({2: "full", 3: 2.6}, {2: 4.2, 3: 3.0, 4: {2: 2.6}}):
        counts = [
            build_basis(c, cutoffs, t).n_parameters_per_order for c, t in ((crystal, torus), (far, distant))
        ]
        assert counts[0] == counts[1]
    codes, positions = neighbors(crystal, 0, 5.5)
    assert len(codes) == len(neighbors(far, 0, 5.5)[0])
    assert np.ptp(positions[:, 2]) < 1e-9


def test_a_wire_is_periodic_along_itself() -> None:
    tube = nanotube(4, 0, length=1, vacuum=5.0)
    tube.pbc = True
    crystal = crystal_of(tube, (False, False, True), symprec=1e-3)
    assert crystal.n_sites == len(tube)
    assert crystal.n_operations >= 4
    torus = input_supercell(crystal, (1, 1, 3))
    assert build_basis(crystal, {2: 2.0}, torus).n_parameters > 0
    np.testing.assert_array_equal(crystal.periodic_directions, [False, False, True])
    np.testing.assert_array_equal(crystal.stress_components, [2])


def test_what_is_no_sheet_is_refused() -> None:
    with pytest.raises(DataError, match="no vacuum"):
        crystal_of(bulk("Cu", cubic=True))
    with pytest.raises(DataError, match="no axis is periodic"):
        crystal_of(sheet(), (False, False, False))
    tilted = sheet()
    tilted.cell[2] += [1.0, 0.0, 0.0]
    with pytest.raises(DataError, match="not perpendicular"):
        crystal_of(tilted)
    crystal = crystal_of(sheet())
    for matrix in ((2, 2, 2), [[2, 0, 1], [0, 2, 0], [0, 0, 1]], [[2, 0, 0], [0, 2, 0], [1, 0, 1]]):
        with pytest.raises(BasisError, match="axis 3, which is vacuum"):
            input_supercell(crystal, matrix)


@pytest.mark.parametrize("length", [9.0, 14.0, 40.0])
def test_frames_may_have_another_vacuum(length: float) -> None:
    crystal = crystal_of(sheet(6.0))
    torus = input_supercell(crystal, (3, 3, 1))
    u = 0.05 * np.random.default_rng(1).standard_normal((torus.n_atoms, 3))
    u -= u.mean(axis=0)
    strain = np.diag([0.01, -0.02, 0.0])
    positions = torus.positions @ (np.eye(3) + strain) + u
    cell = torus.lattice @ (np.eye(3) + strain)
    cell[2] = [0.0, 0.0, length]
    moved = positions + np.array([0.0, 0.0, 3.0])
    moved[:, 2] %= length
    match = match_structure(crystal, cell, moved, torus.numbers)
    np.testing.assert_allclose(match.strain, strain, atol=1e-12)
    np.testing.assert_allclose(match.displacements, u, atol=1e-9)
    assert match.stress_factor == pytest.approx(length / 12.0)


def flexural_eigenvalue(basis: ForceConstantBasis, parameters: NDArray[np.float64], q: NDArray[np.float64]):
    """Smallest eigenvalue of the dynamical matrix among motions across the sheet."""
    crystal = basis.crystal
    torus = Torus(crystal, np.diag([12, 12, 1]))
    found = force_constants(basis, parameters, 2, torus)
    first, second = found.clusters.T
    vectors = (torus.positions[second] - torus.positions[first]) @ np.linalg.inv(torus.lattice)
    vectors = (vectors - np.rint(vectors)) @ torus.lattice
    sites = np.stack([first, second]) // torus.n_cells
    matrix = np.zeros((crystal.n_sites, crystal.n_sites), complex)
    np.add.at(matrix, tuple(sites), found.blocks[:, 2, 2] * np.exp(1j * vectors @ q))
    return np.linalg.eigvalsh(matrix)[np.argmin(np.abs(np.linalg.eigvalsh(matrix)))]


@pytest.mark.parametrize("cutoff", ["full", 4.4])
def test_long_waves_across_a_sheet_are_quadratic(cutoff: float | str) -> None:
    """omega ~ q² (eigenvalues ~ q⁴) with the rotational sum rules, omega ~ q without."""
    crystal = crystal_of(sheet())
    torus = input_supercell(crystal, (5, 5, 1))
    for rules, power in ((RULES, 4.0), ((), 2.0)):
        basis = build_basis(crystal, {2: cutoff}, torus, rotational_sum_rules=rules)
        parameters = np.random.default_rng(1).standard_normal(basis.n_parameters)
        for direction in np.array([[1.0, 0.0, 0.0], [np.sqrt(0.5), np.sqrt(0.5), 0.0]]):
            near, far = (flexural_eigenvalue(basis, parameters, k * direction) for k in (0.02, 0.04))
            assert np.log2(abs(far / near)) == pytest.approx(power, abs=0.02)
