"""Exploration: deterministic, labelled only inside the trusted region, honest about why it ends."""

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk

from mlff_dyn.lattice.basis import ForceConstantBasis, build_basis
from mlff_dyn.lattice.torus import Torus, input_supercell
from mlff_dyn.md.start import displacement_limit, start_at_rest_positions
from mlff_dyn.model.force_field import ForceField, SupercellForceField
from mlff_dyn.regression.fit.noise import NoiseModel
from mlff_dyn.store.provenance import LEFT_TRUSTED_REGION
from mlff_dyn.training.criteria.decision import Decision, History
from mlff_dyn.training.criteria.errors import MeanErrors
from mlff_dyn.training.criteria.trajectory import TrajectoryCriterion
from mlff_dyn.training.exploration import (
    QUIET,
    UNCONFIRMED,
    UNTESTED,
    Exploration,
    ExplorationPlan,
    TrajectoryState,
    explore,
    exploring_dynamics,
)
from mlff_dyn.training.initial import rattled_displacements
from mlff_dyn.training.limits import LIMITS
from mlff_dyn.training.trusted_region import Motion, trusted_region
from tests.models import crystal_of, fitted_to_harmonic, spring_hessian

BOND = 3.6 / np.sqrt(2)
PLAN = ExplorationPlan(
    temperature_kelvin=300.0,
    timestep_femtoseconds=2.0,
    n_steps=2000,
    seed=(1, 0),
    tested_error_relative=0.0,
)


@pytest.fixture(scope="module")
def setting() -> tuple[ForceConstantBasis, Torus, ForceField]:
    crystal = crystal_of(bulk("Cu", "fcc", a=3.6, cubic=True))
    torus = input_supercell(crystal, (2, 2, 2))
    basis = build_basis(crystal, {2: 3.0}, torus)
    return basis, torus, fitted_to_harmonic(basis, torus, spring_hessian(torus, {BOND: (2.0, 0.2)}))


def with_errors(
    force_field: ForceField, torus: Torus, epistemic: float, truncation: float = 0.0
) -> SupercellForceField:
    """The force field with errors of about these sizes relative to the forces."""
    u = rattled_displacements(torus.n_atoms, 0.1, (3,))
    force_rms = np.sqrt(np.mean(force_field.on(torus).energy_forces(u)[1] ** 2))
    plain = replace(force_field, calibration=1.0)
    now = np.sqrt(np.mean(plain.on(torus).force_errors(u).epistemic ** 2))
    posterior = replace(
        force_field.posterior,
        covariance_factor=force_field.posterior.covariance_factor * (epistemic * force_rms / now),
        hyperparameters=replace(
            force_field.posterior.hyperparameters, noise=NoiseModel(float(truncation * force_rms))
        ),
    )
    return replace(plain, posterior=posterior).on(torus)


def run(
    force_field: SupercellForceField, plan: ExplorationPlan = PLAN, limit: float = 0.05
) -> tuple[Exploration, list[tuple[int, MeanErrors]]]:
    seen: list[tuple[int, MeanErrors]] = []
    found = explore(force_field, TrajectoryCriterion(limit), plan, lambda *event: seen.append(event))
    return found, seen


def test_equal_plans_give_equal_bytes(setting: tuple[ForceConstantBasis, Torus, ForceField]) -> None:
    _, torus, force_field = setting
    uncertain = with_errors(force_field, torus, 0.2)
    first, seen = run(uncertain)
    second, seen_again = run(uncertain)
    assert len(first.displacements) == 1
    assert len(second.displacements) == 1
    np.testing.assert_array_equal(first.displacements, second.displacements)
    assert (first.reason, first.n_steps, first.errors) == (second.reason, second.n_steps, second.errors)
    assert seen == seen_again
    other, _ = run(uncertain, replace(PLAN, seed=(2, 0)))
    assert len(other.displacements) == 1
    assert np.abs(other.displacements - first.displacements).max() > 1e-3


def test_a_sure_force_field_is_quiet(setting: tuple[ForceConstantBasis, Torus, ForceField]) -> None:
    _, torus, force_field = setting
    found, seen = run(with_errors(force_field, torus, 0.01))
    assert (found.reason, len(found.displacements)) == (QUIET, 0)
    assert found.n_steps == PLAN.n_steps == seen[-1][0]
    assert found.errors == seen[-1][1]
    assert found.errors.predictive == pytest.approx(0.01, rel=0.5)


def test_an_unsure_one_calls(setting: tuple[ForceConstantBasis, Torus, ForceField]) -> None:
    _, torus, force_field = setting
    found, _ = run(with_errors(force_field, torus, 0.1))
    assert found.reason == Decision.CALL.value
    assert len(found.displacements) == 1
    assert found.n_steps < PLAN.n_steps
    sudden, _ = run(with_errors(force_field, torus, 0.5))
    assert sudden.reason == Decision.CALL_NOW.value
    assert sudden.n_steps < found.n_steps


@pytest.mark.parametrize("n_pool", [3, 10, 40])
def test_the_pool_is_of_the_trajectory(
    setting: tuple[ForceConstantBasis, Torus, ForceField], n_pool: int
) -> None:
    """As many frames as asked for, the calling one among them; without going on only those there are."""
    _, torus, force_field = setting
    unsure = with_errors(force_field, torus, 0.1)
    short, _ = run(unsure, replace(PLAN, n_pool=n_pool))
    full, _ = run(unsure, replace(PLAN, n_pool=n_pool, complete_pool=True))
    assert len(full.pool) == n_pool
    assert len(short.pool) == min(n_pool, 11)
    np.testing.assert_array_equal(short.displacements, full.displacements)
    np.testing.assert_array_equal(short.pool[-1], short.displacements[0])
    assert full.n_steps - short.n_steps == 10 * max(0, n_pool - 11)
    quiet, _ = run(with_errors(force_field, torus, 0.01))
    assert len(quiet.pool) == 0


def test_an_untested_temperature_is_labelled_in_any_case(
    setting: tuple[ForceConstantBasis, Torus, ForceField],
) -> None:
    _, torus, force_field = setting
    found, _ = run(with_errors(force_field, torus, 0.01), replace(PLAN, tested_error_relative=np.inf))
    assert found.reason == UNTESTED
    assert len(found.displacements) == 1
    assert found.n_steps < PLAN.n_steps


def test_an_error_far_below_the_one_that_was_tested_is_tested_once_more(
    setting: tuple[ForceConstantBasis, Torus, ForceField],
) -> None:
    _, torus, force_field = setting
    quiet, _ = run(with_errors(force_field, torus, 0.01))
    assert quiet.errors is not None
    now = quiet.errors.predictive
    limited = replace(PLAN, force_error_limit_relative=0.5 * quiet.errors.predictive)
    near, far = (replace(limited, tested_error_relative=factor * now) for factor in (1.2, 2.0))
    within = replace(far, force_error_limit_relative=3.0 * quiet.errors.predictive)
    for plan in (near, within):
        assert run(with_errors(force_field, torus, 0.01), plan)[0].reason == QUIET
    found, _ = run(with_errors(force_field, torus, 0.01), far)
    assert found.reason == UNCONFIRMED
    assert len(found.displacements) == 1


@pytest.mark.parametrize("n_steps", [1, 260, 300])
def test_a_short_exploration_is_no_test(
    setting: tuple[ForceConstantBasis, Torus, ForceField], n_steps: int
) -> None:
    """However few steps are asked for, an untested temperature is labelled."""
    _, torus, force_field = setting
    plan = replace(PLAN, tested_error_relative=np.inf, n_steps=n_steps)
    found, _ = run(with_errors(force_field, torus, 0.01), plan)
    assert found.reason == UNTESTED
    assert len(found.displacements) == 1
    quiet, _ = run(with_errors(force_field, torus, 0.01), replace(plan, tested_error_relative=0.0))
    assert quiet.reason == QUIET


def test_an_expansion_that_is_too_small_is_not_labelled_in_vain(
    setting: tuple[ForceConstantBasis, Torus, ForceField],
) -> None:
    _, torus, force_field = setting
    limited = with_errors(force_field, torus, 0.01, truncation=0.08)
    criterion = TrajectoryCriterion(0.05, can_judge_truncation=True)
    found = explore(limited, criterion, PLAN, lambda *_: None)
    assert found.reason == Decision.EXPANSION_LIMITED.value
    assert len(found.displacements) == 0


@pytest.mark.parametrize("seed", range(5))
def test_a_pool_holds_no_exploded_frames(seed: int) -> None:
    """The crystal runs away while the pool is being completed."""
    crystal = crystal_of(bulk("Cu", "fcc", a=3.6, cubic=True))
    torus = input_supercell(crystal, (2, 2, 2))
    basis = build_basis(crystal, {2: 3.0}, torus)
    unstable = fitted_to_harmonic(basis, torus, spring_hessian(torus, {BOND: (1.0, -0.3)}))
    plan = replace(PLAN, seed=(seed,), n_pool=2000, complete_pool=True, tested_error_relative=np.inf)
    found, _ = run(with_errors(unstable, torus, 1e-4), plan)
    assert all(largest(frame) < 0.8 * displacement_limit(crystal) for frame in found.pool)
    assert len(found.pool) < 2000


def largest(displacements: np.ndarray) -> float:
    return float(np.linalg.norm(displacements, axis=1).max())


@pytest.mark.parametrize("softness", [-0.3, -1.0])
@pytest.mark.parametrize("seed", range(3))
def test_exploded_frames_are_never_labelled(softness: float, seed: int) -> None:
    """Unstable crystals run away; what is labelled lies well inside the limit."""
    crystal = crystal_of(bulk("Cu", "fcc", a=3.6, cubic=True))
    torus = input_supercell(crystal, (2, 2, 2))
    basis = build_basis(crystal, {2: 3.0}, torus)
    unstable = fitted_to_harmonic(basis, torus, spring_hessian(torus, {BOND: (1.0, softness)}))
    found, _ = run(with_errors(unstable, torus, 1e-4), replace(PLAN, seed=(seed,), n_steps=20000))
    assert found.reason == LEFT_TRUSTED_REGION
    assert found.stop is not None
    assert found.stop.startswith(f"at 300 K, step {found.n_steps}, atom ")
    assert found.n_steps < 20000
    assert len(found.displacements) == 1
    assert np.isfinite(found.displacements).all()
    assert largest(found.displacements[0]) < 0.8 * displacement_limit(crystal)


def test_too_hot_a_crystal_leaves_the_trusted_region(
    setting: tuple[ForceConstantBasis, Torus, ForceField],
) -> None:
    _, torus, force_field = setting
    found, _ = run(with_errors(force_field, torus, 1e-4), replace(PLAN, temperature_kelvin=40000.0))
    assert found.reason == LEFT_TRUSTED_REGION
    assert all(largest(frame) < 0.8 * 0.5 * BOND for frame in found.displacements)


def test_rattled_cells() -> None:
    """Asked amplitude, no rigid shift, the same for the same seed."""
    u = rattled_displacements(5000, 0.03, (1, 2))
    assert u.std() == pytest.approx(0.03, rel=0.03)
    np.testing.assert_allclose(u.mean(axis=0), 0.0, atol=1e-15)
    np.testing.assert_array_equal(u, rattled_displacements(5000, 0.03, (1, 2)))
    assert np.abs(u - rattled_displacements(5000, 0.03, (1, 3))).max() > 0.01


class Every:
    """Calls every 30 steps, after two candidates."""

    every_steps, goes_on = 10, True

    def decide(self, history: History) -> Decision:
        return Decision.CANDIDATE if history.n_frames < 3 else Decision.CALL


def test_a_trajectory_that_goes_on_is_the_one_without_refits(setting) -> None:
    """Interrupted every 30 steps by a call and continued, it visits what one run visits, bit by bit."""
    _, torus, force_field = setting
    supercell, plan, seen = with_errors(force_field, torus, 0.01), replace(PLAN, n_steps=90), []
    for number in range(3):
        found = explore(supercell, Every(), plan, lambda *_: None)
        assert (found.reason, found.n_steps) == (Decision.CALL.value, 30)
        assert found.trajectory is not None
        assert found.trajectory.n_steps == 30 * (number + 1)
        assert len(found.trajectory.recent) == 3 * (number + 1)
        assert found.trajectory.after_refits == found.trajectory.recent[::3]
        seen += list(found.displacements)
        plan = replace(plan, start=found.trajectory)
    dynamics = exploring_dynamics(torus, 300.0, 2.0, farthest=1.0)
    whole = supercell.kernel.run(start_at_rest_positions(torus.masses, 300.0, PLAN.seed), dynamics, 90, 10)
    np.testing.assert_array_equal(np.array(seen), whole.displacements)


class Never:
    every_steps, goes_on = 1, True

    def decide(self, history: History) -> Decision:
        return Decision.GO_ON


def test_a_trajectory_that_leaves_goes_back_to_its_last_sound_frame(setting) -> None:
    basis, torus, _ = setting
    soft = fitted_to_harmonic(basis, torus, spring_hessian(torus, {BOND: (-0.3, -0.03)})).on(torus)
    found = explore(soft, Never(), replace(PLAN, n_steps=20000), lambda *_: None)
    assert found.reason == LEFT_TRUSTED_REGION
    assert found.trajectory is not None
    np.testing.assert_array_equal(found.trajectory.md.displacements, found.displacements[0])
    assert largest(found.displacements[0]) < 0.8 * displacement_limit(torus.crystal)
    again = explore(soft, Never(), replace(PLAN, n_steps=20000, start=found.trajectory), lambda *_: None)
    assert again.reason == LEFT_TRUSTED_REGION


class Rarely:
    """Criterion that judges a frame in a thousand steps."""

    every_steps: int | None = 1000
    goes_on = False

    def decide(self, history: History) -> Decision:
        return Decision.GO_ON


@pytest.mark.parametrize("softness", [-0.3, -0.5, -1.0])
@pytest.mark.parametrize("criterion", [Rarely(), TrajectoryCriterion(10.0)])
@pytest.mark.parametrize("timestep", [0.25, 2.0])
def test_divergence_is_found_within_50_steps(
    softness: float, criterion: Rarely | TrajectoryCriterion, timestep: float
) -> None:
    """A displacement in its step, an energy 50 steps later at the latest, whenever frames are judged.

    The trajectory begins where one that has equilibrated would.
    """
    crystal = crystal_of(bulk("Cu", "fcc", a=3.6, cubic=True))
    torus = input_supercell(crystal, (2, 2, 2))
    basis = build_basis(crystal, {2: 3.0}, torus)
    unstable = with_errors(
        fitted_to_harmonic(basis, torus, spring_hessian(torus, {BOND: (1.0, softness)})), torus, 1e-4
    )
    state = start_at_rest_positions(torus.masses, 300.0, (7,))
    start = TrajectoryState(state, 0)
    plan = replace(PLAN, timestep_femtoseconds=timestep, n_steps=20000, start=start)
    found = explore(unstable, criterion, plan, lambda *_: None)
    region = trusted_region(unstable, Motion(300.0, timestep, plan.n_steps))
    dynamics = exploring_dynamics(torus, 300.0, timestep, farthest=region.displacement_limit_angstrom)
    whole = unstable.kernel.run(state, dynamics, plan.n_steps, 1)
    unusual = np.flatnonzero(~region.is_usual(whole))
    first = unusual[0] + 1 if len(unusual) else whole.stopped_step
    assert found.reason == LEFT_TRUSTED_REGION
    assert first is not None
    assert first <= found.n_steps < first + LIMITS.most_steps_unwatched
    if not len(unusual):
        assert found.n_steps == first
