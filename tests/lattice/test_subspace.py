"""The force constants that the basis spans are exactly those of symfc, and its parameters are orthonormal."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from numpy.typing import NDArray

from mlff_dyn.lattice.basis import ForceConstantBasis, build_basis
from mlff_dyn.lattice.torus import Torus, input_supercell
from mlff_dyn.model.force_constants import force_constants
from tests.lattice.crystals import (
    barium_titanate,
    quartz,
    rocksalt,
    silicon,
    skewed,
    triclinic,
    wurtzite,
)
from tests.models import crystal_of

SHEARED = [[2, 0, 0], [1, 3, 0], [0, 1, 2]]


def columns(basis: ForceConstantBasis, order: int, torus: Torus) -> NDArray[np.float64]:
    """Force constants of the supercell, one column per unit parameter; (n_atoms^order * 3^order, n)."""
    everything = np.arange(torus.n_atoms)
    found = [
        force_constants(basis, unit, order, torus).dense(everything, everything).ravel()
        for unit in np.eye(basis.n_parameters)[basis.parameter_orders == order]
    ]
    return np.array(found).T


def symfc_columns(torus: Torus, order: int, cutoff: float | None) -> NDArray[np.float64]:
    """Orthonormal basis of symfc for the same supercell, atoms in the same order."""
    symfc_basis = pytest.importorskip("symfc.basis_sets")
    from symfc.utils.utils import SymfcAtoms

    atoms = SymfcAtoms(
        cell=torus.lattice,
        scaled_positions=torus.positions @ np.linalg.inv(torus.lattice),
        numbers=torus.numbers,
    )
    kind = {2: symfc_basis.FCBasisSetO2, 3: symfc_basis.FCBasisSetO3}[order]
    found = kind(atoms, cutoff=cutoff).run()
    product = found.compression_matrix @ found.basis_set
    return np.asarray(product.toarray() if hasattr(product, "toarray") else product)


def distance_between(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Largest component of one space outside the other, both ways."""
    qa, qb = np.linalg.qr(a)[0], np.linalg.qr(b)[0]
    return float(max(np.abs(qa - qb @ (qb.T @ qa)).max(), np.abs(qb - qa @ (qa.T @ qb)).max()))


@pytest.mark.parametrize(
    ("atoms", "supercell"),
    [
        (silicon(), (2, 2, 2)),
        (rocksalt(), (1, 1, 1)),
        (wurtzite(), (2, 2, 1)),
        (quartz(), (1, 1, 1)),
        (barium_titanate(polar=False), (2, 2, 1)),
        (barium_titanate(polar=True), (1, 2, 2)),
        (triclinic(), (2, 1, 2)),
        (triclinic(), (1, 1, 1)),
        (skewed(triclinic()), (2, 1, 1)),
        (triclinic(), [[2, 1, 0], [0, 2, 0], [0, 0, 1]]),
        (bulk("Si"), SHEARED),
        (bulk("Cu", "fcc", a=3.6), [[-1, 1, 1], [1, -1, 1], [1, 1, -1]]),
    ],
)
def test_full_order_two_spans_the_space_of_symfc(atoms: Atoms, supercell: list[int]) -> None:
    crystal = crystal_of(atoms)
    torus = input_supercell(crystal, supercell)
    ours = columns(build_basis(crystal, {2: "full"}, torus), 2, torus)
    theirs = symfc_columns(torus, 2, None)
    assert ours.shape == theirs.shape
    assert distance_between(ours, theirs) < 1e-12


@pytest.mark.parametrize(
    ("atoms", "supercell"),
    [
        (silicon(), (1, 1, 1)),
        (wurtzite(), (1, 1, 1)),
        (triclinic(), (2, 1, 1)),
        (barium_titanate(polar=True), (1, 1, 1)),
        (bulk("Si"), [[1, 0, 0], [1, 3, 0], [0, 1, 1]]),
    ],
)
def test_full_order_three_spans_the_space_of_symfc(atoms: Atoms, supercell: object) -> None:
    crystal = crystal_of(atoms)
    torus = input_supercell(crystal, supercell)
    ours = columns(build_basis(crystal, {2: "full", 3: "full"}, torus), 3, torus)
    theirs = symfc_columns(torus, 3, None)
    assert ours.shape == theirs.shape
    assert distance_between(ours, theirs) < 1e-12


@pytest.mark.parametrize(
    ("atoms", "supercell", "order", "cutoff"),
    [
        (silicon(), (1, 1, 1), 3, 2.5),
        (bulk("Si"), (3, 3, 3), 2, 4.2),
        (wurtzite(), (2, 2, 2), 2, 3.05),
        (triclinic(), (2, 2, 2), 2, 2.9),
        (triclinic(), (1, 2, 1), 3, 2.1),
        (quartz(), (1, 1, 1), 2, 2.4),
    ],
)
def test_a_safe_cutoff_spans_the_space_of_symfc(
    atoms: Atoms, supercell: tuple[int, int, int], order: int, cutoff: float
) -> None:
    crystal = crystal_of(atoms)
    torus = input_supercell(crystal, supercell)
    cutoffs = {2: cutoff} if order == 2 else {2: cutoff, 3: cutoff}
    ours = columns(build_basis(crystal, cutoffs, torus), order, torus)
    theirs = symfc_columns(torus, order, cutoff)
    assert ours.shape == theirs.shape
    assert distance_between(ours, theirs) < 1e-12


@pytest.mark.parametrize(
    ("atoms", "cutoffs"),
    [
        (silicon(), {2: 4.0, 3: 2.5, 4: 2.5, 5: {2: 2.5}, 6: {2: 2.5}}),
        (wurtzite(), {2: "full", 3: 2.0, 4: 2.0}),
        (silicon(), {2: "full", 3: "full"}),
        (triclinic(), {2: "full", 3: 2.0, 4: {2: 2.0}}),
    ],
)
def test_length_of_the_parameters_is_the_norm_of_the_force_constants(
    atoms: Atoms, cutoffs: dict[int, object]
) -> None:
    crystal = crystal_of(atoms)
    training = input_supercell(crystal, (2, 2, 2))
    basis = build_basis(crystal, cutoffs, training)
    generator = np.random.default_rng(4)
    for order in basis.orders:
        parameters = generator.standard_normal(basis.n_parameters) * (basis.parameter_orders == order)
        blocks = force_constants(basis, parameters, order, training).blocks
        assert np.sum(blocks**2) == pytest.approx(parameters @ parameters, rel=1e-12)


def test_full_force_constants_do_not_depend_on_how_the_cell_is_written() -> None:
    """The same supercell through a skewed primitive cell carries the same energies."""
    supercell = input_supercell(crystal_of(triclinic()), (2, 1, 2))
    other = crystal_of(skewed(triclinic()))
    matrix = np.rint(supercell.lattice @ np.linalg.inv(other.lattice)).astype(np.int64)
    same = Torus(other, matrix)
    order = [int(np.argmin(_distances(supercell, p))) for p in same.positions]
    first = columns(build_basis(supercell.crystal, {2: "full"}, supercell), 2, supercell)
    second = columns(build_basis(other, {2: "full"}, same), 2, same)
    n = supercell.n_atoms
    moved = first.reshape(n, n, 9, -1)[np.ix_(order, order)].reshape(first.shape)
    assert distance_between(moved, second) < 1e-12


def _distances(torus: Torus, position: NDArray[np.float64]) -> NDArray[np.float64]:
    difference = (torus.positions - position) @ np.linalg.inv(torus.lattice)
    return np.asarray(np.linalg.norm((difference - np.rint(difference)) @ torus.lattice, axis=1))
