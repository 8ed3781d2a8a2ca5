"""Force constants: derivatives of the forces, symmetric, with vanishing sums, on any supercell."""

from itertools import permutations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from mlff_dyn.errors import DataError
from mlff_dyn.lattice.torus import input_supercell
from mlff_dyn.model.force_constants import force_constants
from tests.models import random_force_field

CUTOFFS = {2: "full", 3: 2.9, 4: {2: 2.9}}


def wurtzite() -> Atoms:
    return bulk("ZnS", "wurtzite", a=3.8, c=6.2)


def full_array(atoms: Atoms, order: int, supercell=(2, 2, 1), expand_on=None):
    force_field, torus = random_force_field(atoms, supercell, CUTOFFS)
    if expand_on is not None:
        torus = input_supercell(force_field.basis.crystal, expand_on)
    constants = force_constants(force_field.basis, force_field.posterior.mean, order, torus)
    everything = np.arange(torus.n_atoms)
    return force_field, torus, constants.dense(everything, everything)


@pytest.mark.parametrize(
    ("atoms", "order", "expand_on"),
    [
        (wurtzite(), 2, None),
        (wurtzite(), 2, (2, 2, 2)),
        (bulk("NaCl", "rocksalt", a=5.6, cubic=True), 3, (1, 1, 1)),
        (bulk("NaCl", "rocksalt", a=5.6), 4, (2, 2, 2)),
    ],
)
def test_they_are_derivatives_of_the_forces(
    atoms: Atoms, order: int, expand_on: tuple[int, int, int]
) -> None:
    """Energy order n contributes -Phi u^(n-1) / (n-1)! to the force; other orders are set to zero."""
    force_field, torus, phi = full_array(atoms, order, supercell=(2, 2, 2), expand_on=expand_on)
    only = np.where(force_field.basis.parameter_orders == order, force_field.posterior.mean, 0.0)
    kernel = force_field.expansion.on(torus).kernel(only)
    u = 0.1 * np.random.default_rng(3).standard_normal((torus.n_atoms, 3))
    expected = np.moveaxis(phi, range(order), range(0, 2 * order, 2)).reshape(-1, *(u.size,) * (order - 1))
    for factor in range(1, order):
        expected = expected @ u.ravel() / factor
    _, forces = kernel.energy_forces(u)
    np.testing.assert_allclose(-expected, forces.ravel(), atol=1e-11)


@pytest.mark.parametrize("order", [2, 3])
def test_they_are_symmetric_and_their_sums_vanish(order: int) -> None:
    _, _, phi = full_array(bulk("NaCl", "rocksalt", a=5.6), order, supercell=(2, 2, 2))
    size = np.abs(phi).max()
    for arrangement in permutations(range(order)):
        exchanged = phi.transpose(*arrangement, *(order + k for k in arrangement))
        np.testing.assert_allclose(exchanged, phi, atol=1e-13 * size)
    for atom_axis in range(order):
        np.testing.assert_allclose(phi.sum(axis=atom_axis), 0.0, atol=1e-11 * size)


def test_rows_follow_the_order_that_is_asked_for() -> None:
    force_field, torus, phi = full_array(wurtzite(), 2)
    order = np.random.default_rng(0).permutation(torus.n_atoms)
    constants = force_constants(force_field.basis, force_field.posterior.mean, 2, torus)
    np.testing.assert_array_equal(constants.dense(order[:3], order), phi[order[:3]][:, order])


def test_an_order_that_is_not_there_is_refused_by_name() -> None:
    force_field, torus = random_force_field(wurtzite(), (2, 2, 1), {2: "full"})
    with pytest.raises(DataError, match="no order 3"):
        force_constants(force_field.basis, force_field.posterior.mean, 3, torus)
