"""How much of the stiffness of a crystal the boundary of a supercell makes."""

import numpy as np
import pytest
from ase.build import bulk

from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.torus import input_supercell
from mlff_dyn.observables.boundary_share import boundary_share
from tests.models import crystal_of, fitted_to_harmonic, spring_hessian

FCC = bulk("Cu", "fcc", a=3.6, cubic=True)
BONDS = {3.6 / np.sqrt(2.0): 2.0, 3.6: -0.4}


def moment(length, stiffness):
    """Sum over the neighbors of an fcc site at one distance of (stretching) x R R^T."""
    grid = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 3), axis=-1).reshape(-1, 3) @ (
        FCC.cell.array[0, 0] / 2.0 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]])
    )
    bonds = grid[np.isclose(np.linalg.norm(grid, axis=1), length)]
    return stiffness / length**2 * np.einsum("ia,ib,ic,id->abcd", bonds, bonds, bonds, bonds)


def fitted(size, bonds):
    torus = input_supercell(crystal_of(FCC), (size,) * 3)
    springs = {length: (stiffness, 0.0) for length, stiffness in bonds.items()}
    basis = build_basis(torus.crystal, {2: "full"}, torus)
    return fitted_to_harmonic(basis, torus, spring_hessian(torus, springs)), torus


def test_springs_inside_make_nothing_of_it():
    nearest = dict(list(BONDS.items())[:1])
    assert boundary_share(*fitted(2, nearest)) == pytest.approx(0.0, abs=1e-4)
    assert boundary_share(*fitted(3, BONDS)) == pytest.approx(0.0, abs=1e-4)


def test_springs_as_long_as_half_the_supercell_are_its_boundary():
    """There `spring_hessian` has one spring for the two images of an atom."""
    inside, across = (moment(length, stiffness) for length, stiffness in BONDS.items())
    across *= 0.5
    expected = np.linalg.norm(across) / np.linalg.norm(inside + across)
    assert boundary_share(*fitted(2, BONDS)) == pytest.approx(expected, rel=1e-3)
