"""Conductivity of a force field: linewidths are those of phono3py, slopes those of finite differences."""

from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.torus import input_supercell
from mlff_dyn.local.basis import LocalSettings
from mlff_dyn.model.expansion import Expansion
from mlff_dyn.model.fitting.fit import fit_force_field
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.model.force_constant_slopes import force_constant_slopes
from mlff_dyn.model.force_constants import whole_force_constants
from mlff_dyn.observables.conductivity.error_bars import conductivity_errors, odd_truncation
from mlff_dyn.observables.conductivity.parameter_slopes import conductivity_slopes
from mlff_dyn.observables.conductivity.shares import frames_for, shares_by_size, variance_after_frames
from mlff_dyn.observables.conductivity.slopes import third_order_slopes
from mlff_dyn.observables.conductivity.solver import ThreePhonons, Transport, _collected, joined
from mlff_dyn.workflows.snapshots import frames_of_snapshots
from tests.models import copper, crystal_of, emt_snapshots, random_force_field, with_local_part

pytest.importorskip("phono3py", minversion="4.10")

MESH = (3, 3, 3)
TORUS = input_supercell(crystal_of(copper()), (2, 2, 2))


@cache
def trained():
    basis = build_basis(TORUS.crystal, {2: "full", 3: 3.0}, TORUS)
    snapshots = emt_snapshots((2, 2, 2), (0.08, 0.08))
    frames = frames_of_snapshots(Path("frames"), snapshots, Expansion(basis))
    return ThreePhonons(fit_force_field(basis, FitData(frames)), TORUS)


def prepared(phonons):
    phonons.prepare(phonons.constants(2), phonons.constants(3), MESH)
    return phonons


@pytest.mark.parametrize("order", [2, 3])
def test_slopes_by_parameters_are_those_of_the_force_constants(order):
    force_field, _ = random_force_field(copper(), (2, 2, 2), {2: "full", 3: 3.0})
    settings = LocalSettings(cutoff_angstrom=3.4, n_radial=3, l_max=2)
    force_field = with_local_part(force_field, settings, training=TORUS)
    generator, mean = np.random.default_rng(order), force_field.posterior.mean
    first = TORUS.n_cells * np.arange(TORUS.crystal.n_sites)
    shape = (len(first), *(TORUS.n_atoms,) * (order - 1), *(3,) * order)
    weights = generator.standard_normal(shape)

    def weighted(parameters):
        constants = whole_force_constants(force_field.expansion, parameters, order, TORUS)
        return np.vdot(constants.dense(first, np.arange(TORUS.n_atoms)), weights)

    slopes = force_constant_slopes(force_field.expansion, weights, TORUS)
    for change in generator.standard_normal((3, len(mean))):
        expected = weighted(mean + change) - weighted(mean)
        assert slopes @ change == pytest.approx(expected, rel=1e-9, abs=1e-9 * np.abs(slopes).max())


def test_linewidths_come_out_again_and_slopes_are_those_of_finite_differences():
    phonons, transport = prepared(trained()), Transport((300.0,), isotopes=True)
    found = phonons.solve(transport)
    slopes, linewidths = third_order_slopes(phonons, found, 0, 300.0, (0,))
    np.testing.assert_allclose(linewidths.sum(axis=1), found.linewidths_thz[0].sum(axis=1), rtol=1e-9)
    generator = np.random.default_rng(2)
    sample = phonons.force_field.posterior.sample(1, generator)[0]
    change = phonons.constants(3, sample) - phonons.constants(3)
    step, both = 1e-3, []
    for sign in (1.0, -1.0):
        phonons.prepare(phonons.constants(2), phonons.constants(3) + sign * step * change, MESH)
        both.append(phonons.solve(transport).kappa[0, 0])
    assert np.vdot(slopes[0], change) == pytest.approx((both[0] - both[1]) / (2.0 * step), rel=1e-4)


def test_parts_of_the_wave_vectors_add_up():
    phonons, transport = prepared(trained()), Transport((300.0, 500.0), wigner=True, boundary_micrometer=1.0)
    whole, points = phonons.solve(transport), phonons.grid_points()
    parts = joined([phonons.solve(transport, points[:1]), phonons.solve(transport, points[1:])])
    np.testing.assert_allclose(parts.kappa, whole.kappa, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(parts.modes, whole.modes, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(whole.modes.sum(axis=(1, 2)), whole.relaxation, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(whole.kappa, whole.relaxation + whole.coherent, rtol=1e-9, atol=1e-9)


def test_a_mode_that_decays_into_nothing_is_left_out():
    phonons, transport = prepared(trained()), Transport((300.0,))
    whole = phonons.solve(transport)
    found = phonons.phono3py.thermal_conductivity
    place = int(np.flatnonzero(whole.grid_points)[0])
    linewidths, modes = np.array(found.gamma), np.array(found.mode_kappa)
    linewidths[0, 0, place, 1], modes[0, 0, place, 1] = 0.0, np.inf
    solved = SimpleNamespace(
        grid_points=found.grid_points,
        gamma=linewidths,
        gamma_isotope=None,
        group_velocities=found.group_velocities,
        mode_kappa=modes,
        kappa=np.full_like(found.kappa, np.inf),
    )
    known = SimpleNamespace(
        thermal_conductivity=solved, mesh_numbers=MESH, phph_interaction=phonons.phono3py.phph_interaction
    )
    left = _collected(known, transport)
    assert (whole.n_without_decay, left.n_without_decay) == (0, 1)
    np.testing.assert_allclose(left.kappa[0], whole.kappa[0] - whole.modes[0, place, 1], rtol=1e-9, atol=1e-9)


def test_what_a_local_part_leaves_out_is_not_counted_twice():
    phonons = trained()
    settings = LocalSettings(cutoff_angstrom=3.4, n_radial=3, l_max=2)
    local = with_local_part(phonons.force_field, settings, training=TORUS)
    assert odd_truncation(phonons) > 0.0
    assert odd_truncation(ThreePhonons(local, TORUS)) == 0.0


def test_error_bars_fall_with_data_and_name_what_limits_them():
    phonons, transport = prepared(trained()), Transport((300.0,))
    slopes = conductivity_slopes(phonons, transport, MESH, n_samples=3, seed=1)
    kappa = slopes.kappa[0, 0]
    assert slopes.of_scale[0, 0] == pytest.approx(-2.0 * kappa, rel=1e-9)
    errors = conductivity_errors(phonons, slopes)
    assert errors.mean_data[0] == pytest.approx(errors.data[0, 0])
    assert errors.data[0, 3:].max() == 0.0
    assert errors.mean_truncation[0] > 0.0
    of_mean = (slopes.second + slopes.third)[0, :3].mean(axis=0)
    variances = variance_after_frames(phonons, of_mean)
    assert np.sqrt(variances[0]) == pytest.approx(errors.mean_data[0])
    assert (np.diff(variances) < 0.0).all()
    assert frames_for(variances, variances[0]) == 0
    assert frames_for(variances, 0.999 * variances[1]) == 2
    assert frames_for(variances, 0.1 * variances[-1]) == 10 * (len(variances) - 1)
    assert frames_for(variances, -1.0) is None
    covariance = phonons.force_field.posterior.covariance_factor
    whole = of_mean @ covariance
    of_second = slopes.second[0, :3].mean(axis=0) @ covariance @ whole / (whole @ whole)
    shares = shares_by_size(phonons, slopes, 0)
    assert sum(share for _, share in shares) + of_second == pytest.approx(1.0, rel=1e-6)
