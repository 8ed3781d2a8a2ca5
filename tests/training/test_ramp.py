"""Dynamics whose temperature rises: it follows the thermostat, and stops in time."""

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk

from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.torus import Torus, input_supercell
from mlff_dyn.md.barostat import Barostat
from mlff_dyn.md.start import start_at_rest_positions
from mlff_dyn.model.force_field import SupercellForceField
from mlff_dyn.regression.fit.noise import NoiseModel
from mlff_dyn.training.criteria.grid import FixedCriterion
from mlff_dyn.training.criteria.trajectory import TrajectoryCriterion
from mlff_dyn.training.exploration import (
    LEFT_TRUSTED_REGION,
    QUIET,
    Exploration,
    ExplorationPlan,
    TrajectoryState,
    explore,
    exploring_dynamics,
)
from mlff_dyn.training.limits import LIMITS
from mlff_dyn.training.ramp import Ramp
from mlff_dyn.training.trusted_region import Motion, trusted_region
from mlff_dyn.training.walk import Place, Walk
from mlff_dyn.units import BOLTZMANN_EV_PER_K
from tests.models import crystal_of, fitted_to_harmonic, spring_hessian

BOND = 3.6 / np.sqrt(2)
TIMESTEP = 2.0
RAMP = Ramp(200.0, 520.0, 400.0, 0.04, 250)
PLAN = ExplorationPlan(
    temperature_kelvin=RAMP.from_kelvin,
    timestep_femtoseconds=TIMESTEP,
    n_steps=RAMP.n_steps,
    seed=(1, 0),
    tested_error_relative=0.0,
    ramp=RAMP,
)


@pytest.fixture(scope="module")
def force_field() -> SupercellForceField:
    """Springs between neighbors, whose error grows with the square of the amplitude."""
    crystal = crystal_of(bulk("Cu", "fcc", a=3.6, cubic=True))
    torus = input_supercell(crystal, (2, 2, 2))
    basis = build_basis(crystal, {2: 3.0}, torus)
    fitted = fitted_to_harmonic(basis, torus, spring_hessian(torus, {BOND: (2.0, 0.2)}))
    noise = NoiseModel(1e-6, truncation_sd=1e-3, exponent=2.0, reference_amplitude=0.1)
    hyperparameters = replace(fitted.posterior.hyperparameters, noise=noise)
    return replace(fitted, posterior=replace(fitted.posterior, hyperparameters=hyperparameters)).on(torus)


def walk_of(force_field: SupercellForceField, ramp: Ramp | None, barostat: Barostat | None = None) -> Walk:
    torus = force_field.torus
    region = trusted_region(force_field, Motion(RAMP.to_kelvin, TIMESTEP, 10000))
    if barostat is not None:
        region = replace(region, least_potential_energy=-np.inf)
    dynamics = exploring_dynamics(torus, RAMP.from_kelvin, TIMESTEP, farthest=1.0)
    return Walk(force_field, dynamics, region, stride=10, limits=LIMITS, barostat=barostat, ramp=ramp)


def start_of(torus: Torus) -> Place:
    return Place(start_at_rest_positions(torus.masses, RAMP.from_kelvin, (3,)))


def run(force_field: SupercellForceField, plan: ExplorationPlan, limit: float = 1.0) -> Exploration:
    return explore(force_field, TrajectoryCriterion(limit), plan, lambda *_: None)


def test_the_mean_kinetic_temperature_follows_the_ramp(force_field: SupercellForceField) -> None:
    """40 pieces of 10 steps for each of the means, whose own errors are about 2 %; mean lag below 1 %."""
    walk, n_atoms = walk_of(force_field, RAMP), force_field.torus.n_atoms
    place = walk.go(start_of(force_field.torus), RAMP.hold_steps // 10).place
    found, expected = [], []
    for _ in range((RAMP.n_steps - RAMP.hold_steps) // 10):
        stretch = walk.go(place, 1)
        place = stretch.place
        found.append(2.0 * stretch.kinetic_energy / (3.0 * (n_atoms - 1) * BOLTZMANN_EV_PER_K))
        expected.append(RAMP.kelvin(place.n_steps))
    ratios = np.array(found) / np.array(expected)
    assert ratios.mean() == pytest.approx(1.0, abs=0.02)
    np.testing.assert_allclose(ratios[:800].reshape(4, -1).mean(axis=1), 1.0, atol=0.05)
    assert np.polyfit(expected, found, 1)[0] == pytest.approx(1.0, abs=0.08)


@pytest.mark.parametrize("moves", [False, True])
def test_a_ramp_may_be_cut_at_any_frame(force_field: SupercellForceField, moves: bool) -> None:
    torus = force_field.torus
    thermal = RAMP.from_kelvin * BOLTZMANN_EV_PER_K
    barostat = Barostat(0.0, torus.volume, thermal, 7, "full", 300, 0.1, (3,)) if moves else None
    ends = []
    for pieces in ((60,), (1, 30, 2, 27), (1,) * 60):
        walk = walk_of(force_field, RAMP, barostat)
        place = walk.start(start_of(torus).md, 0)
        for n_frames in pieces:
            place = walk.go(place, n_frames).place
        ends.append(place)
    for place in ends[1:]:
        np.testing.assert_array_equal(place.md.velocities, ends[0].md.velocities)
        if moves:
            np.testing.assert_array_equal(place.cell.strain, ends[0].cell.strain)  # type: ignore[union-attr]


def test_a_flat_ramp_is_dynamics_at_one_temperature(force_field: SupercellForceField) -> None:
    flat = replace(RAMP, to_kelvin=RAMP.from_kelvin)
    start = start_of(force_field.torus)
    found = [walk_of(force_field, ramp).go(start, 40).place.md.velocities for ramp in (flat, None)]
    np.testing.assert_array_equal(*found)


def test_it_calls_at_the_temperature_where_the_error_exceeds_the_limit(
    force_field: SupercellForceField,
) -> None:
    """Truncation is that of squares of amplitudes: relative errors rise as the root of temperature."""
    at = {
        kelvin: run(force_field, replace(PLAN, ramp=None, temperature_kelvin=kelvin))
        for kelvin in (200.0, 300.0)
    }
    errors = {kelvin: found.errors.predictive for kelvin, found in at.items() if found.errors is not None}
    assert errors[300.0] / errors[200.0] == pytest.approx(np.sqrt(1.5), rel=0.05)
    found = run(force_field, PLAN, limit=errors[300.0])
    assert found.reason == "error above the limit"
    assert found.ramped_kelvin is not None
    assert found.ramped_kelvin[0] == 200.0
    assert 250.0 < found.ramped_kelvin[1] < 350.0
    assert len(found.to_label) == 1
    n_recent = LIMITS.frames_before_test * RAMP.steps_between_errors // 10
    assert 1 < len(found.pool) <= min(PLAN.n_pool, n_recent)


def test_above_the_temperatures_asked_for_only_large_errors_call(force_field: SupercellForceField) -> None:
    """The error at 520 K is 1.3 times that at 300 K."""
    at_300 = run(force_field, replace(PLAN, ramp=None, temperature_kelvin=300.0)).errors
    assert at_300 is not None
    limit = 1.2 * at_300.predictive
    assert run(force_field, replace(PLAN, ramp=replace(RAMP, asked_kelvin=300.0)), limit).reason == QUIET
    beyond = run(force_field, replace(PLAN, ramp=replace(RAMP, asked_kelvin=600.0)), limit)
    assert beyond.reason == "error above the limit"
    assert beyond.ramped_kelvin is not None
    assert 300.0 < beyond.ramped_kelvin[1] < 520.0


def test_it_stops_before_it_diverges_and_labels_a_sound_frame(force_field: SupercellForceField) -> None:
    limit = 0.25
    found = run(force_field, replace(PLAN, displacement_limit_angstrom=limit))
    assert found.reason == LEFT_TRUSTED_REGION
    assert found.ramped_kelvin is not None
    assert 200.0 <= found.ramped_kelvin[1] < 520.0
    (frame,) = found.displacements
    assert np.linalg.norm(frame, axis=1).max() < LIMITS.label_fraction * limit
    assert f"at {found.ramped_kelvin[1]:.0f}"[:5] in (found.stop or "")


def test_an_interrupted_ramp_goes_on_at_its_temperature(force_field: SupercellForceField) -> None:
    """Of a criterion with one trajectory: it ends, once at its end it stays there and makes no steps."""
    plan, criterion = replace(PLAN, tested_error_relative=0.0), FixedCriterion(1000)
    ends, start = [], None
    for _ in range(12):
        found = explore(force_field, criterion, replace(plan, start=start), lambda *_: None)
        start = found.trajectory
        assert isinstance(start, TrajectoryState)
        ends.append((found.reason, found.n_steps, found.ramped_kelvin))
    assert [reason for reason, *_ in ends].count("its turn") == 8
    assert ends[2] == ("its turn", 1000, (RAMP.kelvin(2000), RAMP.kelvin(3000)))
    assert ends[-1] == (QUIET, 0, (520.0, 520.0))


def test_dynamics_at_one_temperature_stays_at_its_end_too(force_field: SupercellForceField) -> None:
    plan = replace(PLAN, ramp=None, n_steps=1500)
    first = explore(force_field, FixedCriterion(1000), plan, lambda *_: None)
    second = explore(
        force_field, FixedCriterion(1000), replace(plan, start=first.trajectory), lambda *_: None
    )
    third = explore(
        force_field, FixedCriterion(1000), replace(plan, start=second.trajectory), lambda *_: None
    )
    assert (first.reason, second.reason, third.reason) == ("its turn", QUIET, QUIET)
    assert (first.n_steps, second.n_steps, third.n_steps) == (1000, 1000, 0)
    assert third.errors is not None
