"""The dynamics of an exploration: watched, cut anywhere, at constant volume or constant pressure."""

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk

from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.torus import input_supercell
from mlff_dyn.md.barostat import Barostat
from mlff_dyn.md.start import start_at_rest_positions
from mlff_dyn.model.force_field import SupercellForceField
from mlff_dyn.training.criteria.trajectory import TrajectoryCriterion
from mlff_dyn.training.exploration import ExplorationPlan, explore, exploring_dynamics
from mlff_dyn.training.limits import LIMITS
from mlff_dyn.training.trusted_region import Motion, trusted_region
from mlff_dyn.training.walk import Place, Walk
from mlff_dyn.units import BOLTZMANN_EV_PER_K
from tests.models import crystal_of, fitted_to_harmonic, spring_hessian

BOND = 3.6 / np.sqrt(2)


@pytest.fixture(scope="module")
def crystal() -> SupercellForceField:
    atoms = crystal_of(bulk("Cu", "fcc", a=3.6, cubic=True))
    torus = input_supercell(atoms, (2, 2, 2))
    basis = build_basis(atoms, {2: 3.0}, torus)
    return fitted_to_harmonic(basis, torus, spring_hessian(torus, {BOND: (2.0, 0.2)})).on(torus)


def barostat_of(crystal: SupercellForceField, strain_limit: float = 0.1) -> Barostat:
    thermal = 300.0 * BOLTZMANN_EV_PER_K
    return Barostat(0.0, crystal.torus.volume, thermal, 7, "full", 300, strain_limit, (3,))


def walk_of(crystal: SupercellForceField, stride: int, barostat: Barostat | None = None) -> Walk:
    region = trusted_region(crystal, Motion(300.0, 2.0, 1000))
    if barostat is not None:
        region = replace(region, least_potential_energy=-np.inf)
    dynamics = exploring_dynamics(crystal.torus, 300.0, 2.0)
    return Walk(crystal, dynamics, region, stride=stride, limits=LIMITS, barostat=barostat)


def start_of(walk: Walk, crystal: SupercellForceField) -> Place:
    return walk.start(start_at_rest_positions(crystal.torus.masses, 300.0, (1,)), 0)


@pytest.mark.parametrize("stride", [1, 10, 25, 120])
@pytest.mark.parametrize("moves", [False, True])
def test_a_walk_may_be_cut_at_any_frame(crystal: SupercellForceField, stride: int, moves: bool) -> None:
    walk = walk_of(crystal, stride, barostat_of(crystal) if moves else None)
    whole = walk.go(start_of(walk, crystal), 5)
    first = walk.go(start_of(walk, crystal), 2)
    second = walk.go(first.place, 3)
    assert len(whole.frames) == 5
    assert whole.stop is None
    assert second.place.n_steps == whole.place.n_steps == 5 * stride
    np.testing.assert_array_equal(second.place.md.displacements, whole.place.md.displacements)
    np.testing.assert_array_equal(second.place.md.rng, whole.place.md.rng)
    np.testing.assert_array_equal(second.frames.displacements, whole.frames.displacements[2:])
    assert second.kinetic_energy == whole.kinetic_energy
    if moves:
        np.testing.assert_array_equal(second.frames.strains, whole.frames.strains[2:])
        np.testing.assert_array_equal(second.place.cell.strain, whole.place.cell.strain)


def test_frames_are_those_of_the_dynamics(crystal: SupercellForceField) -> None:
    walk = walk_of(crystal, 15)
    start = start_of(walk, crystal)
    run = crystal.kernel.run(start.md, walk.dynamics, 90, 15)
    np.testing.assert_array_equal(walk.go(start, 6).frames.displacements, run.displacements)


def test_a_cell_that_moves_stays_within_its_limit(crystal: SupercellForceField) -> None:
    walk = walk_of(crystal, 10, barostat_of(crystal, strain_limit=0.004))
    strains = walk.go(start_of(walk, crystal), 120).frames.strains
    largest = np.abs(np.linalg.eigvalsh(strains)).max(axis=1)
    assert 0.002 < largest.max() <= 0.004
    assert len(np.unique(strains[:, 0, 1])) > 3


def test_errors_cost_little_in_a_long_walk(crystal: SupercellForceField) -> None:
    """Ten frames close to each other, then one in so many steps, and the one at the end."""
    each = 250.0 / crystal.force_field.basis.n_parameters
    limits = replace(LIMITS, steps_per_error=each, fixed_cost_of_error=0.0, least_errors=8)
    plan = ExplorationPlan(300.0, 2.0, n_steps=3000, seed=(1,), tested_error_relative=0.0, limits=limits)
    seen: list[int] = []
    found = explore(crystal, TrajectoryCriterion(1e3), plan, lambda step, _: seen.append(step))
    assert found.n_steps == plan.n_steps == seen[-1]
    gaps = np.diff(seen)
    assert (gaps[: LIMITS.frames_before_test - 1] == 10).all()
    assert (gaps[LIMITS.frames_before_test - 1 : -1] == 250).all()
    assert limits.steps_between_errors(10**6, 32, 3000) == 375


def test_errors_of_a_small_model_cost_as_much_as_its_steps() -> None:
    """What they cost whatever the expansion counts, and there are 50 of a trajectory."""
    assert LIMITS.steps_between_errors(200, 64, 20000) == 250
    assert LIMITS.steps_between_errors(20, 64, 20000) == pytest.approx(200, abs=5)
    assert LIMITS.steps_between_errors(17, 32, 20000) == 20000 // LIMITS.least_errors


def test_errors_are_those_of_the_strained_crystal(crystal: SupercellForceField) -> None:
    walk = walk_of(crystal, 10, barostat_of(crystal))
    frames = walk.go(start_of(walk, crystal), 40).frames
    strained = crystal.strained(frames.strains[-1])
    u = frames.displacements[-1]
    assert frames.strains[-1].any()
    found = walk.errors(frames, -1)
    expected = np.sqrt(np.mean(strained.force_errors(u).predictive ** 2))
    assert found.predictive == pytest.approx(expected, rel=1e-12)
    assert found.force == pytest.approx(np.sqrt(np.mean(strained.energy_forces(u)[1] ** 2)), rel=1e-9)
