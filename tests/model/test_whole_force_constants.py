"""Force constants and vibrations of the whole energy: order 2 and higher of all its parts together."""

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk

from mlff_dyn.errors import DataError
from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.crystal import build_crystal
from mlff_dyn.lattice.torus import Torus
from mlff_dyn.local.basis import LocalSettings
from mlff_dyn.model.expansion import Expansion
from mlff_dyn.model.force_constants import force_constants_of
from mlff_dyn.model.force_field import ForceField
from mlff_dyn.model.harmonic_modes import harmonic_modes, imaginary_mode
from mlff_dyn.model.local_expansion import local_basis
from mlff_dyn.units import AMU_ANGSTROM2_PER_FS2_EV
from tests.models import dipoles_of, random_force_field, with_local_part

SMALL = 1e-4


def both_parts(*, with_dipoles: bool = False) -> tuple[ForceField, Torus]:
    force_field, torus = random_force_field(
        bulk("ZnS", "wurtzite", a=3.8, c=6.2), (2, 2, 1), {2: "full", 3: 2.9}
    )
    if with_dipoles:
        force_field = replace(force_field, long_range=dipoles_of(force_field.basis.crystal))
    return with_local_part(force_field, LocalSettings(4.3, 3, 2)), torus


def full_array(force_field: ForceField, order: int, torus: Torus) -> np.ndarray:
    everything = np.arange(torus.n_atoms)
    return force_constants_of(force_field, order, torus).dense(everything, everything)


def test_order_2_of_all_parts_is_the_derivative_of_the_forces() -> None:
    force_field, torus = both_parts(with_dipoles=True)
    supercell = force_field.expansion.on(torus)
    u = np.random.default_rng(0).standard_normal((torus.n_atoms, 3))
    there, back = (
        (supercell.rows(step * u)[0] @ force_field.posterior.mean).reshape(-1, 3) for step in (SMALL, -SMALL)
    )
    forces = (there - back) / (2.0 * SMALL) + supercell.dipole_dipole.energy_forces(u)[1]
    found = -np.einsum("ijab,jb->ia", full_array(force_field, 2, torus), u)
    np.testing.assert_allclose(found, forces, atol=1e-5 * np.abs(forces).max())


def test_orders_add_up_and_the_local_part_has_more() -> None:
    force_field, torus = both_parts()
    mean, n_lattice = force_field.posterior.mean, force_field.basis.n_parameters
    is_lattice = np.arange(len(mean)) < n_lattice
    one, other = (
        replace(force_field, posterior=replace(force_field.posterior, mean=np.where(kept, mean, 0.0)))
        for kept in (is_lattice, ~is_lattice)
    )
    for order in (2, 3):
        parts = [full_array(part, order, torus) for part in (one, other)]
        assert min(np.abs(part).max() for part in parts) > 0.1
        np.testing.assert_allclose(full_array(force_field, order, torus), sum(parts), atol=1e-10)
    np.testing.assert_array_equal(
        force_constants_of(force_field, 4, torus).blocks, force_constants_of(other, 4, torus).blocks
    )
    with pytest.raises(DataError, match="no order 7"):
        force_constants_of(force_field, 7, torus)


@pytest.mark.parametrize("with_dipoles", [False, True])
def test_vibrations_are_those_of_all_parts(with_dipoles: bool) -> None:
    force_field, torus = both_parts(with_dipoles=with_dipoles)
    modes = harmonic_modes(force_field.expansion, force_field.posterior.mean, torus)
    inertias = np.repeat(torus.masses * AMU_ANGSTROM2_PER_FS2_EV, 3)
    hessian = full_array(force_field, 2, torus).transpose(0, 2, 1, 3).reshape(len(inertias), -1)
    expected = np.linalg.eigvalsh(hessian / np.sqrt(inertias[:, None] * inertias))
    np.testing.assert_allclose(np.sort(modes.squares.ravel()), expected, atol=1e-9 * np.abs(expected).max())


def test_the_error_of_a_frequency_has_that_of_the_local_part() -> None:
    force_field, torus = both_parts()
    n_lattice, n_parameters = force_field.basis.n_parameters, force_field.expansion.n_parameters
    direction = SMALL * np.random.default_rng(1).standard_normal(n_parameters)
    direction[:n_lattice] = 0.0
    known = replace(force_field.posterior, covariance_factor=direction[:, None])
    force_field = replace(force_field, posterior=known)
    lower, middle, upper = (
        harmonic_modes(force_field.expansion, known.mean + step * direction, torus)
        for step in (-1.0, 0.0, 1.0)
    )
    found = imaginary_mode(middle, force_field)
    assert found is not None
    expected = 0.5 * abs(upper.frequencies_thz.min() - lower.frequencies_thz.min())
    assert found.frequency_sd_thz == pytest.approx(expected, rel=1e-3)


def slowest_bending_mode(expansion: Expansion, values: np.ndarray, extent: int) -> float:
    """Square of the frequency (1/fs²) at the longest wave of a sheet along its first vector."""
    torus = Torus(expansion.basis.crystal, np.diag([extent, 1, 1]))
    modes = harmonic_modes(expansion, np.append(np.zeros(expansion.basis.n_parameters), values), torus)
    longest = int(np.flatnonzero(np.isclose(torus.wavevectors[:, 0] % 1.0, 1.0 / extent))[0])
    upright = (np.abs(modes.polarizations[longest].reshape(2, 3, -1)[:, 2]) ** 2).sum(axis=0) > 0.99
    return float(np.abs(modes.squares[longest][upright]).min())


def test_a_sheet_bends_freely_where_its_local_part_does_not_stretch_it() -> None:
    """Rotational sum rules: squares go as q^4 without stress at rest, as q^2 with it."""
    cell = [[2.5, 0.0, 0.0], [-1.25, 2.5 * np.sqrt(0.75), 0.0], [0.0, 0.0, 15.0]]
    crystal = build_crystal(
        np.array(cell),
        np.array([[1 / 3, 2 / 3, 0.5], [2 / 3, 1 / 3, 0.5]]) @ cell,
        np.array([5, 7]),
        periodic=(True, True, False),
    )
    basis = build_basis(crystal, {2: 3.0})
    for is_at_rest, power in ((False, 2), (True, 4)):
        local = local_basis(crystal, LocalSettings(4.0, 3, 2), is_at_rest=is_at_rest)
        values = np.random.default_rng(1).standard_normal(local.n_parameters)
        expansion = Expansion(basis, None, local)
        shorter, longer = (slowest_bending_mode(expansion, values, extent) for extent in (20, 40))
        assert np.log2(shorter / longer) == pytest.approx(power, abs=0.1)
