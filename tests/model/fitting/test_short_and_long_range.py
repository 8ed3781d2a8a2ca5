"""Force fields of short and long range: what is learnt, what is added, on any supercell."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from mlff_dyn.kernels import ForceKernel
from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.torus import Torus, input_supercell
from mlff_dyn.model.dipole_strain import StrainedDipoles
from mlff_dyn.model.expansion import Expansion
from mlff_dyn.model.fitting.fit import fit_force_field
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.model.fitting.labelled_frame import labelled_frame
from mlff_dyn.model.force_constants import force_constants, force_constants_of
from tests.models import dipoles_of, random_force_field, with_parameters


def rocksalt() -> Atoms:
    return bulk("NaCl", "rocksalt", a=5.6, cubic=True)


def wurtzite() -> Atoms:
    return bulk("ZnS", "wurtzite", a=3.8, c=6.2)


def test_a_force_field_holds_it() -> None:
    """Energy, forces, rigid shifts and exported force constants of short and long range together."""
    bare, _ = random_force_field(rocksalt(), (2, 2, 2), {2: "full", 3: 3.0})
    force_field = replace(bare, long_range=dipoles_of(bare.basis.crystal))
    larger = input_supercell(bare.basis.crystal, (3, 2, 2))
    u = 0.05 * np.random.default_rng(1).standard_normal((larger.n_atoms, 3))
    energy, forces = force_field.on(larger).energy_forces(u)
    expected = [
        a + b
        for a, b in zip(
            bare.on(larger).energy_forces(u), force_field.long_range.on(larger).energy_forces(u), strict=True
        )
    ]
    assert energy == pytest.approx(expected[0], rel=1e-12)
    np.testing.assert_allclose(forces, expected[1], atol=1e-12)
    np.testing.assert_allclose(force_field.on(larger).energy_forces(u + 0.1)[1], forces, atol=1e-11)
    everything = np.arange(larger.n_atoms)
    total = force_constants_of(force_field, 2, larger).dense(everything, everything)
    short = force_constants(bare.basis, bare.posterior.mean, 2, larger).dense(everything, everything)
    dipoles = -np.einsum("ijab,jb->ia", total - short, u)
    np.testing.assert_allclose(dipoles, expected[1] - bare.on(larger).energy_forces(u)[1], atol=1e-11)
    step = 1e-4
    for atom, axis in ((0, 0), (9, 2)):
        moved = np.zeros_like(u)
        moved[atom, axis] = step
        slope = (
            force_field.on(larger).energy_forces(u + moved)[0]
            - force_field.on(larger).energy_forces(u - moved)[0]
        ) / (2.0 * step)
        assert forces[atom, axis] == pytest.approx(-slope, abs=1e-6)


def test_it_is_taken_out_before_the_fit_and_added_on_any_supercell() -> None:
    """Truth of short springs and dipoles, learnt on a small supercell and right on a larger one."""
    bare, torus = random_force_field(rocksalt(), (2, 2, 2), {2: 3.0, 3: 3.0})
    truth = replace(bare, long_range=dipoles_of(bare.basis.crystal))
    generator = np.random.default_rng(4)
    basis = build_basis(bare.basis.crystal, {2: 4.5, 3: 3.0}, torus)
    larger = input_supercell(bare.basis.crystal, (3, 2, 2))
    u = 0.05 * generator.standard_normal((larger.n_atoms, 3))
    _, expected = truth.on(larger).energy_forces(u)
    errors = []
    for long_range in (truth.long_range, None):
        supercell = Expansion(basis, long_range).on(torus)
        data = []
        for _ in range(4):
            rattled = 0.05 * generator.standard_normal((torus.n_atoms, 3))
            rattled -= rattled.mean(axis=0)
            energy, forces = truth.on(torus).energy_forces(rattled)
            data.append(labelled_frame(supercell, rattled, forces, energy))
        fitted = fit_force_field(basis, FitData(data))
        assert fitted.long_range is long_range
        _, found = fitted.on(larger).energy_forces(u)
        errors.append(np.sqrt(np.mean((found - expected) ** 2) / np.mean(expected**2)))
        assert fitted.training.force_rms_ev_per_angstrom == pytest.approx(
            np.sqrt(np.mean([rows.forces**2 for rows in data])), rel=1e-12
        )
    assert errors[0] < 1e-5
    assert errors[1] > 1e-2


def test_order_2_by_transform_is_order_2_by_pairs() -> None:
    force_field, _ = random_force_field(wurtzite(), (2, 2, 1), {2: "full", 3: 2.6})
    crystal = force_field.basis.crystal
    parameters = force_field.basis.expand(force_field.posterior.mean)
    tables = force_field.expansion.lattice.tables
    for matrix in (np.diag([3, 3, 2]), np.array([[3, 1, 0], [0, 5, 0], [1, 0, 7]]), np.diag([1, 1, 37])):
        torus = Torus(crystal, matrix)
        u = 0.1 * np.random.default_rng(2).standard_normal((torus.n_atoms, 3))
        slot_atoms = torus.atom_indices(tables.slots)
        by_pairs = ForceKernel(tables, parameters, slot_atoms).energy_forces(u)
        by_transform = ForceKernel(tables, parameters, slot_atoms, grid=torus.grid).energy_forces(u)
        assert by_transform[0] == pytest.approx(by_pairs[0], rel=1e-12)
        np.testing.assert_allclose(by_transform[1], by_pairs[1], atol=1e-12 * np.abs(by_pairs[1]).max())


def test_the_stress_of_small_displacements_is_that_of_dipoles_in_a_strained_crystal() -> None:
    """Without short-range forces, to first order: Phi is that of the crystal whose sites are strained."""
    zero, torus = random_force_field(wurtzite(), (2, 2, 1), {2: 2.6})
    bare = with_parameters(zero.basis, np.zeros(zero.basis.n_parameters))
    force_field = replace(bare, long_range=dipoles_of(bare.basis.crystal))
    u = 1e-6 * np.random.default_rng(3).standard_normal((torus.n_atoms, 3))
    coupling = StrainedDipoles(force_field.long_range, torus.crystal, None).coupling
    expected = np.einsum("vsa,sca->v", coupling, u.reshape(torus.crystal.n_sites, -1, 3)) / abs(
        np.linalg.det(torus.lattice)
    )
    assert np.abs(expected).max() > 0.0
    np.testing.assert_allclose(force_field.on(torus).stress(u), expected, atol=1e-5 * np.abs(expected).max())
    shifted = force_field.on(torus).stress(u + 0.1)
    np.testing.assert_allclose(shifted, expected, atol=1e-5 * np.abs(expected).max())
