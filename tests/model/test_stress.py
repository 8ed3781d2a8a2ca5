"""Stress of a force field: slope of the energy under strain, and that of the potential it learnt."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.spacegroup import crystal as spacegroup_crystal
from ase.stress import voigt_6_to_full_3x3_stress
from numpy.typing import NDArray

from mlff_dyn.kernels.strain.moves import VOIGT, unit_strains
from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.deformation import polar, stress_of_strain_slope, to_voigt
from mlff_dyn.lattice.torus import Torus, input_supercell
from mlff_dyn.model.calculator import ForceFieldCalculator
from mlff_dyn.model.expansion import Expansion
from mlff_dyn.model.fitting.fit import fit_force_field
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.model.fitting.labelled_frame import labelled_frame
from mlff_dyn.model.force_field import ForceField
from mlff_dyn.workflows.snapshots import displaced_atoms
from tests.lattice.crystals import triclinic
from tests.models import copper, crystal_of, random_force_field

CRYSTALS = {
    "Si": (bulk("Si", cubic=True), (1, 1, 1), {2: "full", 3: 2.5, 4: 2.5}),
    "ZnS": (
        bulk("ZnS", "wurtzite", a=3.8, c=6.2),
        (2, 2, 1),
        {2: 2.9, 3: 2.9, 4: 2.9, 5: {2: 2.9}, 6: {2: 2.9}},
    ),
    "triclinic": (triclinic(), (2, 2, 2), {2: "full", 3: 2.6, 4: {2: 2.4}}),
    "SnSe": (
        spacegroup_crystal(
            ["Sn", "Se"],
            [(0.118, 0.25, 0.103), (0.855, 0.25, 0.482)],
            spacegroup=62,
            cellpar=[11.5, 4.15, 4.44, 90, 90, 90],
        ),
        (1, 2, 2),
        {2: 4.0, 3: 3.2, 4: {2: 3.2}},
    ),
    "BAs": (bulk("BAs", "zincblende", a=4.78, cubic=True), (1, 1, 1), {2: 2.2, 3: 2.2, 4: 2.2}),
}


@cache
def model_of(name: str) -> tuple[ForceField, Torus]:
    return random_force_field(*CRYSTALS[name])


def random_state(torus: Torus) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    generator = np.random.default_rng(2)
    u = 0.1 * generator.standard_normal((torus.n_atoms, 3))
    strain = 0.03 * generator.standard_normal((3, 3))
    return u, 0.5 * (strain + strain.T)


def slope(function: Callable[[float], float], step: float) -> float:
    values = [function(k * step) for k in (-3, -2, -1, 1, 2, 3)]
    return float(np.dot([-1.0, 9.0, -45.0, 45.0, -9.0, 1.0], values) / (60.0 * step))


@pytest.mark.parametrize("name", CRYSTALS)
def test_virial_is_the_slope_of_the_energy(name: str) -> None:
    force_field, torus = model_of(name)
    u, strain = random_state(torus)
    kernel = force_field.on(torus, strain=strain).strained_kernel
    virial = kernel.virial(u)
    for (a, b), unit in zip(VOIGT, unit_strains(), strict=True):
        found = slope(lambda x, unit=unit: kernel.strained(strain + x * unit).energy_forces(u)[0], 2e-3)
        assert virial[a, b] == pytest.approx(found, abs=1e-8 * np.abs(virial).max())


@pytest.mark.parametrize("is_strained", [False, True])
@pytest.mark.parametrize("name", CRYSTALS)
def test_stress_is_the_slope_of_the_energy_of_deformed_space(name: str, is_strained: bool) -> None:
    """Cell, sites and displaced atoms are deformed alike; what is a rotation then is taken out."""
    force_field, torus = model_of(name)
    u, strain = random_state(torus)
    strain = strain if is_strained else np.zeros((3, 3))
    supercell = force_field.on(torus, strain=strain)

    def energy(deformation: NDArray[np.float64]) -> float:
        gradient = (np.eye(3) + deformation) @ (np.eye(3) + strain)
        other = polar(gradient)
        moved = u @ (np.eye(3) + deformation).T @ other.rotation
        return supercell.strained(other.strain).strained_kernel.energy_forces(moved)[0]

    stress = supercell.stress(u) * abs(np.linalg.det(supercell.lattice))
    for found, unit in zip(stress, unit_strains(), strict=True):
        expected = slope(lambda x, unit=unit: energy(x * unit), 1e-3)
        assert found == pytest.approx(expected, abs=1e-8 * np.abs(stress).max())


@pytest.mark.parametrize("is_strained", [False, True])
@pytest.mark.parametrize("name", CRYSTALS)
def test_rows_are_those_of_the_kernel(name: str, is_strained: bool) -> None:
    """Forces, energy and stress at constant displacements, linear in the parameters."""
    force_field, torus = model_of(name)
    u, strain = random_state(torus)
    strain = strain if is_strained else np.zeros((3, 3))
    expansion = force_field.expansion.on(torus, strain)
    mean = force_field.posterior.mean
    kernel = expansion.strained_kernel(mean)
    (energy, forces), virial = kernel.energy_forces(u), kernel.virial(u)
    force_rows, energy_row = expansion.rows(u)
    np.testing.assert_allclose(force_rows @ mean, forces.ravel(), rtol=0, atol=1e-10 * np.abs(forces).max())
    assert energy_row @ mean == pytest.approx(energy, rel=1e-10)
    of_strain = stress_of_strain_slope(to_voigt(virial), strain) / expansion.volume
    found = expansion.stress_rows(u) @ mean
    np.testing.assert_allclose(found, of_strain, rtol=0, atol=1e-10 * np.abs(of_strain).max())


@pytest.mark.parametrize("name", CRYSTALS)
def test_variances_are_those_of_the_rows(name: str) -> None:
    force_field, torus = model_of(name)
    u, strain = random_state(torus)
    expansion = force_field.expansion.on(torus, strain)
    rows, _ = expansion.rows(u)
    factor = np.tril(np.random.default_rng(3).standard_normal((rows.shape[1], rows.shape[1])))
    variances = ((rows @ factor) ** 2).sum(axis=1)
    found_variances = expansion.force_variances(u, factor).ravel()
    np.testing.assert_allclose(found_variances, variances, rtol=1e-7, atol=1e-10 * variances.max())


@pytest.mark.parametrize("name", CRYSTALS)
def test_a_rigid_shift_changes_nothing(name: str) -> None:
    check_rigid_shift(*model_of(name))


def check_rigid_shift(force_field: ForceField, torus: Torus) -> None:
    u, strain = random_state(torus)
    supercell = force_field.on(torus, strain=strain)
    moved = u + np.array([0.2, -0.1, 0.3])
    (energy, forces), (other_energy, other_forces) = (supercell.energy_forces(each) for each in (u, moved))
    assert other_energy == pytest.approx(energy, rel=1e-9)
    np.testing.assert_allclose(other_forces, forces, rtol=0, atol=1e-9 * np.abs(forces).max())
    np.testing.assert_allclose(
        supercell.stress(moved), supercell.stress(u), rtol=0, atol=1e-9 * np.abs(supercell.stress(u)).max()
    )


def test_it_is_that_of_the_potential_it_learnt() -> None:
    """Copper with its thermal stress from EMT; atoms in any order."""
    crystal = crystal_of(copper())
    torus = input_supercell(crystal, (2, 2, 2))
    basis = build_basis(crystal, {2: "full", 3: 3.0, 4: {2: 3.0}}, torus)
    generator = np.random.default_rng(3)
    supercell, data = Expansion(basis).on(torus), []
    for _ in range(8):
        u = 0.06 * generator.standard_normal((torus.n_atoms, 3))
        atoms = displaced_atoms(torus, u)
        atoms.calc = EMT()
        data.append(labelled_frame(supercell, u, atoms.get_forces(), atoms.get_potential_energy()))
    force_field = fit_force_field(basis, FitData(data))
    at_rest = displaced_atoms(torus, np.zeros((torus.n_atoms, 3)))
    at_rest.calc = EMT()
    atoms = displaced_atoms(torus, 0.06 * generator.standard_normal((torus.n_atoms, 3)))
    atoms.calc = EMT()
    expected = atoms.get_stress() - at_rest.get_stress()
    atoms = atoms[generator.permutation(len(atoms))]
    atoms.calc = ForceFieldCalculator(force_field)
    np.testing.assert_allclose(atoms.get_stress(), expected, atol=0.06 * np.abs(expected).max())
    full = voigt_6_to_full_3x3_stress(expected)
    np.testing.assert_allclose(atoms.get_stress(voigt=False), full, atol=0.06 * np.abs(expected).max())
