"""Force constants of the local part: derivatives of the forces at rest, and the laws that follow."""

from collections.abc import Iterator
from itertools import permutations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from numpy.polynomial import chebyshev
from phonopy import Phonopy

from mlff_dyn.formats.phonopy_cells import compact_array, phonopy_cells
from mlff_dyn.kernels.local_tables import LocalTables, LocalTerms
from mlff_dyn.kernels.reference.local_energy import local_energy_forces
from mlff_dyn.lattice.torus import Torus, input_supercell
from mlff_dyn.local.basis import LocalSettings, build_local_basis
from mlff_dyn.model.force_constants import ForceConstants
from mlff_dyn.model.local_expansion import local_basis
from mlff_dyn.model.local_force_constants import local_force_constants
from tests.models import crystal_of

ZINC_SULFIDE = bulk("ZnS", "wurtzite", a=3.8, c=6.2)
SKEW = [[2, 1, 0], [0, 2, 1], [-1, 0, 1]]
REACH = 0.014
"""Displacements (in units of their direction, Å) over which forces are polynomials."""


def low_symmetry() -> Atoms:
    atoms = bulk("NaCl", "rocksalt", a=5.2)
    atoms.set_cell(
        atoms.cell.array @ [[1.0, 0.05, 0.0], [0.0, 0.96, 0.1], [0.02, 0.0, 1.1]], scale_atoms=True
    )
    atoms.positions[1] += [0.2, -0.1, 0.15]
    return atoms


def torus_and_tables(atoms: Atoms, supercell: object, cutoff: float = 4.3) -> tuple[Torus, LocalTables]:
    crystal = crystal_of(atoms)
    return input_supercell(crystal, supercell), local_basis(crystal, LocalSettings(cutoff, 3, 2)).tables


def random_values(tables: LocalTables) -> np.ndarray:
    return np.random.default_rng(5).standard_normal(tables.n_functions)


def constants_of(tables: LocalTables, order: int, torus: Torus) -> ForceConstants:
    return ForceConstants(order, torus, *local_force_constants(tables, random_values(tables), order, torus))


def full_array(tables: LocalTables, order: int, torus: Torus) -> np.ndarray:
    everything = np.arange(torus.n_atoms)
    return constants_of(tables, order, torus).dense(everything, everything)


def derivatives_of_forces(tables: LocalTables, torus: Torus, direction: np.ndarray) -> Iterator[np.ndarray]:
    """Derivatives 1, 2 and 3 of the forces along a direction at rest, by a polynomial through them."""
    terms = LocalTerms(tables, random_values(tables), torus.atom_indices(tables.slots), np.zeros((3, 3)))
    nodes = chebyshev.chebpts1(13)
    forces = [local_energy_forces(terms, REACH * node * direction)[1].ravel() for node in nodes]
    polynomial = np.linalg.solve(chebyshev.chebvander(nodes, len(nodes) - 1), forces)
    for order in (1, 2, 3):
        yield chebyshev.chebval(0.0, chebyshev.chebder(polynomial, order)) / REACH**order


@pytest.mark.parametrize(
    ("atoms", "supercell"),
    [
        (ZINC_SULFIDE, (1, 1, 1)),
        (ZINC_SULFIDE, (2, 1, 1)),
        (low_symmetry(), SKEW),
        (bulk("Cu", "fcc", a=3.6), SKEW),
    ],
    ids=["images of itself", "images of one another", "no symmetry, skew", "one site, skew"],
)
def test_they_are_derivatives_of_the_forces(atoms: Atoms, supercell: object) -> None:
    torus, tables = torus_and_tables(atoms, supercell)
    u = np.random.default_rng(3).standard_normal((torus.n_atoms, 3))
    for order, found in zip((2, 3, 4), derivatives_of_forces(tables, torus, u), strict=True):
        phi = full_array(tables, order, torus)
        along = np.moveaxis(phi, range(order), range(0, 2 * order, 2)).reshape(-1, *(u.size,) * (order - 1))
        for _ in range(1, order):
            along = along @ u.ravel()
        scale = np.abs(phi).max() * np.linalg.norm(u) ** (order - 1)
        np.testing.assert_allclose(-along, found, rtol=0.0, atol=1e-7 * scale)


@pytest.mark.parametrize("order", [2, 3, 4])
def test_they_are_symmetric_and_their_sums_vanish(order: int) -> None:
    torus, tables = torus_and_tables(low_symmetry(), SKEW)
    phi = full_array(tables, order, torus)
    size = np.abs(phi).max()
    for arrangement in permutations(range(order)):
        exchanged = phi.transpose(*arrangement, *(order + k for k in arrangement))
        np.testing.assert_allclose(exchanged, phi, rtol=0.0, atol=1e-13 * size)
    for atom_axis in range(order):
        np.testing.assert_allclose(phi.sum(axis=atom_axis), 0.0, atol=1e-12 * size)


@pytest.mark.parametrize(
    ("atoms", "supercell"),
    [(ZINC_SULFIDE, (2, 2, 1)), (bulk("NaCl", "rocksalt", a=5.6, cubic=True), (1, 1, 1))],
)
def test_order_2_has_the_symmetry_of_the_crystal(atoms: Atoms, supercell: tuple[int, int, int]) -> None:
    """Averaging over the space group, as phonopy does it, leaves them as they are."""
    torus, tables = torus_and_tables(atoms, supercell)
    phonon = Phonopy(**phonopy_cells(torus), log_level=0)
    everything = np.arange(torus.n_atoms)
    before = compact_array(constants_of(tables, 2, torus), phonon.supercell, everything)
    phonon.force_constants = before.copy()
    phonon.symmetrize_force_constants_by_space_group()
    np.testing.assert_allclose(phonon.force_constants, before, atol=1e-11 * np.abs(before).max())


def test_a_turn_of_a_crystal_without_forces_costs_nothing() -> None:
    """Sums of Phi_ab(i, k) R_c(k) - R_c(i) are symmetric in b and c: turned sites feel no force."""
    torus, tables = torus_and_tables(bulk("ZnS", "zincblende", a=5.4, cubic=True), (3, 3, 3), cutoff=4.0)
    constants = constants_of(tables, 2, torus)
    first, second = torus.positions[constants.clusters].transpose(1, 0, 2)
    relative = (second - first) @ np.linalg.inv(torus.lattice)
    steps = (relative - np.rint(relative)) @ torus.lattice
    sums = np.zeros((torus.n_atoms, 3, 3, 3))
    np.add.at(sums, constants.clusters[:, 0], constants.blocks[..., None] * steps[:, None, None])
    size = np.abs(constants.blocks).max() * tables.cutoff
    assert np.abs(sums).max() > 1e-3 * size
    np.testing.assert_allclose(sums, sums.swapaxes(2, 3), rtol=0.0, atol=1e-12 * size)


def test_neighbors_beyond_the_cutoff_at_rest_add_nothing() -> None:
    crystal = crystal_of(ZINC_SULFIDE)
    torus = input_supercell(crystal, (2, 2, 1))
    found = []
    for reach in (0.0, 0.5):
        basis = build_local_basis(
            crystal.lattice,
            crystal.positions,
            crystal.numbers,
            LocalSettings(4.3, 2, 1),
            largest_displacement=reach,
        )
        found.append(constants_of(basis.tables, 3, torus))
    np.testing.assert_array_equal(found[0].clusters, found[1].clusters)
    np.testing.assert_allclose(found[0].blocks, found[1].blocks, rtol=0.0, atol=1e-12)
