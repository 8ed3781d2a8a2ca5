"""The crystal and its space group, from whatever cell and atom order the user gives."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from mlff_dyn.errors import DataError
from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.crystal import Crystal, build_crystal
from tests.lattice.crystals import (
    barium_titanate,
    monoclinic,
    quartz,
    silicon,
    skewed,
    triclinic,
    wurtzite,
)
from tests.models import crystal_of

CRYSTALS = [
    (silicon(), 2, 48, 227),
    (bulk("Cu", "fcc", a=3.6, cubic=True), 1, 48, 225),
    (wurtzite(), 4, 12, 186),
    (quartz(), 9, 6, 152),
    (barium_titanate(polar=True), 5, 8, 99),
    (monoclinic(), 40, 4, 14),
    (triclinic(), 3, 1, 1),
]


def distances(crystal: Crystal) -> np.ndarray:
    """Sorted distances of site 0 to the atoms of a few cells."""
    offsets = np.array(list(np.ndindex(7, 7, 7))) - 3
    images = (crystal.positions[:, None] + offsets @ crystal.lattice).reshape(-1, 3)
    return np.sort(np.linalg.norm(images - crystal.positions[0], axis=1))[:60]


@pytest.mark.parametrize(("atoms", "n_sites", "n_operations", "number"), CRYSTALS)
def test_known_space_groups(atoms: Atoms, n_sites: int, n_operations: int, number: int) -> None:
    crystal = crystal_of(atoms)
    assert (crystal.n_sites, crystal.n_operations) == (n_sites, n_operations)
    assert f"({number})" in crystal.space_group


@pytest.mark.parametrize(("atoms", "n_sites", "n_operations", "number"), CRYSTALS)
def test_operations_map_atoms_to_atoms(atoms: Atoms, n_sites: int, n_operations: int, number: int) -> None:
    """Integer maps and Cartesian rotations are one isometry, and the rotations form a group."""
    crystal = crystal_of(atoms)
    offsets = np.random.default_rng(1).integers(-3, 4, size=(20, 3))
    sites = np.arange(20) % crystal.n_sites
    before = crystal.positions[sites] + offsets @ crystal.lattice
    products = {r.tobytes() for r in crystal.rotations}
    for g in range(crystal.n_operations):
        moved = offsets @ crystal.rotations[g].T + crystal.site_shift[g, sites]
        target = crystal.site_map[g, sites]
        np.testing.assert_array_equal(crystal.numbers[target], crystal.numbers[sites])
        after = crystal.positions[target] + moved @ crystal.lattice
        expected = (before - before[0]) @ crystal.cartesian_rotations[g].T
        np.testing.assert_allclose(after - after[0], expected, atol=1e-4)
        assert sorted(crystal.site_map[g]) == list(range(n_sites))
        for other in crystal.rotations:
            assert (crystal.rotations[g] @ other).tobytes() in products
    identity = crystal.cartesian_rotations @ crystal.cartesian_rotations.transpose(0, 2, 1)
    np.testing.assert_allclose(identity, np.broadcast_to(np.eye(3), identity.shape), atol=1e-13)


@pytest.mark.parametrize("atoms", [silicon(), wurtzite(), quartz(), triclinic()])
def test_the_input_cell_is_kept(atoms: Atoms) -> None:
    crystal = crystal_of(atoms)
    np.testing.assert_allclose(crystal.input_matrix @ crystal.lattice, atoms.cell.array, atol=1e-10)
    assert crystal.n_sites * abs(round(np.linalg.det(crystal.input_matrix))) == len(atoms)


def variants() -> list[Atoms]:
    """One crystal: shuffled, shifted, wrapped differently, enlarged, in a skewed cell."""
    atoms = quartz()
    generator = np.random.default_rng(2)
    shuffled = atoms[generator.permutation(len(atoms))]
    shifted = atoms.copy()
    shifted.positions += [0.3, -1.2, 2.2]
    unwrapped = atoms.copy()
    unwrapped.positions += generator.integers(-6, 7, size=(len(atoms), 3)) @ atoms.cell.array
    return [shuffled, shifted, unwrapped, atoms * (2, 1, 1), skewed(atoms)]


@pytest.mark.parametrize("atoms", variants(), ids=["shuffled", "shifted", "unwrapped", "enlarged", "skewed"])
def test_the_crystal_does_not_depend_on_how_it_is_given(atoms: Atoms) -> None:
    first, second = crystal_of(quartz()), crystal_of(atoms)
    assert second.space_group == first.space_group
    assert second.n_sites == first.n_sites
    assert second.nearest_neighbor_distance == pytest.approx(first.nearest_neighbor_distance, abs=1e-9)
    cutoffs = {2: 3.4, 3: 2.4}
    assert (
        build_basis(second, cutoffs).n_parameters_per_order
        == build_basis(first, cutoffs).n_parameters_per_order
    )


def test_the_nearest_neighbor() -> None:
    assert crystal_of(silicon()).nearest_neighbor_distance == pytest.approx(5.43 * np.sqrt(3) / 4)
    assert crystal_of(bulk("Cu", a=3.6)).nearest_neighbor_distance == pytest.approx(3.6 / np.sqrt(2))


def test_masses_are_those_given() -> None:
    atoms = silicon()
    crystal = build_crystal(atoms.cell.array, atoms.positions, atoms.numbers, np.full(8, 30.0))
    assert crystal.masses.tolist() == [30.0, 30.0]
    assert build_crystal(atoms.cell.array, atoms.positions, atoms.numbers).masses == pytest.approx(
        28.085, abs=1e-2
    )


def test_symprec_decides_what_is_symmetric() -> None:
    atoms = silicon()
    atoms.positions[0] += [0.001, 0.0, 0.0]
    strict = build_crystal(atoms.cell.array, atoms.positions, atoms.numbers, symprec=1e-5)
    loose = build_crystal(atoms.cell.array, atoms.positions, atoms.numbers, symprec=1e-2)
    assert strict.n_sites == 8
    assert (loose.n_sites, loose.n_operations) == (2, 48)


def test_overlapping_atoms_are_refused() -> None:
    atoms = silicon()
    atoms.positions[1] = atoms.positions[0]
    with pytest.raises(DataError):
        crystal_of(atoms)
