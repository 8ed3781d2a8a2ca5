"""Modes of order 2: against phonopy and the Hessian of the whole torus; the error of a frequency."""

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk
from phonopy import Phonopy

from mlff_dyn.formats.phonopy_cells import compact_array, phonopy_cells
from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.torus import Torus, input_supercell
from mlff_dyn.model.force_constants import force_constants_of
from mlff_dyn.model.force_field import ForceField
from mlff_dyn.model.harmonic_modes import HarmonicModes, harmonic_modes, imaginary_mode
from mlff_dyn.units import AMU_ANGSTROM2_PER_FS2_EV, BOLTZMANN_EV_PER_K, HBAR_EV_FS
from tests.models import (
    crystal_of,
    dipoles_of,
    fitted_to_harmonic,
    random_force_field,
    spring_hessian,
    with_parameters,
)

BOND = 3.6 / np.sqrt(2)


def modes_of(force_field: ForceField, torus: Torus) -> HarmonicModes:
    return harmonic_modes(force_field.expansion, force_field.posterior.mean, torus)


def springs(longitudinal: float, transverse: float, repeats: int = 2) -> tuple[ForceField, Torus]:
    crystal = crystal_of(bulk("Cu", "fcc", a=3.6, cubic=True))
    torus = input_supercell(crystal, (repeats,) * 3)
    basis = build_basis(crystal, {2: 3.0}, torus)
    hessian = spring_hessian(torus, {BOND: (longitudinal, transverse)})
    return fitted_to_harmonic(basis, torus, hessian), torus


def with_sd(force_field: ForceField, sd: float) -> ForceField:
    """The force field with this standard deviation of each parameter."""
    known = with_parameters(force_field.basis, force_field.posterior.mean)
    factor = sd * np.eye(force_field.basis.n_parameters)
    return replace(known, posterior=replace(known.posterior, covariance_factor=factor))


def hessian_of(force_field: ForceField, torus: Torus) -> np.ndarray:
    """Order 2 on the whole torus over the roots of the masses, 1/fs²."""
    atoms = np.arange(torus.n_atoms)
    blocks = force_constants_of(force_field, 2, torus).dense(atoms, atoms)
    inertias = np.repeat(torus.masses * AMU_ANGSTROM2_PER_FS2_EV, 3)
    dense = blocks.transpose(0, 2, 1, 3).reshape(3 * torus.n_atoms, -1)
    return np.asarray(dense / np.sqrt(inertias[:, None] * inertias))


@pytest.mark.parametrize("with_dipoles", [False, True])
@pytest.mark.parametrize("supercell", [(2, 1, 3), (2, 2, 2)])
def test_squares_are_the_eigenvalues_of_the_torus(
    supercell: tuple[int, int, int], with_dipoles: bool
) -> None:
    force_field, _ = random_force_field(bulk("NaCl", "rocksalt", a=5.6, cubic=True), (2, 2, 2), {2: 4.0})
    if with_dipoles:
        force_field = replace(force_field, long_range=dipoles_of(force_field.basis.crystal, scalar=True))
    torus = input_supercell(force_field.basis.crystal, supercell)
    expected = np.linalg.eigvalsh(hessian_of(force_field, torus))
    found = np.sort(modes_of(force_field, torus).squares.ravel())
    np.testing.assert_allclose(found, expected, atol=1e-10 * np.abs(expected).max())


def test_frequencies_are_those_of_phonopy() -> None:
    force_field, torus = random_force_field(
        bulk("GaAs", "zincblende", a=5.6, cubic=True), (2, 2, 2), {2: 4.0}
    )
    phonon = Phonopy(**phonopy_cells(torus), log_level=0)
    atoms = np.arange(len(phonon.supercell))
    phonon.force_constants = compact_array(force_constants_of(force_field, 2, torus), phonon.supercell, atoms)
    phonon.run_qpoints(torus.wavevectors)
    expected = phonon.qpoints.frequencies
    found = modes_of(force_field, torus).frequencies_thz
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
    assert expected.min() < -1.0


def test_equipartition_of_the_whole_torus() -> None:
    """Covariances are kT times the inverse of the Hessian, rigid shifts left out."""
    force_field, torus = springs(2.0, 0.2)
    mass_weighted = hessian_of(force_field, torus)
    inertias = np.repeat(torus.masses * AMU_ANGSTROM2_PER_FS2_EV, 3)
    inverse = np.linalg.pinv(mass_weighted, rcond=1e-9, hermitian=True)
    expected = BOLTZMANN_EV_PER_K * 300.0 * (inverse / np.sqrt(inertias[:, None] * inertias))[:3, :3]
    (found,) = modes_of(force_field, torus).thermal_covariances(300.0)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("repeats", [2, 3])
def test_the_pattern_of_a_mode_is_an_eigenvector_of_the_torus(repeats: int) -> None:
    force_field, torus = springs(1.0, -0.3, repeats)
    modes = modes_of(force_field, torus)
    kernel = force_field.on(torus).kernel
    inertias = AMU_ANGSTROM2_PER_FS2_EV * torus.masses[:, None]
    for wavevector in range(len(modes.squares)):
        pattern = modes.pattern(wavevector, 2)
        assert np.abs(pattern).max() > 1e-3
        _, forces = kernel.energy_forces(pattern)
        square = modes.squares[wavevector, 2]
        np.testing.assert_allclose(-forces, square * inertias * pattern, atol=1e-6)


def test_a_stable_crystal_has_no_imaginary_mode() -> None:
    force_field, torus = springs(2.0, 0.2)
    assert imaginary_mode(modes_of(force_field, torus), force_field) is None


def test_the_lowest_mode_is_named_where_it_is_significant() -> None:
    force_field, torus = springs(1.0, -0.3)
    modes = modes_of(force_field, torus)
    found = imaginary_mode(modes, force_field)
    assert found is not None
    assert found.frequency_thz == pytest.approx(modes.frequencies_thz.min())
    assert found.n_modes == (modes.frequencies_thz < -0.05).sum()
    assert all(-0.5 < component <= 0.5 for component in found.wavevector)
    assert modes.thermal_covariances(300.0) is None
    vague = with_sd(force_field, 1.0)
    assert imaginary_mode(modes, vague) is None
    assert imaginary_mode(modes) is not None


def test_the_error_of_a_frequency_is_the_spread_of_samples() -> None:
    force_field, torus = springs(1.0, -0.3)
    wide = with_sd(force_field, 0.003)
    found = imaginary_mode(modes_of(wide, torus), wide)
    assert found is not None
    draws = 0.003 * np.random.default_rng(1).standard_normal((400, wide.basis.n_parameters))
    lowest = [
        harmonic_modes(wide.expansion, wide.posterior.mean + draw, torus).frequencies_thz.min()
        for draw in draws
    ]
    assert found.frequency_sd_thz == pytest.approx(np.std(lowest), rel=0.15)


def covariance(force_field: ForceField, torus: Torus, *, is_quantum: bool, count: int = 20000) -> np.ndarray:
    modes, generator = modes_of(force_field, torus), np.random.default_rng(3)
    samples = np.array([modes.sample(300.0, generator, is_quantum=is_quantum).ravel() for _ in range(count)])
    return np.asarray(samples.T @ samples / count)


@pytest.mark.parametrize("is_quantum", [False, True])
def test_samples_have_the_covariance_of_the_harmonic_crystal(is_quantum: bool) -> None:
    """Closed form on the whole torus: f(D) of its mass-weighted Hessian, rigid motion left out."""
    force_field, torus = springs(2.0, 0.2)
    squares, vectors = np.linalg.eigh(hessian_of(force_field, torus))
    omega = np.sqrt(squares[3:])
    kt = BOLTZMANN_EV_PER_K * 300.0
    means = (
        HBAR_EV_FS / (2 * omega) / np.tanh(HBAR_EV_FS * omega / (2 * kt)) if is_quantum else kt / squares[3:]
    )
    inertias = np.repeat(torus.masses * AMU_ANGSTROM2_PER_FS2_EV, 3)
    expected = (vectors[:, 3:] * means) @ vectors[:, 3:].T / np.sqrt(inertias[:, None] * inertias)
    found = covariance(force_field, torus, is_quantum=is_quantum)
    sd = np.sqrt((np.outer(np.diag(expected), np.diag(expected)) + expected**2) / 20000)
    assert np.abs(found - expected).max() < 6.0 * sd.max()
    np.testing.assert_allclose(np.diag(found), np.diag(expected), rtol=0.08)


def test_samples_do_not_move_the_crystal_and_are_finite_where_modes_are_unstable() -> None:
    for force_field, torus in (springs(2.0, 0.2), springs(-0.3, -0.03)):
        u = modes_of(force_field, torus).sample(300.0, np.random.default_rng(1))
        assert np.isfinite(u).all()
        np.testing.assert_allclose((u * torus.masses[:, None]).mean(axis=0), 0.0, atol=1e-9)
