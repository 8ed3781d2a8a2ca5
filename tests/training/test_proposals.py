"""Proposed training cells and expansions: compact, as symmetric as the crystal, and accepted by the basis."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, graphene, mx2, nanotube
from ase.spacegroup import crystal as spacegroup_crystal

from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.crystal import build_crystal
from mlff_dyn.lattice.rotations import ROTATIONAL_SUM_RULES
from mlff_dyn.lattice.torus import input_supercell
from mlff_dyn.lattice.wigner_seitz import compatible_operations, largest_safe_cutoff
from mlff_dyn.training.proposed_cell import CELL_LIMITS, TrainingCell, propose_cell
from mlff_dyn.training.proposed_expansion import EXPANSION_LIMITS, propose_expansion
from mlff_dyn.training.proposed_local import LOCAL_LIMITS, propose_local
from tests.models import crystal_of


def _quartz() -> Atoms:
    sites = [(0.47, 0.0, 0.0), (0.414, 0.267, 0.119)]
    return spacegroup_crystal("SiO", sites, spacegroup=152, cellpar=[4.91, 4.91, 5.4, 90, 90, 120])


def _snse() -> Atoms:
    sites = [(0.12, 0.25, 0.1), (0.85, 0.25, 0.48)]
    return spacegroup_crystal("SnSe", sites, spacegroup=62, cellpar=[11.5, 4.15, 4.45, 90, 90, 90])


def _random(seed: int, n: int) -> Atoms:
    """A crystal without symmetry, neighbors at least 1.8 Å apart."""
    rng = np.random.default_rng(seed)
    cell = np.diag([5.0, 5.5, 6.1]) * (n / 6) ** (1 / 3) + rng.uniform(-0.6, 0.6, (3, 3))
    places: list[np.ndarray] = []
    shifts = np.array(list(product((-1, 0, 1), repeat=3))) @ cell
    while len(places) < n:
        new = rng.random(3) @ cell
        if all(np.linalg.norm(new - old + shifts, axis=1).min() > 1.8 for old in places):
            places.append(new)
    return Atoms([("B", "N", "Si", "O")[i % 4] for i in range(n)], positions=places, cell=cell, pbc=True)


CRYSTALS = {
    "Al": bulk("Al"),
    "Fe": bulk("Fe", cubic=True),
    "Si": bulk("Si", cubic=True),
    "C": bulk("C"),
    "NaCl": bulk("NaCl", "rocksalt", a=5.64),
    "Mg": bulk("Mg"),
    "quartz": _quartz(),
    "SnSe": _snse(),
    "P1": _random(1, 6),
    "large P1": _random(2, 30),
}


@pytest.mark.parametrize("name", CRYSTALS)
def test_a_proposal_runs(name: str) -> None:
    """The cell is a supercell of the input, keeps the symmetry, and its cutoffs are accepted."""
    atoms = CRYSTALS[name]
    crystal = crystal_of(atoms)
    proposal = propose_cell(crystal)
    cell = proposal.proposed
    torus = input_supercell(crystal, cell.matrix)
    assert torus.n_atoms == cell.n_atoms == len(atoms) * round(np.linalg.det(cell.matrix))
    assert CELL_LIMITS.fewest_atoms <= cell.n_atoms <= CELL_LIMITS.most_atoms
    assert cell.image_distance_angstrom == pytest.approx(_shortest(torus.lattice))
    if crystal.n_operations > 1:
        assert len(compatible_operations(torus)) == crystal.n_operations
    for other, sign in ((proposal.cheaper, 1), (proposal.larger, -1)):
        assert other is None or sign * (cell.n_atoms - other.n_atoms) > 0
    expansion = propose_expansion(torus)
    basis = build_basis(crystal, expansion.cutoffs_angstrom, torus)
    assert basis.n_parameters_per_order == expansion.n_parameters_per_order
    assert all(
        cut <= largest_safe_cutoff(torus) for cut in expansion.cutoffs_angstrom.values() if cut != "full"
    )
    assert max(basis.n_parameters_per_order.values()) <= EXPANSION_LIMITS.most_parameters * 1.1


@pytest.mark.parametrize(
    ("name", "matrix"), [("Al", (4, 4, 4)), ("Si", (2, 2, 2)), ("NaCl", (3, 3, 3)), ("SnSe", (1, 3, 3))]
)
def test_the_usual_cells(name: str, matrix: tuple[int, int, int]) -> None:
    assert np.array_equal(propose_cell(crystal_of(CRYSTALS[name])).proposed.matrix, np.diag(matrix))


def test_a_matrix_where_no_repetition_is_as_compact() -> None:
    """Diamond in its cubic cell: images of 2x2x2 are 7.1 Å apart, those of an fcc lattice of 128 atoms 10."""
    cell = propose_cell(crystal_of(bulk("C", cubic=True))).proposed
    assert not cell.is_plain
    assert (cell.n_atoms, cell.image_distance_angstrom) == (128, pytest.approx(np.sqrt(8) * 3.57))


def test_a_large_cell_is_left_as_it_is() -> None:
    large = bulk("NaCl", "rocksalt", a=5.64, cubic=True).repeat((3, 3, 3))
    assert propose_cell(crystal_of(large)).proposed == TrainingCell(
        ((1, 0, 0), (0, 1, 0), (0, 0, 1)), 216, pytest.approx(16.92)
    )


@pytest.mark.parametrize(
    ("atoms", "periodic", "repeats"),
    [
        (graphene(vacuum=6.0), (True, True, False), (6, 6, 1)),
        (mx2("MoS2", vacuum=8.0), (True, True, False), (5, 5, 1)),
        (nanotube(4, 0, vacuum=5.0), (False, False, True), (1, 1, 4)),
    ],
    ids=["graphene", "MoS2", "nanotube"],
)
def test_nothing_is_repeated_across_a_vacuum(
    atoms: Atoms, periodic: tuple[bool, bool, bool], repeats: tuple[int, int, int]
) -> None:
    """Longer vacuum changes neither the cell nor the cutoffs; the rules of a sheet are in the count."""
    found = []
    for factor in (1.0, 2.0):
        cell = atoms.cell.array * np.where(periodic, 1.0, factor)[:, None]
        crystal = build_crystal(cell, atoms.positions, atoms.numbers, symprec=1e-3, periodic=periodic)
        proposal = propose_cell(crystal)
        torus = input_supercell(crystal, proposal.proposed.matrix)
        rules = tuple(ROTATIONAL_SUM_RULES)
        found.append((proposal, propose_expansion(torus, rotational_sum_rules=rules)))
    assert found[0] == found[1]
    assert proposal.proposed.matrix == tuple(map(tuple, np.diag(repeats).tolist()))
    expansion = found[0][1]
    basis = build_basis(crystal, expansion.cutoffs_angstrom, torus, rotational_sum_rules=rules)
    assert basis.n_parameters_per_order == expansion.n_parameters_per_order


def test_the_cutoffs_do_not_depend_on_the_choice_of_cell() -> None:
    cubic, primitive = crystal_of(bulk("Si", cubic=True)), crystal_of(bulk("Si"))
    torus = input_supercell(cubic, (2, 2, 2))
    same = input_supercell(primitive, 2 * np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]]))
    assert propose_expansion(torus) == propose_expansion(same)
    assert propose_expansion(torus).cutoffs_angstrom == {2: "full", 3: 4.6, 4: 3.9}


@pytest.mark.parametrize("name", CRYSTALS)
def test_a_local_part_reaches_neighbors_and_can_be_fitted(name: str) -> None:
    crystal = crystal_of(CRYSTALS[name])
    proposed = propose_local(crystal)
    assert proposed is not None
    assert proposed.chosen.n_parameters <= LOCAL_LIMITS.most_parameters
    assert proposed.chosen.settings.cutoff_angstrom >= 1.35 * crystal.nearest_neighbor_distance
    for other, sign in ((proposed.cheaper, 1), (proposed.larger, -1)):
        assert other is None or sign * (proposed.chosen.n_parameters - other.n_parameters) > 0


@pytest.mark.parametrize(
    ("nearest", "cutoff"), [(0.74, 4.0), (2.07, 4.15), (2.55, 5.0), (2.75, 5.0), (3.95, 5.55)]
)
def test_the_cutoff_of_a_local_part(nearest: float, cutoff: float) -> None:
    """Molecules, and what was measured: c-BAs, copper, SnSe; cesium iodide, whose neighbors are far apart."""
    assert LOCAL_LIMITS.cutoff_angstrom(nearest) == cutoff


def test_many_species_have_fewer_functions_each() -> None:
    mixed = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    found = []
    for numbers in ([11] * 4 + [17] * 4, [11, 19] * 2 + [17] * 4, [11, 19, 37, 55] + [17] * 4, range(11, 19)):
        mixed.numbers[:] = numbers
        proposed = propose_local(crystal_of(mixed))
        found.append(None if proposed is None else proposed.chosen.settings.n_radial)
    assert found == [5, 3, 2, None]
    assert propose_local(crystal_of(mixed), replace(LOCAL_LIMITS, most_parameters=10)) is None


def test_order_4_is_left_to_the_local_part() -> None:
    torus = input_supercell(crystal_of(bulk("Si", cubic=True)), (2, 2, 2))
    beside = propose_expansion(torus, EXPANSION_LIMITS.beside_local())
    assert beside.cutoffs_angstrom == {2: "full", 3: 4.6}


def _shortest(lattice: np.ndarray) -> float:
    steps = np.array([n for n in product(range(-4, 5), repeat=3) if any(n)])
    return float(np.linalg.norm(steps @ lattice, axis=1).min())
