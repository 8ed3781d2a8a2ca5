"""A strained crystal: energy, forces and virial against crystals whose energy is known in closed form."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from keating import KeatingCrystal, diamond, triclinic
from polynomials import Torus

from mlff_dyn.errors import DataError
from mlff_dyn.kernels import compiled, reference
from mlff_dyn.kernels.dynamics import Dynamics, MdState
from mlff_dyn.kernels.gather import build_gather_tables
from mlff_dyn.kernels.reference.random_numbers import rng_from_seed
from mlff_dyn.kernels.strain.energy import StrainEnergy, build_strain_energy
from mlff_dyn.kernels.strain.kernel import StrainableTorus, StrainedKernel
from mlff_dyn.kernels.strain.moves import VOIGT, unit_strains
from mlff_dyn.kernels.strain.polynomial import StrainTables, build_strain_tables
from mlff_dyn.kernels.strain.series import StrainSeries

BACKENDS = [reference, compiled]
CRYSTALS = {
    "diamond": diamond(),
    "triclinic": triclinic(),
    "triclinic, order 6": triclinic((2, 3)),
}
TORUS = Torus((2, 3, 2))


@cache
def tables_of(name: str) -> tuple[StrainTables, StrainEnergy]:
    crystal = CRYSTALS[name]
    tables = build_strain_tables(crystal.polynomial(), crystal.lattice, crystal.sites)
    return tables, build_strain_energy(tables)


def kernel_of(name: str, strain: np.ndarray, backend=compiled, **options: object) -> StrainedKernel:
    tables, energy = tables_of(name)
    parameters = np.ones(tables.polynomial.n_parameters)
    force_kernel = backend.ForceKernel
    torus = StrainableTorus(
        tables, energy, parameters, TORUS.atom_indices, force_kernel=force_kernel, **options
    )
    return StrainedKernel(torus, strain)


def random_state(crystal: KeatingCrystal, seed: int = 0, size: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    u = generator.normal(scale=0.1, size=(len(crystal.sites) * TORUS.n_cells, 3))
    strain = generator.normal(scale=size, size=(3, 3))
    return u, 0.5 * (strain + strain.T)


def everything(kernel: StrainedKernel, u: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Energy, forces and virial."""
    return (*kernel.energy_forces(u), kernel.virial(u))


def slope(function, step: float = 1e-3) -> float:
    """Sixth-order central difference at zero."""
    values = [function(k * step) for k in (-3, -2, -1, 1, 2, 3)]
    return float(np.dot([-1.0, 9.0, -45.0, 45.0, -9.0, 1.0], values) / (60.0 * step))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CRYSTALS)
def test_energy_is_that_of_the_closed_form(name, backend):
    """To all orders in the strain, that of displacements and that of the strain alone."""
    crystal = CRYSTALS[name]
    u, strain = random_state(crystal)
    kernel = kernel_of(name, strain, backend)
    assert kernel.energy_forces(u)[0] == pytest.approx(crystal.energy(TORUS, u, strain), rel=1e-12)
    alone = crystal.energy(TORUS, np.zeros_like(u), strain)
    assert kernel.energy_forces(np.zeros_like(u))[0] == pytest.approx(alone, rel=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CRYSTALS)
def test_virial_and_forces_are_slopes_of_the_energy(name, backend):
    crystal = CRYSTALS[name]
    u, strain = random_state(crystal, seed=1)
    _, forces, virial = everything(kernel_of(name, strain, backend), u)
    np.testing.assert_array_equal(virial, virial.T)
    for (a, b), unit in zip(VOIGT, unit_strains(), strict=True):
        expected = slope(lambda x, unit=unit: crystal.energy(TORUS, u, strain + x * unit))
        assert virial[a, b] == pytest.approx(expected, abs=1e-10 * np.abs(virial).max())
    for atom, axis in ((0, 0), (7, 1), (len(u) - 1, 2)):
        moved = np.zeros_like(u)
        moved[atom, axis] = 1.0
        expected = -slope(lambda x, moved=moved: crystal.energy(TORUS, u + x * moved, strain))
        assert forces[atom, axis] == pytest.approx(expected, abs=1e-10 * np.abs(forces).max())


@pytest.mark.parametrize("name", CRYSTALS)
def test_virial_is_the_slope_of_the_kernels_energy(name):
    u, strain = random_state(CRYSTALS[name], seed=2)
    kernel = kernel_of(name, strain)
    virial = kernel.virial(u)
    for (a, b), unit in zip(VOIGT, unit_strains(), strict=True):
        found = slope(lambda x, unit=unit: kernel.strained(strain + x * unit).energy_forces(u)[0])
        assert virial[a, b] == pytest.approx(found, abs=1e-10 * np.abs(virial).max())


@pytest.mark.parametrize("name", CRYSTALS)
def test_backends_agree(name):
    u, strain = random_state(CRYSTALS[name], seed=3)
    slow, fast = (everything(kernel_of(name, strain, backend), u) for backend in BACKENDS)
    for one, two in zip(slow, fast, strict=True):
        np.testing.assert_allclose(two, one, rtol=0, atol=1e-12 * np.abs(one).max())


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["diamond", "triclinic"])
def test_a_series_in_the_strain_has_what_tables_for_each_strain_have(name, backend):
    series = StrainSeries(kernel_of(name, np.zeros((3, 3)), backend)._torus)
    for seed in range(3):
        u, strain = random_state(CRYSTALS[name], seed=seed)
        expected = everything(kernel_of(name, strain), u)
        for one, two in zip(series.energy_forces_virial(u, strain), expected, strict=True):
            np.testing.assert_allclose(one, two, rtol=0, atol=1e-12 * np.abs(two).max())
        assert series.energy_forces_virial(u, strain, virial=False)[2] is None


def test_a_series_pays_where_its_terms_are_few():
    assert kernel_of("diamond", np.zeros((3, 3))).series is not None
    assert kernel_of("triclinic, order 6", np.zeros((3, 3))).series is None


@pytest.mark.parametrize("name", CRYSTALS)
def test_single_precision_and_threads(name):
    u, strain = random_state(CRYSTALS[name], seed=4)
    expected = everything(kernel_of(name, strain), u)
    threads = everything(kernel_of(name, strain, n_threads=3), u)
    single = everything(kernel_of(name, strain, precision="single"), u)
    for one, two, three in zip(expected, threads, single, strict=True):
        np.testing.assert_allclose(two, one, rtol=0, atol=1e-12 * np.abs(one).max())
        np.testing.assert_allclose(three, one, rtol=0, atol=1e-5 * np.abs(one).max())


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_strain_is_the_plain_kernel(backend):
    crystal = CRYSTALS["triclinic"]
    u, _ = random_state(crystal)
    tables = build_gather_tables(crystal.polynomial())
    parameters = np.ones(tables.n_parameters)
    plain = backend.ForceKernel(tables, parameters, TORUS.atom_indices(tables.slots))
    energy, forces = kernel_of("triclinic", np.zeros((3, 3)), backend).energy_forces(u)
    assert energy == pytest.approx(plain.energy_forces(u)[0], rel=1e-12)
    np.testing.assert_allclose(forces, plain.energy_forces(u)[1], rtol=0, atol=1e-12 * np.abs(forces).max())


def test_a_rigid_shift_changes_nothing():
    """Also where the crystal has no inversion."""
    u, strain = random_state(CRYSTALS["triclinic"], seed=5)
    kernel = kernel_of("triclinic", strain)
    expected = everything(kernel, u)
    for one, two in zip(expected, everything(kernel, u + np.array([0.3, -0.2, 0.1])), strict=True):
        np.testing.assert_allclose(two, one, rtol=0, atol=1e-11 * np.abs(one).max())
    assert np.abs(expected[1].sum(axis=0)).max() < 1e-11 * np.abs(expected[1]).max()


def test_dynamics_keeps_the_energy_of_the_strained_crystal():
    crystal = CRYSTALS["diamond"]
    u, strain = random_state(crystal, seed=6, size=0.01)
    state = MdState(0.1 * u, np.zeros_like(u), rng_from_seed(1))
    dynamics = Dynamics(masses=np.full(len(u), 28.0), timestep_fs=0.2)
    run = kernel_of("diamond", strain).run(state, dynamics, 200, 10)
    total = run.potential_energies + run.kinetic_energies
    assert total[0] == pytest.approx(crystal.energy(TORUS, 0.1 * u, strain), rel=1e-3)
    assert np.ptp(total) < 1e-4 * run.kinetic_energies.max()


@pytest.mark.parametrize("name", CRYSTALS)
def test_a_given_stress_at_rest_changes_the_elastic_constants(name):
    """Crystals under stress, and, without symmetry, with forces at rest."""
    crystal = replace(CRYSTALS[name], scale=0.97)
    tables = build_strain_tables(crystal.polynomial(), crystal.lattice, crystal.sites)
    rest = np.zeros((len(crystal.sites) * TORUS.n_cells, 3))
    stress = np.zeros((3, 3))
    for (a, b), unit in zip(VOIGT, unit_strains(), strict=True):
        value = slope(lambda x, unit=unit: crystal.energy(TORUS, rest, x * unit))
        stress[a, b] = stress[b, a] = value / TORUS.n_cells
    u, strain = random_state(crystal, seed=7)
    parameters = np.ones(tables.polynomial.n_parameters)
    torus = StrainableTorus(
        tables, build_strain_energy(tables), parameters, TORUS.atom_indices, stress_at_rest=stress
    )
    kernel = StrainedKernel(torus, strain)
    for each in (u, rest):
        assert kernel.energy_forces(each)[0] == pytest.approx(crystal.energy(TORUS, each, strain), rel=1e-9)
    for (a, b), unit in zip(VOIGT, unit_strains(), strict=True):
        expected = slope(lambda x, unit=unit: crystal.energy(TORUS, u, strain + x * unit))
        assert kernel.virial(u)[a, b] == pytest.approx(expected, abs=1e-8 * np.abs(kernel.virial(u)).max())
    at_rest = kernel.strained(np.zeros((3, 3))).virial(rest)
    np.testing.assert_allclose(at_rest, TORUS.n_cells * stress, atol=1e-10 * np.abs(stress).max())


def test_replicas_of_a_strained_crystal_are_the_single_runs():
    u, strain = random_state(CRYSTALS["diamond"], seed=6, size=0.01)
    kernel = kernel_of("diamond", strain)
    states = [MdState(scale * u, np.zeros_like(u), rng_from_seed(1)) for scale in (0.1, 0.2)]
    dynamics = [Dynamics(masses=np.full(len(u), mass), timestep_fs=0.2) for mass in (28.0, 70.0)]
    together = kernel.run_replicas(states, dynamics, 20, 10)
    for run, state, own in zip(together, states, dynamics, strict=True):
        alone = kernel.run(state, own, 20, 10)
        np.testing.assert_array_equal(run.displacements, alone.displacements)
        np.testing.assert_array_equal(run.potential_energies, alone.potential_energies)


def test_what_is_no_symmetric_tensor_is_refused():
    with pytest.raises(DataError, match="symmetric"):
        kernel_of("diamond", np.array([[0.0, 0.1, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]))
    with pytest.raises(DataError, match="shape"):
        kernel_of("diamond", np.zeros(6))
