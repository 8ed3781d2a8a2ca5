"""The energy of random parameters is invariant under all that leaves the crystal as it is."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from numpy.typing import NDArray

from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.torus import Torus, input_supercell
from mlff_dyn.lattice.wigner_seitz import compatible_operations
from mlff_dyn.model.expansion import Expansion
from tests.lattice.crystals import (
    antiferromagnet,
    barium_titanate,
    quartz,
    rocksalt,
    rounded_rocksalt,
    silicon,
    triclinic,
    wurtzite,
)
from tests.models import Cutoffs, crystal_of

AMPLITUDE = 0.1
CASES: list[tuple[Atoms, object, Cutoffs]] = [
    (silicon(), (1, 1, 1), {2: 4.6, 3: 4.0, 4: 2.5, 5: 2.5, 6: 2.5}),
    (silicon(), (2, 2, 2), {2: "full", 3: 4.0}),
    (bulk("Si"), [[2, 0, 0], [1, 3, 0], [0, 1, 2]], {2: "full", 3: 2.5, 4: {2: 2.5}}),
    (rocksalt(), (1, 1, 1), {2: 4.1, 3: 4.1, 4: 2.9, 5: {2: 2.9}, 6: {2: 2.9}}),
    (wurtzite(), (2, 2, 1), {2: "full", 3: 3.0, 4: 2.0, 5: 2.0, 6: {2: 2.0}}),
    (quartz(), (1, 1, 1), {2: "full", 3: 2.4, 4: 1.7, 5: 1.7, 6: 1.7}),
    (barium_titanate(polar=True), (2, 2, 1), {2: 3.0, 3: 2.9, 4: 2.2, 5: {2: 2.2}, 6: {2: 2.2}}),
    (triclinic(), (1, 2, 1), {2: "full", 3: 2.1, 4: 2.1, 5: 2.1, 6: {2: 2.1}}),
    (silicon(), (1, 1, 1), {2: "full", 3: "full"}),
    (triclinic(), (2, 1, 1), {2: "full", 3: "full", 4: {2: 2.1}}),
    (wurtzite(), (2, 2, 1), {2: "full", 3: "full"}),
    (antiferromagnet(), (1, 1, 1), {2: "full", 3: 3.0, 4: {2: 2.1}}),
]
IDS = [
    "Si8",
    "Si64",
    "Si24 sheared",
    "NaCl",
    "AlN",
    "quartz",
    "BaTiO3",
    "triclinic",
    "Si8 full",
    "triclinic full",
    "AlN full",
    "NiO antiferromagnetic",
]


class Potential:
    """Random parameters of all orders, each order of about the same energy at the test amplitude."""

    def __init__(self, atoms: Atoms, supercell: object, cutoffs: Cutoffs) -> None:
        crystal = crystal_of(atoms)
        self.torus = input_supercell(crystal, supercell)
        self.basis = build_basis(crystal, cutoffs, self.torus if "full" in cutoffs.values() else None)
        generator = np.random.default_rng(7)
        scale = AMPLITUDE ** -self.basis.parameter_orders.astype(float)
        self.supercell = Expansion(self.basis).on(self.torus)
        self.kernel = self.supercell.kernel(scale * generator.standard_normal(self.basis.n_parameters))
        self.displacements = AMPLITUDE * generator.standard_normal((self.torus.n_atoms, 3))

    def energy(self, displacements: NDArray[np.float64]) -> float:
        return float(self.kernel.energy_forces(displacements)[0])

    def forces(self, displacements: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(self.kernel.energy_forces(displacements)[1])


@pytest.fixture(scope="module", params=CASES, ids=IDS)
def potential(request: pytest.FixtureRequest) -> Potential:
    return Potential(*request.param)


def images(torus: Torus, operation: int) -> NDArray[np.int64]:
    """Atom of the torus on which each atom lands under a space-group operation."""
    crystal = torus.crystal
    sites, cells = np.divmod(np.arange(torus.n_atoms), torus.n_cells)
    moved = torus.offsets[cells] @ crystal.rotations[operation].T + crystal.site_shift[operation, sites]
    return np.asarray(crystal.site_map[operation, sites] * torus.n_cells + torus.cell_index(moved))


def test_space_group(potential: Potential) -> None:
    """Rotating the displacements with their atoms keeps the energy and rotates the forces."""
    torus, u = potential.torus, potential.displacements
    forces = potential.forces(u)
    operations = compatible_operations(torus)
    for operation in operations:
        rotation = torus.crystal.cartesian_rotations[operation]
        target = images(torus, int(operation))
        assert sorted(target) == list(range(torus.n_atoms))
        rotated = np.empty_like(u)
        rotated[target] = u @ rotation.T
        assert potential.energy(rotated) == pytest.approx(potential.energy(u), rel=1e-11)
        scale = np.abs(forces).max()
        np.testing.assert_allclose(potential.forces(rotated)[target], forces @ rotation.T, atol=1e-11 * scale)


def test_operations_are_those_that_keep_the_supercell(potential: Potential) -> None:
    """All of the space group for a cubic supercell of a cubic crystal, fewer for a sheared one."""
    torus = potential.torus
    crystal = torus.crystal
    n_kept = len(compatible_operations(torus))
    kept = sum(
        all(_on_supercell(torus, crystal.rotations[g] @ row) for row in torus.matrix)
        for g in range(crystal.n_operations)
    )
    assert n_kept == kept


def _on_supercell(torus: Torus, offset: NDArray[np.int64]) -> bool:
    return int(torus.cell_index(offset)) == int(torus.cell_index(np.zeros(3, int)))


def test_lattice_translations(potential: Potential) -> None:
    torus, u = potential.torus, potential.displacements
    sites, cells = np.divmod(np.arange(torus.n_atoms), torus.n_cells)
    forces = potential.forces(u)
    for offset in ((1, 0, 0), (0, 1, 0), (0, 0, 1), (2, -1, 3)):
        target = sites * torus.n_cells + torus.cell_index(torus.offsets[cells] + offset)
        moved = np.empty_like(u)
        moved[target] = u
        assert potential.energy(moved) == pytest.approx(potential.energy(u), rel=1e-12)
        np.testing.assert_allclose(potential.forces(moved)[target], forces, atol=1e-12 * np.abs(forces).max())


def test_rigid_translation(potential: Potential) -> None:
    """The acoustic sum rule at every order: no energy, no force, and forces that sum to zero."""
    u = potential.displacements
    forces = potential.forces(u)
    scale = np.abs(forces).max()
    for shift in AMPLITUDE * np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [-0.5, 0.3, 0.8]]):
        assert potential.energy(u + shift) == pytest.approx(potential.energy(u), rel=1e-11)
        np.testing.assert_allclose(potential.forces(u + shift), forces, atol=1e-11 * scale)
        assert abs(potential.energy(np.zeros_like(u) + shift)) < 1e-11 * abs(potential.energy(u))
    np.testing.assert_allclose(forces.sum(axis=0), 0.0, atol=1e-11 * scale)


def test_each_order_obeys_the_sum_rule_alone(potential: Potential) -> None:
    """Rows of the design matrix of a rigidly shifted crystal are those of the crystal, column by column."""
    u = potential.displacements
    rows, energy_row = potential.supercell.rows(u)
    shifted, shifted_energy = potential.supercell.rows(u + np.array([0.06, -0.02, 0.03]))
    scale = AMPLITUDE ** (potential.basis.parameter_orders - 1.0)
    assert np.abs((shifted - rows) / scale).max() < 1e-11
    assert np.abs((shifted_energy - energy_row) / (AMPLITUDE * scale * len(u))).max() < 1e-11


def test_energy_is_homogeneous(potential: Potential) -> None:
    """The part of order n grows with the n-th power of the displacements."""
    u = potential.displacements
    _, energy_row = potential.supercell.rows(u)
    _, doubled = potential.supercell.rows(2.0 * u)
    orders = potential.basis.parameter_orders
    scale = AMPLITUDE**orders * len(u)
    np.testing.assert_allclose(doubled / scale, 2.0**orders * energy_row / scale, atol=1e-11)


@pytest.mark.parametrize("atoms", [rocksalt(), rounded_rocksalt(), quartz(), wurtzite()])
def test_full_order_two_on_a_larger_supercell(atoms: Atoms) -> None:
    """Pairs on the boundary of the training cell are shared among all their images, so symmetry survives.

    Rounding of the positions must not decide which image of a pair is the closest.
    """
    crystal = crystal_of(atoms)
    basis = build_basis(crystal, {2: "full"}, input_supercell(crystal, (1, 1, 1)))
    torus = input_supercell(crystal, (2, 2, 2))
    generator = np.random.default_rng(1)
    kernel = Expansion(basis).on(torus).kernel(generator.standard_normal(basis.n_parameters))
    u = generator.standard_normal((torus.n_atoms, 3))
    energy, _ = kernel.energy_forces(u)
    for operation in compatible_operations(input_supercell(crystal, (1, 1, 1))):
        rotated = np.empty_like(u)
        rotated[images(torus, int(operation))] = u @ crystal.cartesian_rotations[operation].T
        assert kernel.energy_forces(rotated)[0] == pytest.approx(energy, rel=1e-11)
    assert kernel.energy_forces(u + np.array([0.5, -0.2, 0.1]))[0] == pytest.approx(energy, rel=1e-11)


@pytest.mark.parametrize(
    ("atoms", "training", "larger", "limit"),
    [
        (silicon(), (1, 1, 1), (2, 2, 2), 1e-11),
        (barium_titanate(polar=False), (2, 1, 1), (3, 2, 1), 1e-11),
        (rocksalt(), (2, 2, 2), (3, 2, 2), 1e-11),
        (wurtzite(), (2, 2, 1), (3, 2, 2), 0.05),
        (triclinic(), (2, 1, 1), (3, 2, 2), 0.1),
    ],
    ids=["Si", "BaTiO3", "NaCl", "AlN", "triclinic"],
)
def test_full_order_three_on_another_supercell(
    atoms: Atoms, training: tuple[int, int, int], larger: tuple[int, int, int], limit: float
) -> None:
    """Symmetry survives; rigid translations cost nothing, or little in crystals without inversion."""
    crystal = crystal_of(atoms)
    trained = input_supercell(crystal, training)
    basis = build_basis(crystal, {2: "full", 3: "full"}, trained)
    torus = input_supercell(crystal, larger)
    generator = np.random.default_rng(1)
    parameters = generator.standard_normal(basis.n_parameters) * (basis.parameter_orders == 3)
    kernel = Expansion(basis).on(torus).kernel(parameters)
    u = generator.standard_normal((torus.n_atoms, 3))
    energy, forces = kernel.energy_forces(u)
    size = np.sqrt(np.mean(forces**2))
    for operation in np.intersect1d(compatible_operations(trained), compatible_operations(torus)):
        rotated = np.empty_like(u)
        rotated[images(torus, int(operation))] = u @ crystal.cartesian_rotations[operation].T
        assert kernel.energy_forces(rotated)[0] == pytest.approx(energy, abs=1e-11 * size * torus.n_atoms)
    shift = np.array([0.5, -0.2, 0.1])
    assert np.sqrt(np.mean((kernel.energy_forces(u + shift)[1] - forces) ** 2)) < limit * size
    at_rest, rigid = kernel.energy_forces(np.zeros_like(u) + shift)
    assert abs(at_rest) < 1e-11 * size
    assert np.abs(rigid).max() < 1e-11 * size
