"""A training that is for one quantity: when it calls, and which frames it takes."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.torus import input_supercell
from mlff_dyn.model.expansion import Expansion
from mlff_dyn.model.fitting.fit import fit_force_field
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.training.criteria.decision import Decision, History
from mlff_dyn.training.criteria.errors import FrameErrors, MeanErrors
from mlff_dyn.training.criteria.observable import ObservableCriterion
from mlff_dyn.training.observable_choice import choose_for_slopes, fall_of_variance
from mlff_dyn.training.round_choice import TemperaturePool
from mlff_dyn.training.running import with_running
from mlff_dyn.workflows.snapshots import frames_of_snapshots
from tests.models import copper, crystal_of, emt_snapshots

TORUS = input_supercell(crystal_of(copper()), (2, 2, 2))
LAST = FrameErrors(1.0, 0.1, 0.1, 0.2, 0.05, 0.1)


@cache
def trained():
    basis = build_basis(TORUS.crystal, {2: "full", 3: 3.0}, TORUS)
    frames = frames_of_snapshots(Path("frames"), emt_snapshots((2, 2, 2), (0.05,)), Expansion(basis))
    return fit_force_field(basis, FitData(frames))


def pools():
    supercell, generator = trained().expansion.on(TORUS), np.random.default_rng(3)
    drawn = [
        [(supercell, sd * generator.standard_normal((TORUS.n_atoms, 3))) for _ in range(3)]
        for sd in (0.01, 0.1)
    ]
    return [
        TemperaturePool(frames, 1.0, must_label)
        for frames, must_label in zip(drawn, (True, False), strict=True)
    ]


@pytest.mark.parametrize(
    ("epistemic", "truncation", "judge", "expected"),
    [
        (0.04, 0.01, True, Decision.GO_ON),
        (0.06, 0.01, True, Decision.CALL),
        (0.06, 0.06, True, Decision.EXPANSION_LIMITED),
        (0.06, 0.06, False, Decision.CALL),
        (np.inf, 0.0, True, Decision.CALL),
    ],
)
def test_it_calls_while_data_lower_the_error_under_the_limit(epistemic, truncation, judge, expected):
    criterion = ObservableCriterion(0.05, epistemic, truncation, judge)
    mean = MeanErrors(1.0, 0.5, 0.5, 0.7)
    assert criterion.decide(History(LAST, mean, n_frames=10)) == expected
    assert criterion.decide(History(LAST, mean, n_frames=9)) == Decision.GO_ON


def test_the_variance_falls_as_a_refit_says():
    force_field, frame = trained(), pools()[1].frames[0]
    slopes = np.random.default_rng(1).standard_normal(len(force_field.posterior.mean))
    after = with_running(force_field, [frame])
    variances = [np.sum((slopes @ each.posterior.covariance_factor) ** 2) for each in (force_field, after)]
    assert fall_of_variance(force_field, frame, slopes) == pytest.approx(
        variances[0] - variances[1], rel=1e-6
    )


def test_frames_are_those_that_lower_the_error_most_but_for_temperatures_that_must_be_tested():
    force_field, given = trained(), pools()
    slopes = np.random.default_rng(1).standard_normal(len(force_field.posterior.mean))
    found = choose_for_slopes(force_field, given, slopes, n_most=3)
    assert len(set(found.frames)) == 3
    assert found.frames[0][0] == 0
    assert (np.diff(found.expected) < 0.0).all()
    falls = [fall_of_variance(force_field, frame, slopes) for frame in given[0].frames]
    assert found.frames[0][1] == int(np.argmax(falls))
