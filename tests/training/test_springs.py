"""First structures that move as a crystal of springs does."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, graphene

from mlff_dyn.lattice.bonds import bonded_atoms
from mlff_dyn.lattice.torus import Torus, input_supercell
from mlff_dyn.training.initial import rattled_displacements
from mlff_dyn.training.springs import Springs, spring_displacements
from tests.models import crystal_of


def torus_of(kind: str) -> Torus:
    if kind == "sheet":
        layer = graphene(vacuum=8.0)
        layer.pbc = (True, True, False)
        return input_supercell(crystal_of(layer), (4, 4, 1))
    if kind == "molecules":
        one = Atoms("N2", positions=[[0.0, 0.0, 0.0], [0.6, 0.6, 0.6]], cell=[4.0, 4.2, 4.4], pbc=True)
        return input_supercell(crystal_of(one), (2, 2, 2))
    cells = {"zincblende": bulk("BAs", "zincblende", 4.8, cubic=True), "fcc": bulk("Cu", cubic=True)}
    return input_supercell(crystal_of(cells[kind]), (2, 2, 2))


@pytest.mark.parametrize("kind", ["zincblende", "fcc", "sheet", "molecules"])
def test_structures_have_the_size_asked_for_and_no_rigid_shift(kind: str) -> None:
    """The same for the same seed alone."""
    torus = torus_of(kind)
    u, again, other = (spring_displacements(torus, 0.02, (seed,)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(u, again)
    assert np.abs(u - other).max() > 0.01
    np.testing.assert_allclose(u.mean(axis=0), 0.0, atol=1e-12)
    assert np.sqrt(np.mean(u**2)) == pytest.approx(0.02)


@pytest.mark.parametrize(("kind", "most"), [("zincblende", 0.75), ("fcc", 1.0), ("sheet", 0.55)])
def test_bonds_are_stretched_less_than_by_independent_displacements(kind: str, most: float) -> None:
    """Much less where there are few of them."""
    torus = torus_of(kind)
    by_springs, independent = (
        np.mean([stretch(torus, make((seed,))) ** 2 for seed in range(20)])
        for make in (
            lambda seed: spring_displacements(torus, 0.02, seed),
            lambda seed: rattled_displacements(torus.n_atoms, 0.02, seed),
        )
    )
    assert np.sqrt(by_springs / independent) < most


def stretch(torus: Torus, u: np.ndarray) -> float:
    """Root mean square of the elongations of bonds."""
    (pairs,) = bonded_atoms(torus).pieces()
    directions = pairs.vectors / np.linalg.norm(pairs.vectors, axis=1, keepdims=True)
    elongations = np.einsum("pi,pi->p", u[pairs.second] - u[pairs.first], directions)
    return float(np.sqrt(np.mean(elongations**2)))


def test_molecules_move_against_each_other() -> None:
    """More than their atoms do."""
    torus = torus_of("molecules")
    u = spring_displacements(torus, 0.02, (1,)).reshape(2, torus.n_cells, 3)
    middles = u.mean(axis=0)
    assert np.sqrt(np.mean(middles**2)) > 0.01
    assert stretch(torus, u.reshape(-1, 3)) < 0.5 * np.sqrt(np.mean(middles**2))


def test_the_covariance_is_that_of_thermal_motion() -> None:
    """Mean squares of many draws against the inverse of the stiffness matrix, put up from its pairs."""
    torus, springs = torus_of("fcc"), Springs(across=0.3, decay=4.0, reach=1.1)
    stiffness = np.zeros((torus.n_atoms, 3, torus.n_atoms, 3))
    lattice, positions = torus.lattice, torus.positions
    for i in range(torus.n_atoms):
        difference = positions - positions[i]
        difference -= np.round(difference @ np.linalg.inv(lattice)) @ lattice
        distances = np.linalg.norm(difference, axis=1)
        for j in np.flatnonzero((distances > 0.1) & (distances < 2.6)):
            along = np.outer(difference[j], difference[j]) / distances[j] ** 2
            block = along + 0.3 * (np.eye(3) - along)
            stiffness[i, :, i] += block
            stiffness[i, :, j] -= block
    size = 3 * torus.n_atoms
    covariance = np.linalg.pinv(stiffness.reshape(size, size), rcond=1e-9, hermitian=True)
    drawn = np.array([spring_displacements(torus, 1.0, (k,), springs).ravel() for k in range(2000)])
    found = drawn.T @ drawn / len(drawn)
    scale = np.trace(found) / np.trace(covariance)
    spread = scale * np.sqrt((np.outer(*2 * [np.diag(covariance)]) + covariance**2) / len(drawn))
    z = (found - scale * covariance) / spread
    assert np.sqrt(np.mean(z**2)) == pytest.approx(1.0, abs=0.1)
    assert np.abs(z).max() < 6.0
