"""The ASE calculator: atom order, periodic images, supercells, and structures it must refuse."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress
from ase.md.verlet import VelocityVerlet

from mlff_dyn.errors import DataError
from mlff_dyn.model.calculator import ForceFieldCalculator
from mlff_dyn.model.force_field import ForceField
from mlff_dyn.workflows.snapshots import displaced_atoms
from tests.lattice.crystals import antiferromagnet
from tests.models import random_force_field


@pytest.fixture(scope="module")
def force_field() -> ForceField:
    atoms = bulk("ZnS", "wurtzite", a=3.8, c=6.2)
    return random_force_field(atoms, (2, 2, 1), {2: 2.9, 3: 2.9, 4: {2: 2.9}})[0]


def structure(supercell: tuple[int, int, int], seed: int = 1) -> Atoms:
    atoms = bulk("ZnS", "wurtzite", a=3.8, c=6.2) * supercell
    atoms.positions += 0.05 * np.random.default_rng(seed).standard_normal(atoms.positions.shape)
    return atoms


def evaluate(force_field: ForceField, atoms: Atoms) -> tuple[float, np.ndarray]:
    atoms = atoms.copy()
    atoms.calc = ForceFieldCalculator(force_field)
    return float(atoms.get_potential_energy()), atoms.get_forces()


def test_it_agrees_with_the_force_field(force_field: ForceField) -> None:
    from mlff_dyn.lattice.torus import input_supercell

    torus = input_supercell(force_field.basis.crystal, (2, 2, 1))
    u = 0.05 * np.random.default_rng(2).standard_normal((torus.n_atoms, 3))
    energy, forces = evaluate(force_field, displaced_atoms(torus, u))
    expected_energy, expected_forces = force_field.on(torus).energy_forces(u)
    assert energy == pytest.approx(expected_energy, rel=1e-10)
    np.testing.assert_allclose(forces, expected_forces, atol=1e-9)


def test_atoms_in_any_order(force_field: ForceField) -> None:
    atoms = structure((2, 2, 1))
    order = np.random.default_rng(3).permutation(len(atoms))
    energy, forces = evaluate(force_field, atoms)
    shuffled_energy, shuffled_forces = evaluate(force_field, atoms[order])
    assert shuffled_energy == pytest.approx(energy, rel=1e-12)
    np.testing.assert_allclose(shuffled_forces, forces[order], atol=1e-11)


def test_periodic_images_and_rigid_shifts(force_field: ForceField) -> None:
    atoms = structure((2, 2, 1))
    energy, forces = evaluate(force_field, atoms)
    generator = np.random.default_rng(4)
    moved = atoms.copy()
    moved.positions += generator.integers(-2, 3, size=(len(atoms), 3)) @ atoms.cell.array
    shifted = atoms.copy()
    shifted.positions += [1.1, -0.4, 0.7]
    for other in (moved, shifted):
        other_energy, other_forces = evaluate(force_field, other)
        assert other_energy == pytest.approx(energy, rel=1e-10)
        np.testing.assert_allclose(other_forces, forces, atol=1e-9)


@pytest.mark.parametrize("repeat", [(2, 1, 1), (1, 1, 2), (2, 2, 2)])
def test_energies_are_extensive(force_field: ForceField, repeat: tuple[int, int, int]) -> None:
    """A supercell repeated with its displacements: forces repeat, the energy multiplies."""
    atoms = structure((2, 2, 1))
    energy, forces = evaluate(force_field, atoms)
    n = int(np.prod(repeat))
    large_energy, large_forces = evaluate(force_field, atoms * repeat)
    assert large_energy == pytest.approx(n * energy, rel=1e-11)
    np.testing.assert_allclose(large_forces, np.tile(forces, (n, 1)), atol=1e-10)


def test_forces_are_derivatives(force_field: ForceField) -> None:
    atoms = structure((2, 2, 1))
    _, forces = evaluate(force_field, atoms)
    for atom, axis in ((0, 0), (7, 1), (15, 2)):
        energies = []
        for sign in (1, -1):
            moved = atoms.copy()
            moved.positions[atom, axis] += sign * 1e-4
            energies.append(evaluate(force_field, moved)[0])
        assert -(energies[0] - energies[1]) / 2e-4 == pytest.approx(forces[atom, axis], abs=1e-4)


def test_the_error_comes_on_demand(force_field: ForceField) -> None:
    atoms = structure((2, 2, 1))
    calculator = ForceFieldCalculator(force_field)
    calculator.calculate(atoms, ["forces"])
    assert "force_sd" not in calculator.results
    calculator.calculate(atoms, ["forces", "force_sd"])
    first = calculator.results["force_sd"]
    assert first.shape == (len(atoms), 3)
    assert (first > 0).all()
    order = np.random.default_rng(3).permutation(len(atoms))
    calculator.calculate(atoms[order], ["force_sd"])
    np.testing.assert_allclose(calculator.results["force_sd"], first[order], rtol=1e-9)


def test_it_drives_ase_dynamics(force_field: ForceField) -> None:
    """Energy is kept on a short trajectory: forces and energies belong together along a path."""
    from ase.units import fs

    small = structure((2, 2, 1))
    small.calc = ForceFieldCalculator(force_field)
    energies = []
    dynamics = VelocityVerlet(small, timestep=0.05 * fs)
    dynamics.attach(lambda: energies.append(small.get_total_energy()))
    dynamics.run(40)
    assert np.ptp(energies) < 1e-4


@pytest.mark.parametrize("size", [0.0, 0.02])
def test_stress_is_that_of_ase_finite_differences(force_field: ForceField, size: float) -> None:
    """Strained and turned cells; ASE deforms cell and atoms together."""
    atoms = structure((2, 2, 1))
    gradient = np.eye(3) + size * np.random.default_rng(6).uniform(-1.0, 1.0, (3, 3))
    atoms.set_cell(atoms.cell.array @ gradient.T, scale_atoms=True)
    atoms.calc = ForceFieldCalculator(force_field)
    stress = atoms.get_stress()
    numerical = calculate_numerical_stress(atoms, eps=1e-4)
    np.testing.assert_allclose(stress, numerical, atol=1e-5 * np.abs(stress).max())
    forces = calculate_numerical_forces(atoms, eps=1e-4, iatoms=[0, 9])
    np.testing.assert_allclose(atoms.get_forces()[[0, 9]], forces, atol=1e-5 * np.abs(forces).max())


def test_turning_a_strained_crystal_turns_forces_and_stress(force_field: ForceField) -> None:
    atoms = structure((2, 2, 1))
    atoms.set_cell(1.01 * atoms.cell.array, scale_atoms=True)
    turned = atoms.copy()
    turned.rotate(3.0, (1.0, 2.0, -1.0), rotate_cell=True)
    rotation = np.linalg.solve(atoms.cell.array, turned.cell.array)
    atoms.calc, turned.calc = ForceFieldCalculator(force_field), ForceFieldCalculator(force_field)
    assert turned.get_potential_energy() == pytest.approx(atoms.get_potential_energy(), rel=1e-9)
    forces = atoms.get_forces() @ rotation
    np.testing.assert_allclose(turned.get_forces(), forces, atol=1e-8 * np.abs(forces).max())
    stress = rotation.T @ atoms.get_stress(voigt=False) @ rotation
    np.testing.assert_allclose(turned.get_stress(voigt=False), stress, atol=1e-8 * np.abs(stress).max())


@pytest.mark.parametrize("spoil", ["strain", "species", "vacancy", "other crystal"])
def test_other_structures_are_refused(force_field: ForceField, spoil: str) -> None:
    atoms = structure((2, 2, 1))
    if spoil == "strain":
        atoms.set_cell(1.15 * atoms.cell.array, scale_atoms=True)
    elif spoil == "species":
        atoms.numbers[2] = 31
    elif spoil == "vacancy":
        del atoms[3]
    else:
        atoms = bulk("Si", cubic=True)
    with pytest.raises(DataError):
        evaluate(force_field, atoms)


def test_magnetic_atoms_go_to_their_sublattice() -> None:
    """Energies do not change with the order of the atoms; another magnetic order is another crystal."""
    atoms = antiferromagnet()
    magnetic, torus = random_force_field(atoms, (1, 1, 1), {2: 3.1})
    moved = displaced_atoms(torus, 0.05 * np.random.default_rng(1).standard_normal((torus.n_atoms, 3)))
    order = np.random.default_rng(2).permutation(len(moved))
    energy, forces = evaluate(magnetic, moved)
    other_energy, other_forces = evaluate(magnetic, moved[order])
    assert other_energy == pytest.approx(energy, rel=1e-10)
    np.testing.assert_allclose(other_forces, forces[order], atol=1e-10 * np.abs(forces).max())
    moved.set_initial_magnetic_moments(np.abs(moved.get_initial_magnetic_moments()))
    with pytest.raises(DataError, match="magnetic order is not that of the reference"):
        evaluate(magnetic, moved)
    del moved.arrays["initial_magmoms"]
    assert evaluate(magnetic, moved)[0] == pytest.approx(energy, rel=1e-10)
