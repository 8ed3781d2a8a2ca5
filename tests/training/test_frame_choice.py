"""Frames of a trajectory as a pool: what is chosen, and what is foretold of calculations to come."""

import numpy as np
import pytest
from ase.build import bulk

from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.torus import Torus
from mlff_dyn.model.expansion import Expansion
from mlff_dyn.model.fitting.fit import fit_force_field
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.model.fitting.labelled_frame import LabelledFrame, labelled_frame
from mlff_dyn.model.force_field import ForceField
from mlff_dyn.regression.planning.selection import SELECTIONS
from mlff_dyn.training.frame_choice import can_judge_truncation, choose_frames, information_pool, outlook
from mlff_dyn.training.initial import rattled_displacements
from tests.models import crystal_of, random_force_field

Fits = tuple[Torus, dict[int, ForceField], list[LabelledFrame]]
CUTOFFS = {2: "full", 3: 3.0}


def frames(torus: Torus, n_frames: int, seed: int) -> np.ndarray:
    return np.array([rattled_displacements(torus.n_atoms, 0.05, (seed, i)) for i in range(n_frames)])


@pytest.fixture(scope="module")
def fits() -> Fits:
    """Force fields that 2 and 12 calculations taught, of a crystal that is more than cubic."""
    atoms = bulk("Cu", "fcc", a=3.6, cubic=True)
    truth, torus = random_force_field(atoms, (2, 2, 2), {2: "full", 3: 3.0, 4: {2: 2.6}})
    basis = build_basis(crystal_of(atoms), CUTOFFS, torus)
    teacher, pupil = truth.expansion.on(torus), Expansion(basis).on(torus)
    rows: list[LabelledFrame] = []
    for u in frames(torus, 12, 1):
        forces = (teacher.rows(u)[0] @ truth.posterior.mean).reshape(-1, 3)
        rows.append(labelled_frame(pupil, u, forces, None))
    return torus, {n: fit_force_field(basis, FitData(rows[:n])) for n in (2, 12)}, rows


@pytest.mark.parametrize("kind", sorted(SELECTIONS))
def test_the_choice_is_a_set_of_the_pool(fits: Fits, kind: str) -> None:
    torus, models, rows = fits
    pool = information_pool(models[2], torus, frames(torus, 8, 2), rows[:2])
    chosen = choose_frames(pool, kind, 3)
    assert len(set(chosen)) == 3
    assert set(chosen) <= set(range(8))
    assert choose_frames(pool, kind, 3) == chosen
    assert sorted(choose_frames(pool, kind, 99)) == list(range(8))


def test_the_importance_is_the_epistemic_error(fits: Fits) -> None:
    """Its trace is the mean variance that the force field reports, before calibration."""
    torus, models, rows = fits
    pool_frames = frames(torus, 4, 3)
    pool = information_pool(models[2], torus, pool_frames, rows[:2])
    on_torus = models[2].on(torus)
    reported = np.mean([np.mean(on_torus.force_errors(u).epistemic ** 2) for u in pool_frames])
    factor = models[2].posterior.covariance_factor
    expected = np.vdot(pool.importance, factor @ factor.T) * models[2].calibration ** 2
    assert expected == pytest.approx(reported, rel=1e-8)


def test_the_information_is_that_of_a_fit(fits: Fits) -> None:
    """Weights of every neighborhood: the posterior precision of a fit, of which each frame is a part."""
    torus, models, rows = fits
    model = models[12]
    pool = information_pool(model, torus, np.array([each.displacements for each in rows]), rows)
    direct = np.zeros((len(model.posterior.mean),) * 2)
    for each in rows:
        counts = np.full(torus.n_atoms, 3)
        weighted = model.posterior.hyperparameters.weight_variances(each.conditions, counts)
        scaled = each.supercell.rows(each.displacements)[0] / np.repeat(np.sqrt(weighted), 3)[:, None]
        direct += scaled.T @ scaled
    np.testing.assert_allclose(12 * pool.mean_information, direct, rtol=1e-9, atol=1e-9 * direct.max())
    sizes = pool.misfit.sizes**2 + model.posterior.noise.floor_sd**2
    np.testing.assert_allclose(pool.misfit.weights, rows[0].forces.size / sizes, rtol=1e-9)


def test_many_calculations_teach_less_than_few(fits: Fits) -> None:
    """The curve of a force field that knows more starts lower and is flatter; its scale is surer."""
    torus, models, _ = fits
    few, many = (outlook(models[n], torus, frames(torus, 5, 4)) for n in (2, 12))
    assert many.curve.variance(0) < few.curve.variance(0)
    fall = [found.curve.variance(1) / found.curve.variance(0) for found in (few, many)]
    assert fall[0] < fall[1] < 1.0
    assert many.scale_uncertainty < few.scale_uncertainty


def test_truncation_is_judged_only_on_enough_data(fits: Fits) -> None:
    assert not can_judge_truncation(fits[1][2])
    assert can_judge_truncation(fits[1][12])
