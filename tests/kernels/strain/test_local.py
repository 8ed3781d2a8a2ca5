"""The local part of a strained crystal, beside a lattice expansion."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from keating import diamond
from local_crystals import displacements_of, local_kernel
from polynomials import Torus

from mlff_dyn.kernels import compiled, reference
from mlff_dyn.kernels.dynamics import Dynamics, MdState
from mlff_dyn.kernels.local_tables import LocalTerms
from mlff_dyn.kernels.reference.random_numbers import rng_from_seed
from mlff_dyn.kernels.strain.energy import build_strain_energy
from mlff_dyn.kernels.strain.kernel import StrainableTorus, StrainedKernel
from mlff_dyn.kernels.strain.moves import VOIGT, unit_strains
from mlff_dyn.kernels.strain.polynomial import build_strain_tables
from mlff_dyn.kernels.strain.stress_at_rest import second_order_strain
from mlff_dyn.local.basis import LocalSettings, build_local_basis

BACKENDS = [reference, compiled]
TORUS = Torus((1, 3, 2))
CRYSTAL = diamond()
STRAIN = np.array([[0.02, 0.01, 0.0], [0.01, -0.03, 0.02], [0.0, 0.02, 0.01]])
REST = np.zeros((2 * TORUS.n_cells, 3))


@cache
def terms() -> LocalTerms:
    settings = LocalSettings(1.9 * np.linalg.norm(CRYSTAL.sites[1] - CRYSTAL.sites[0]), 3, 2)
    basis = build_local_basis(
        CRYSTAL.lattice, CRYSTAL.sites, np.array([31, 33]), settings, largest_displacement=0.4
    )
    values = np.random.default_rng(0).normal(scale=0.1, size=basis.n_functions)
    found = LocalTerms(basis.tables, values, TORUS.atom_indices(basis.tables.slots), np.zeros((3, 3)))
    return replace(found, energy_at_rest=local_kernel(reference, found).energy_forces(REST)[0])


@cache
def kernel_of(backend=compiled, *, local: bool = True, precision="double") -> StrainedKernel:
    tables = build_strain_tables(CRYSTAL.polynomial(), CRYSTAL.lattice, CRYSTAL.sites)
    torus = StrainableTorus(
        tables,
        build_strain_energy(tables),
        np.ones(tables.polynomial.n_parameters),
        TORUS.atom_indices,
        precision=precision,
        local=terms() if local else None,
        force_kernel=backend.ForceKernel,
    )
    return StrainedKernel(torus, np.zeros((3, 3)))


@pytest.mark.parametrize("backend", BACKENDS)
def test_energy_and_forces_of_both_parts_add_up(backend):
    u = displacements_of(terms())
    work = (compiled.local_virial(terms(), REST) * second_order_strain(STRAIN)).sum()
    for strain in (STRAIN, np.zeros((3, 3))):
        own = local_kernel(backend, replace(terms(), strain=strain)).energy_forces(u)
        energy, forces = kernel_of(backend, local=False).strained(strain).energy_forces(u)
        both = kernel_of(backend).strained(strain).energy_forces(u)
        assert both[0] == pytest.approx(energy + own[0] - (work if strain.any() else 0.0), rel=1e-12)
        np.testing.assert_allclose(both[1], forces + own[1], rtol=0, atol=1e-12 * np.abs(forces).max())


def test_a_series_in_the_strain_has_both_parts():
    kernel, u = kernel_of(), displacements_of(terms())
    series = kernel.series
    for factor in (1.0, -0.5, 0.3):
        strained = kernel.strained(factor * STRAIN)
        expected = (*strained.energy_forces(u), strained.virial(u))
        for one, two in zip(series.energy_forces_virial(u, factor * STRAIN), expected, strict=True):
            np.testing.assert_allclose(one, two, rtol=0, atol=1e-12 * np.abs(two).max())


def test_the_crystal_at_rest_has_no_energy_and_no_local_stress():
    kernel = kernel_of()
    assert kernel.energy_forces(REST)[0] == pytest.approx(0.0, abs=1e-11)
    np.testing.assert_allclose(kernel.virial(REST), 0.0, atol=1e-11)


@pytest.mark.parametrize("strain", [STRAIN, np.zeros((3, 3))], ids=["strained", "at rest"])
def test_virial_is_the_slope_of_the_energy(strain):
    u, kernel, step = displacements_of(terms()), kernel_of().strained(strain), 2e-4
    virial = kernel.virial(u)
    for (a, b), unit in zip(VOIGT, unit_strains(), strict=True):
        values = [kernel.strained(strain + x * unit).energy_forces(u)[0] for x in (-step, step)]
        assert virial[a, b] == pytest.approx(
            np.diff(values)[0] / (2.0 * step), abs=1e-5 * np.abs(virial).max()
        )


def test_versions_and_precisions_agree():
    u = displacements_of(terms())
    expected = kernel_of(reference).strained(STRAIN).energy_forces(u)
    for kernel, limit in ((kernel_of(), 1e-12), (kernel_of(precision="single"), 1e-5)):
        found = kernel.strained(STRAIN).energy_forces(u)
        for one, two in zip(expected, found, strict=True):
            np.testing.assert_allclose(two, one, rtol=0, atol=limit * np.abs(one).max())


def test_dynamics_keeps_the_energy_of_both_parts():
    kernel = kernel_of().strained(STRAIN)
    u = displacements_of(terms(), scale=0.01)
    dynamics = Dynamics(masses=np.full(len(u), 70.0), timestep_fs=0.2)
    run = kernel.run(MdState(u, np.zeros_like(u), rng_from_seed(1)), dynamics, 200, 10)
    total = run.potential_energies + run.kinetic_energies
    assert total[0] == pytest.approx(kernel.energy_forces(u)[0], rel=1e-3)
    assert np.ptp(total) < 1e-4 * run.kinetic_energies.max()
