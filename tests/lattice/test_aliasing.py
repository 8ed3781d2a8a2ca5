"""Cutoffs and the periodic images of the training supercell."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from mlff_dyn.errors import BasisError
from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.torus import Torus, input_supercell
from mlff_dyn.lattice.wigner_seitz import aliasing_distance, largest_safe_cutoff
from mlff_dyn.model.expansion import Expansion
from tests.lattice.crystals import expansion_on, quartz, rocksalt, silicon, skewed, triclinic, wurtzite
from tests.models import Cutoffs, crystal_of

SHEARED = (bulk("Si"), [[2, 0, 0], [1, 3, 0], [0, 1, 2]])
SUPERCELLS = [
    (silicon(), (1, 1, 1)),
    (rocksalt(), (2, 2, 2)),
    (wurtzite(), (2, 2, 1)),
    (quartz(), (1, 1, 1)),
    (triclinic(), (2, 1, 2)),
    SHEARED,
    (skewed(triclinic()), (2, 2, 1)),
]


def brute_force_aliasing(torus: Torus) -> float:
    """Shortest distance at which some atom has its second closest image, over very many images."""
    reach = np.array(list(np.ndindex(25, 25, 25))) - 12
    images = reach @ torus.lattice
    images = images[np.linalg.norm(images, axis=1) < 30.0]
    best = np.inf
    for site in range(torus.crystal.n_sites):
        separation = torus.positions - torus.positions[site * torus.n_cells]
        separation -= np.rint(separation @ np.linalg.inv(torus.lattice)) @ torus.lattice
        lengths = np.linalg.norm(separation[:, None] + images[None], axis=-1)
        best = min(best, np.partition(lengths, 1, axis=1)[:, 1].min())
    return float(best)


@pytest.mark.parametrize(("atoms", "supercell"), SUPERCELLS)
def test_aliasing_distance_is_that_of_all_images(atoms: Atoms, supercell: object) -> None:
    torus = input_supercell(crystal_of(atoms), supercell)
    assert aliasing_distance(torus) == pytest.approx(brute_force_aliasing(torus), abs=1e-9)


def test_silicon_is_safe_to_just_below_half_the_cell() -> None:
    safe = largest_safe_cutoff(input_supercell(crystal_of(silicon()), (2, 2, 2)))
    assert 5.425 < safe < 5.43


@pytest.mark.parametrize(
    "cutoffs", [{2: 5.43}, {2: 5.0, 3: 5.5}, {2: 5.0, 3: {2: 6.0, 3: 4.0}}, {2: 5.0, 3: 3.0, 4: 5.5}]
)
def test_a_cutoff_beyond_is_refused_and_the_safe_one_named(cutoffs: Cutoffs) -> None:
    crystal = crystal_of(silicon())
    torus = input_supercell(crystal, (2, 2, 2))
    with pytest.raises(BasisError) as caught:
        build_basis(crystal, cutoffs, torus)
    order = max(cutoffs)
    assert f"order {order}" in caught.value.message
    assert f"{largest_safe_cutoff(torus):.3f} Å" in str(caught.value)
    assert ("'full'" in str(caught.value)) == (order < 4)


def test_full_needs_a_supercell_and_order_two_or_three() -> None:
    crystal = crystal_of(silicon())
    with pytest.raises(BasisError, match="full"):
        build_basis(crystal, {2: "full"})
    with pytest.raises(BasisError, match="only orders 2 and 3"):
        build_basis(crystal, {2: 4.0, 3: 4.0, 4: "full"}, input_supercell(crystal, (2, 2, 2)))


def rank(design: np.ndarray) -> int:
    """Numerical rank of the columns, each scaled to unit length."""
    norms = np.linalg.norm(design, axis=0)
    if norms.min() < 1e-10:
        return int(np.linalg.matrix_rank(design[:, norms > 1e-10], tol=1e-8))
    return int(np.linalg.matrix_rank(design / norms, tol=1e-8))


def design_of_random_displacements(expansion: Expansion, torus: Torus, n_frames: int) -> np.ndarray:
    generator = np.random.default_rng(6)
    frames = 0.3 * generator.standard_normal((n_frames, torus.n_atoms, 3))
    return np.concatenate([expansion.on(torus).rows(u)[0] for u in frames])


@pytest.mark.parametrize(("atoms", "supercell"), SUPERCELLS)
def test_safe_cutoffs_are_resolved(atoms: Atoms, supercell: object) -> None:
    """At the largest safe cutoff of every order all parameters can be told apart by forces."""
    crystal = crystal_of(atoms)
    torus = input_supercell(crystal, supercell)
    safe = largest_safe_cutoff(torus)
    cutoffs = {2: safe, 3: safe, 4: {2: safe}}
    basis = build_basis(crystal, cutoffs, torus)
    n_frames = 2 + 2 * basis.n_parameters // (3 * torus.n_atoms)
    design = design_of_random_displacements(Expansion(basis), torus, n_frames)
    assert rank(design) == basis.n_parameters


@pytest.mark.parametrize(("atoms", "supercell"), [case for case in SUPERCELLS if case is not SHEARED])
def test_cutoffs_beyond_are_degenerate(atoms: Atoms, supercell: object) -> None:
    """The refusal is not overcautious: just beyond, columns of order 2 or 3 coincide or vanish.

    Unless the supercell lacks symmetry of the crystal, which may then tell images apart.
    """
    crystal = crystal_of(atoms)
    torus = input_supercell(crystal, supercell)
    beyond = 1.01 * aliasing_distance(torus)
    expansion = expansion_on(crystal, {2: beyond, 3: {2: beyond}}, torus)
    n_parameters = expansion.basis.n_parameters
    n_frames = 2 + 2 * n_parameters // (3 * torus.n_atoms)
    design = design_of_random_displacements(Expansion(expansion.basis), torus, n_frames)
    assert rank(design) < n_parameters


@pytest.mark.parametrize(("atoms", "supercell"), SUPERCELLS)
def test_full_is_resolved_on_its_supercell(atoms: Atoms, supercell: object) -> None:
    crystal = crystal_of(atoms)
    torus = input_supercell(crystal, supercell)
    cutoffs = {2: "full", 3: "full"} if torus.n_atoms < 20 else {2: "full"}
    basis = build_basis(crystal, cutoffs, torus)
    n_frames = 2 + 2 * basis.n_parameters // (3 * torus.n_atoms)
    assert rank(design_of_random_displacements(Expansion(basis), torus, n_frames)) == basis.n_parameters
