"""Rotational sum rules: what they mean for force constants, and how many parameters they leave."""

import logging
import warnings

import numpy as np
import pytest
from ase import Atoms
from numpy.typing import NDArray

from mlff_dyn.errors import BasisError
from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.rotations import ROTATIONAL_SUM_RULES
from mlff_dyn.lattice.torus import Torus, input_supercell
from mlff_dyn.model.force_constants import force_constants
from tests.lattice.crystals import barium_titanate, quartz, silicon, triclinic, wurtzite
from tests.models import Cutoffs, crystal_of

RULES = tuple(ROTATIONAL_SUM_RULES)


def graphene() -> Atoms:
    cell = 2.46 * np.array([[1.0, 0.0, 0.0], [-0.5, np.sqrt(0.75), 0.0], [0.0, 0.0, 8.0]])
    return Atoms("C2", cell=cell, scaled_positions=[[1 / 3, 2 / 3, 0.5], [2 / 3, 1 / 3, 0.5]], pbc=True)


CASES = [
    (silicon(), 5.5),
    (wurtzite(), 3.7),
    (quartz(), 3.4),
    (barium_titanate(polar=True), 4.1),
    (triclinic(), 4.0),
    (graphene(), 5.0),
]
IDS = ["Si", "AlN", "quartz", "BaTiO3", "triclinic", "graphene"]


def bonds(
    cutoffs: Cutoffs, atoms: Atoms, trained: Torus | None, torus: Torus, rules: tuple[str, ...]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Site of the first atom, force constants, and vector to the second, of all pairs of a large cell."""
    basis = build_basis(crystal_of(atoms), cutoffs, trained, rotational_sum_rules=rules)
    parameters = np.random.default_rng(2).standard_normal(basis.n_parameters)
    found = force_constants(basis, parameters, 2, torus)
    first, second = found.clusters.T
    vectors = (torus.positions[second] - torus.positions[first]) @ np.linalg.inv(torus.lattice)
    vectors = (vectors - np.rint(vectors)) @ torus.lattice
    return first // torus.n_cells, found.blocks, vectors


def broken_rules(
    sites: NDArray[np.int64], blocks: NDArray[np.float64], vectors: NDArray[np.float64]
) -> dict[str, float]:
    """Relative violation of each rule: forces of a rotated crystal, asymmetry of the elastic brackets."""
    moments = np.zeros((sites.max() + 1, 3, 3, 3))
    np.add.at(moments, sites, np.einsum("kab,kc->kabc", blocks, vectors))
    brackets = np.einsum("kab,kc,kd->abcd", blocks, vectors, vectors)
    size = np.abs(blocks).max() * np.abs(vectors).max()
    return {
        "born-huang": float(np.abs(moments - moments.transpose(0, 1, 3, 2)).max()) / size,
        "huang": float(np.abs(brackets - brackets.transpose(2, 3, 0, 1)).max()) / size,
    }


@pytest.mark.parametrize("rules", [(), ("huang",), ("born-huang",), RULES], ids=str)
def test_rules_that_are_asked_for_hold_and_only_they(rules: tuple[str, ...]) -> None:
    torus = input_supercell(crystal_of(triclinic()), (4, 4, 4))
    broken = broken_rules(*bonds({2: 4.0}, triclinic(), None, torus, rules))
    for name, value in broken.items():
        assert (value < 1e-11) == (name in rules)


@pytest.mark.parametrize("atoms", [wurtzite(), triclinic()])
def test_rules_hold_for_the_whole_training_cell(atoms: Atoms) -> None:
    crystal = crystal_of(atoms)
    trained = input_supercell(crystal, (2, 2, 1))
    torus = input_supercell(crystal, (6, 6, 4))
    broken = broken_rules(*bonds({2: "full"}, atoms, trained, torus, RULES))
    assert max(broken.values()) < 1e-11


def test_rounded_positions_add_no_constraint() -> None:
    atoms = wurtzite()
    exact = build_basis(crystal_of(atoms), {2: 3.7}, rotational_sum_rules=RULES)
    atoms.positions += 1e-6 * np.random.default_rng(3).standard_normal(atoms.positions.shape)
    rounded = build_basis(crystal_of(atoms), {2: 3.7}, rotational_sum_rules=RULES)
    assert rounded.n_parameters == exact.n_parameters


@pytest.mark.parametrize("rules", [("huang",), ("born-huang",), RULES], ids=str)
@pytest.mark.parametrize(("atoms", "cutoff"), CASES, ids=IDS)
def test_counts_agree_with_hiphive(atoms: Atoms, cutoff: float, rules: tuple[str, ...]) -> None:
    hiphive = pytest.importorskip("hiphive")
    constraints = pytest.importorskip("hiphive.core.rotational_constraints")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        space = hiphive.ClusterSpace(atoms, [cutoff])
        matrix = constraints.get_rotational_constraint_matrix(space, [rule.title() for rule in rules])
        logging.disable(logging.NOTSET)
    basis = build_basis(crystal_of(atoms), {2: cutoff}, rotational_sum_rules=rules)
    rank = np.linalg.matrix_rank(matrix, tol=1e-6)
    assert basis.n_parameters_per_order[2] == space.get_n_dofs_by_order(2) - rank


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(BasisError, match="'poisson'"):
        build_basis(crystal_of(silicon()), {2: 2.5}, rotational_sum_rules=("poisson",))
