"""Force constants of pairs along their bond: one direction of each orbit, found by contraction."""

import numpy as np
import pytest
from ase import Atoms
from numpy.typing import NDArray

from mlff_dyn.kernels.polynomial import OrderTerms
from mlff_dyn.lattice.basis import ForceConstantBasis, build_basis
from tests.lattice.crystals import quartz, silicon, triclinic, wurtzite
from tests.models import crystal_of

CASES = [
    (silicon(), {2: 4.0, 3: 2.5, 4: 2.5}),
    (wurtzite(), {2: 3.2, 3: 2.0}),
    (quartz(), {2: 2.8, 3: 1.7}),
    (triclinic(), {2: 2.8, 3: {2: 2.3}}),
]


@pytest.mark.parametrize(("atoms", "cutoffs"), CASES)
def test_the_turned_parameters_are_orthonormal_and_span_the_same(atoms: Atoms, cutoffs: dict) -> None:
    basis = build_basis(crystal_of(atoms), cutoffs)
    for classes, null in zip(basis.classes, basis.nullspaces, strict=True):
        square = classes.whitened.T @ classes.whitened
        np.testing.assert_allclose(square, np.eye(null.shape[1]), atol=1e-12)
        assert not classes.is_longitudinal[classes.n_bodies != 2].any()


@pytest.mark.parametrize(("atoms", "cutoffs"), CASES)
def test_what_is_not_longitudinal_stretches_no_pair(atoms: Atoms, cutoffs: dict) -> None:
    """Pairs displaced along their bond feel the longitudinal parameters alone."""
    basis = build_basis(crystal_of(atoms), cutoffs)
    for terms, null, classes in zip(basis.polynomial.orders, basis.nullspaces, basis.classes, strict=True):
        if terms.order == 1:
            continue
        drawn = np.random.default_rng(0).standard_normal(null.shape[1])
        along = classes.whitened[classes.is_longitudinal]
        across = drawn - np.linalg.pinv(along) @ (along @ drawn)
        stretches = [stretches_of_pairs(basis, terms, null @ own) for own in (drawn, across)]
        assert np.abs(stretches[0]).min() > 1e-6
        assert np.abs(stretches[1]).max() < 1e-11 * np.abs(stretches[0]).max()


def stretches_of_pairs(
    basis: ForceConstantBasis, terms: OrderTerms, parameters: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Energy of each pair of atoms alone, both displaced by the unit vector of their bond."""
    crystal, slots = basis.crystal, basis.polynomial.slots
    positions = crystal.positions[slots[:, 0]] + slots[:, 1:] @ crystal.lattice
    coefficients, atoms = terms.coefficients(parameters), terms.monomials // 3
    found = []
    for row in np.unique(atoms, axis=0):
        if len(set(row.tolist())) == 2:
            here = (atoms == row).all(axis=1)
            one, other = positions[np.unique(row)]
            bond = (other - one) / np.linalg.norm(other - one)
            found.append(coefficients[here] @ bond[terms.monomials[here] % 3].prod(axis=1))
    return np.array(found)
