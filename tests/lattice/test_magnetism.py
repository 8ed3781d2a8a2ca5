"""Moments belong to the crystal: they split species, and reversing all of them is a symmetry."""

import numpy as np
import pytest
import spglib
from ase import Atoms
from ase.build import bulk

from mlff_dyn.errors import DataError
from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.crystal import build_crystal
from mlff_dyn.lattice.magnetism import another_order, collinear_moments
from mlff_dyn.lattice.matching import match_structure
from mlff_dyn.lattice.torus import input_supercell
from tests.lattice.crystals import antiferromagnet, rocksalt
from tests.models import crystal_of


def iron(moments: list[float]) -> Atoms:
    atoms = bulk("Fe", "bcc", a=2.87, cubic=True) * (2, 2, 2)
    atoms.set_initial_magnetic_moments(np.tile(moments, 8))
    return atoms


def chrome_layers() -> Atoms:
    """Planes of moments up, up, down, down: a larger period than that of the sublattices."""
    atoms = bulk("Cr", "bcc", a=2.88, cubic=True) * (2, 2, 4)
    layer = np.rint(atoms.positions[:, 2] / 1.44).astype(int) % 4
    atoms.set_initial_magnetic_moments(np.array([1.0, 1.0, -1.0, -1.0])[layer])
    return atoms


def count_by_characters(atoms: Atoms) -> int:
    """Number of harmonic force constants of a supercell: invariant symmetric forms of the displacements.

    Displacements modulo rigid shifts are a representation D of the group G of all operations of the cell, and
    there are sum_g (tr D(g)^2 + tr D(g^2)) / 2 |G| such forms.
    """
    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    moments = atoms.get_initial_magnetic_moments()
    group = spglib.get_magnetic_symmetry((*cell, moments), symprec=1e-5)
    total, here = 0.0, np.arange(len(atoms))
    for rotation, translation in zip(group["rotations"], group["translations"], strict=True):
        difference = (cell[1] @ rotation.T + translation)[:, None] - cell[1]
        images = np.linalg.norm(difference - np.rint(difference), axis=-1).argmin(axis=1)
        once = (np.sum(images == here) - 1) * np.trace(rotation)
        twice = (np.sum(images[images] == here) - 1) * np.trace(rotation @ rotation)
        total += (once**2 + twice) / 2
    return round(total / len(group["rotations"]))


@pytest.mark.parametrize(
    ("atoms", "n_sites", "n_operations", "space_group"),
    [
        (antiferromagnet(), 4, 24, "R-3m (166)"),
        (iron([2.2, -2.2]), 2, 96, "Pm-3m (221)"),
        (iron([2.2, -1.1]), 2, 48, "Pm-3m (221)"),
        (iron([2.2, 2.2]), 1, 48, "Im-3m (229)"),
        (chrome_layers(), 4, 32, "P4/nmm (129)"),
    ],
    ids=["NiO", "antiferromagnetic", "ferrimagnetic", "ferromagnetic", "layers"],
)
def test_symmetry_and_number_of_parameters(
    atoms: Atoms, n_sites: int, n_operations: int, space_group: str
) -> None:
    crystal = crystal_of(atoms)
    assert (crystal.n_sites, crystal.n_operations) == (n_sites, n_operations)
    assert crystal.space_group == space_group
    assert crystal.magnetic_moments is not None
    turned = crystal.magnetic_moments[crystal.site_map]
    signs = np.sign(turned @ crystal.magnetic_moments)
    np.testing.assert_array_equal(turned, signs[:, None] * crystal.magnetic_moments)
    torus = input_supercell(crystal, [1, 1, 1])
    match = match_structure(crystal, atoms.cell.array, atoms.positions, atoms.numbers)
    assert torus.magnetic_moments is not None
    np.testing.assert_array_equal(torus.magnetic_moments, atoms.get_initial_magnetic_moments()[match.atoms])
    counts = build_basis(crystal, {2: "full"}, torus).n_parameters_per_order
    assert counts[2] == count_by_characters(atoms)


def test_parallel_moments_change_nothing_but_themselves() -> None:
    atoms = iron([2.2, 2.2])
    with_moments = crystal_of(atoms)
    del atoms.arrays["initial_magmoms"]
    without = crystal_of(atoms)
    for name in ("lattice", "positions", "numbers", "rotations", "site_map", "site_shift"):
        np.testing.assert_array_equal(getattr(with_moments, name), getattr(without, name))
    assert without.magnetic_moments is None


def test_moments_of_about_one_size_are_one_species() -> None:
    """Moments of an output scatter and induce small ones elsewhere; larger differences are other species."""
    atoms = antiferromagnet()
    generator = np.random.default_rng(3)
    exact = crystal_of(atoms)
    moments = atoms.get_initial_magnetic_moments() + 0.02 * generator.standard_normal(len(atoms))
    atoms.set_initial_magnetic_moments(moments)
    noisy = crystal_of(atoms)
    np.testing.assert_array_equal(noisy.site_map, exact.site_map)
    assert noisy.magnetic_moments is not None
    np.testing.assert_allclose(np.abs(noisy.magnetic_moments[noisy.numbers == 28]), 2.0, atol=0.02)
    assert not noisy.magnetic_moments[noisy.numbers == 8].any()
    atoms.arrays["initial_magmoms"][moments > 1.0] += 0.5
    assert crystal_of(atoms).n_operations == exact.n_operations // 2


def test_vectors_along_one_axis_are_collinear() -> None:
    axis = np.array([1.0, 1.0, 0.0]) / np.sqrt(2)
    numbers = np.array([2.0, -2.0, 0.0])
    np.testing.assert_allclose(np.abs(collinear_moments(numbers[:, None] * axis)), np.abs(numbers))
    with pytest.raises(DataError, match="not collinear"):
        collinear_moments(np.eye(3))
    with pytest.raises(DataError, match="not a finite number"):
        collinear_moments([1.0, np.nan])


def shuffled(atoms: Atoms, shift: list[float], seed: int = 1) -> tuple[Atoms, np.ndarray]:
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(atoms))
    moved = atoms[order]
    moved.positions += 0.05 * generator.standard_normal(moved.positions.shape) + shift
    return moved, order


@pytest.mark.parametrize("shift", [[0.0, 0.0, 0.0], [0.3, -0.2, 0.5], [0.0, 2.09, 2.09], [2.09, 2.09, 4.18]])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_atoms_go_to_their_sublattice(shift: list[float], sign: float) -> None:
    """Reversed moments are those of the same crystal, shifted by a translation between the sublattices."""
    atoms = antiferromagnet()
    crystal = crystal_of(atoms)
    moved, _ = shuffled(atoms, shift)
    moments = sign * 0.8 * moved.get_initial_magnetic_moments()
    match = match_structure(crystal, moved.cell.array, moved.positions, moved.numbers, moments)
    reference = match.torus.magnetic_moments
    assert reference is not None
    signs = np.sign(moments[match.atoms] * reference)[reference != 0.0]
    assert abs(signs.sum()) == len(signs)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (np.abs, "Ni atom"),
        (lambda m: 0.0 * m, "0.00 Bohr magnetons"),
        (lambda m: np.where(np.arange(len(m)) == 5, -m, m), "Ni atom"),
        (lambda m: np.where(m == 0.0, 1.0, m), "O atom"),
    ],
    ids=["ferromagnetic", "without", "one flipped", "oxygen"],
)
def test_frames_of_another_order_are_refused(change: object, reason: str) -> None:
    atoms = antiferromagnet()
    metal = atoms[np.argsort(-atoms.numbers, kind="stable")]
    crystal = crystal_of(metal)
    moments = change(metal.get_initial_magnetic_moments())
    with pytest.raises(DataError, match=f"magnetic order is not that of the reference.*{reason}"):
        match_structure(crystal, metal.cell.array, metal.positions, metal.numbers, moments)


def test_another_domain_is_refused() -> None:
    """The same atoms with planes of moments along another diagonal."""
    atoms = antiferromagnet()
    planes = np.rint((atoms.positions @ [1, 1, -1]) / 4.18).astype(int)
    moments = np.where(atoms.numbers == 28, 2.0 * (-1.0) ** planes, 0.0)
    with pytest.raises(DataError, match="magnetic order"):
        match_structure(crystal_of(atoms), atoms.cell.array, atoms.positions, atoms.numbers, moments)


def test_antiparallel_frames_of_a_crystal_without_moments_are_refused() -> None:
    atoms = rocksalt()
    crystal = crystal_of(atoms)
    parallel, antiparallel = np.where(atoms.numbers == 11, 2.0, 0.0), np.zeros(len(atoms))
    antiparallel[np.flatnonzero(atoms.numbers == 11)] = [1.5, -1.5, 1.5, -1.5]
    match_structure(crystal, atoms.cell.array, atoms.positions, atoms.numbers, parallel)
    with pytest.raises(DataError, match=r"from -1.50 to 1.50 .* the reference structure has none"):
        match_structure(crystal, atoms.cell.array, atoms.positions, atoms.numbers, antiparallel)


def test_sizes_are_compared_roughly() -> None:
    numbers = np.array([28, 28, 8])
    reference = np.array([2.0, -2.0, 0.0])
    assert another_order(numbers, reference, np.array([1.1, -1.2, 0.2])) is None
    assert another_order(numbers, reference, np.array([-1.1, 1.2, -0.2])) is None
    assert "Ni atom 2 has a moment of -0.50" in str(
        another_order(numbers, reference, np.array([1.6, -0.5, 0.0]))
    )


def test_moments_of_the_wrong_kind_do_not_pass() -> None:
    atoms = rocksalt()
    moments = np.zeros((len(atoms), 3))
    moments[0, 0] = moments[2, 1] = 1.0
    with pytest.raises(DataError, match="not collinear"):
        build_crystal(atoms.cell.array, atoms.positions, atoms.numbers, magnetic_moments=moments)
