"""Comparing nested expansions: data of a known expansion call for it and for no larger one."""

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk

from mlff_dyn.errors import FitError
from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.torus import input_supercell
from mlff_dyn.local.basis import LocalSettings
from mlff_dyn.model.expansion import Expansion
from mlff_dyn.model.fitting.labelled_frame import labelled_frame
from mlff_dyn.model.local_expansion import local_basis
from mlff_dyn.model.search.expansion_search import Trial, cheapest_sufficient, search_expansions
from mlff_dyn.model.search.expansion_steps import Steps
from mlff_dyn.model.search.local_steps import LocalStep
from mlff_dyn.model.search.search_limits import SEARCH_LIMITS
from tests.models import crystal_of

SILICON = crystal_of(bulk("Si", cubic=True))
TORUS = input_supercell(SILICON, (2, 2, 2))


def labelled(cutoffs, n_snapshots=5, noise=1e-3):
    """Supercells labelled by random parameters of an expansion whose orders contribute alike."""
    supercell = Expansion(build_basis(SILICON, cutoffs, TORUS)).on(TORUS)
    generator = np.random.default_rng(2)
    parameters = generator.standard_normal(supercell.basis.n_parameters) / 0.1 ** (
        supercell.basis.parameter_orders - 1.0
    )
    kernel = supercell.kernel(parameters)
    rows = []
    for _ in range(n_snapshots):
        u = 0.1 * generator.standard_normal((TORUS.n_atoms, 3))
        energy, forces = kernel.energy_forces(u)
        rows.append(labelled_frame(supercell, u, forces + noise * generator.standard_normal(u.shape), energy))
    return rows


def reaches(cutoff):
    return cutoff.values() if isinstance(cutoff, dict) else [cutoff]


def test_pairs_may_reach_farther_than_larger_clusters():
    """Data of third-order pairs up to the second shell and triples of the first."""
    truth = {2: "full", 3: {2: 4.0, 3: 3.9}}
    pairs_alone = {2: "full", 3: {2: 4.0}}
    found = [
        cheapest_sufficient(list(search_expansions(labelled(cutoffs, noise=1e-4), TORUS))).cutoffs_angstrom[3]
        for cutoffs in (truth, pairs_alone)
    ]
    assert all(3.8 < reach < 4.5 for reach in reaches(found[0]))
    assert set(found[1]) == {2}
    assert 3.8 < found[1][2] < 4.5


def test_the_expansion_of_the_data_is_found():
    trials = list(search_expansions(labelled({2: "full", 3: 2.5}), TORUS))
    suggested = cheapest_sufficient(trials)
    assert set(suggested.cutoffs_angstrom) == {2, 3}
    assert all(2.36 < reach < 3.8 for reach in reaches(suggested.cutoffs_angstrom[3]))
    assert trials[0].cutoffs_angstrom == {2: "full"}
    assert trials[0].held_out_error_relative > 10 * suggested.held_out_error_relative


def test_one_supercell_is_judged_by_evidence_alone():
    trials = list(search_expansions(labelled({2: "full", 3: 2.5}, n_snapshots=1), TORUS))
    assert {trial.held_out_error_relative for trial in trials} == {None}
    suggested = cheapest_sufficient(trials)
    assert suggested.log_evidence == max(trial.log_evidence for trial in trials)
    assert 3 in suggested.cutoffs_angstrom


def test_the_smallest_of_those_as_good_is_taken():
    small = Trial({2: "full"}, 10, 100.0, 0.0105, 1.0)
    large = replace(small, n_parameters=20, log_evidence=200.0, held_out_error_relative=0.01)
    bad = replace(small, n_parameters=5, held_out_error_relative=0.2)
    assert cheapest_sufficient([bad, large, small]) == small


def test_no_data_are_refused():
    with pytest.raises(FitError, match="no labelled snapshot"):
        next(search_expansions([], TORUS))


def test_a_local_part_is_found_where_the_data_have_one():
    """Data of order 2 and of a small local part; steps back from one that is too large."""
    first = LocalSettings(4.0, 2, 0)
    local = local_basis(SILICON, first)
    supercell = Expansion(build_basis(SILICON, {2: 2.5}, TORUS), local=local).on(TORUS)
    generator = np.random.default_rng(1)
    parameters = generator.standard_normal(supercell.expansion.n_parameters)
    rows = []
    for _ in range(4):
        u = 0.1 * generator.standard_normal((TORUS.n_atoms, 3))
        energy, forces = supercell.kernel(parameters).energy_forces(u)
        rows.append(labelled_frame(supercell, u, forces + 1e-3 * generator.standard_normal(u.shape), energy))
    trials = list(search_expansions(rows, TORUS, first_local=replace(first, n_radial=3, l_max=1)))
    assert {trial.local is None for trial in trials} == {True, False}
    suggested = cheapest_sufficient(trials)
    assert suggested.cutoffs_angstrom == {2: "full"}
    assert suggested.local is not None
    assert suggested.n_parameters < supercell.expansion.n_parameters + 25 + 20
    alone = [trial.held_out_error_relative for trial in trials if trial.local is None]
    assert suggested.held_out_error_relative < 0.5 * min(alone)


def test_every_expansion_has_the_sum_rules_that_are_asked_for():
    torus = input_supercell(crystal_of(bulk("Mg")), (3, 3, 2))
    local = LocalSettings(4.0, 2, 1)
    free, bound = (Steps(torus, SEARCH_LIMITS, local, rules) for rules in ((), ("huang", "born-huang")))
    assert bound.first().n_parameters < free.first().n_parameters
    step = LocalStep(0, 1, "first")
    sizes = [each.take(each.first(), step).n_parameters - each.first().n_parameters for each in (free, bound)]
    assert sizes[1] < sizes[0]
