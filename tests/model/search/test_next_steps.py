"""Advice of one step: data of a known expansion call for what a smaller one leaves out."""

from dataclasses import replace

import numpy as np
import pytest

from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.model.search.expansion_steps import Candidate, Steps
from mlff_dyn.model.search.next_steps import NEXT_STEP_LIMITS, next_steps
from mlff_dyn.model.search.search_limits import SEARCH_LIMITS
from tests.model.search.test_expansion_search import SILICON, TORUS, labelled


def candidate(cutoffs):
    return Candidate({}, cutoffs, build_basis(SILICON, cutoffs, TORUS))


@pytest.mark.parametrize(
    ("truth", "present", "missing"),
    [
        ({2: "full", 3: {2: 2.5}}, {2: "full"}, {3: {2: 2.4}}),
        ({2: "full", 3: 3.9}, {2: "full", 3: 2.5}, {3: 3.89}),
        ({2: "full", 3: {2: 3.9}}, {2: "full", 3: {2: 2.5}}, {3: {2: 3.89}}),
        ({2: 5.0, 3: 2.5, 4: {2: 2.5}}, {2: 5.0, 3: 2.5}, {4: {2: 2.4}}),
    ],
)
def test_what_is_missing_is_proposed_and_the_rest_stays(truth, present, missing):
    found = next_steps(labelled(truth), TORUS, candidate(present), first_local=None)
    best = found.better[0]
    assert best.cutoffs_angstrom == {**present, **missing}
    assert best.held_out_error_relative < 0.5 * found.now.held_out_error_relative


def test_nothing_is_proposed_where_nothing_is_missing():
    cutoffs = {2: "full", 3: 2.5}
    assert next_steps(labelled(cutoffs), TORUS, candidate(cutoffs), first_local=None).better == ()


def test_one_supercell_or_fits_that_take_too_long_give_no_advice():
    cutoffs = {2: "full"}
    data = labelled(cutoffs, n_snapshots=2)
    assert next_steps(data[:1], TORUS, candidate(cutoffs), first_local=None) is None
    limits = replace(NEXT_STEP_LIMITS, operations=1.0)
    assert next_steps(data, TORUS, candidate(cutoffs), first_local=None, limits=limits) is None


@pytest.mark.parametrize(
    ("cutoff", "shells"), [(2.5, (1, 0)), (3.83, (1, 0)), ({2: 3.9}, (2, 0)), (3.9, (2, 2)), ("full", (3, 3))]
)
def test_shells_of_given_cutoffs(cutoff, shells):
    """Silicon has no triangle of nearest neighbors."""
    steps = Steps(TORUS, SEARCH_LIMITS, start=candidate({2: "full", 3: cutoff}))
    start = steps.first()
    assert start.shells == {3: shells}
    for step in steps.beyond(start, n_shells=1):
        larger = steps.take(start, step)
        assert larger is None or larger.basis.n_parameters > start.basis.n_parameters
        assert larger is None or np.isin(start.basis.orders, larger.basis.orders).all()
