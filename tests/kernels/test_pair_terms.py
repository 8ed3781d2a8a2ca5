"""Orders of pairs as polynomials of differences."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from polynomials import Torus, bond_power, random_polynomial, spring_crystal

from mlff_dyn.kernels import compiled, reference
from mlff_dyn.kernels.compiled.tables.lifted import build_lifted_chunks
from mlff_dyn.kernels.gather import build_gather_tables
from mlff_dyn.kernels.pair_terms import build_bond_terms

BONDS = [(0, 4), (4, 1), (4, 2), (4, 3), (0, 1), (0, 2), (0, 3)]


def pair_tables(orders):
    crystal = spring_crystal()
    return build_gather_tables(
        dataclasses.replace(crystal, orders=tuple(bond_power(BONDS, order, 1.0 / order) for order in orders))
    )


def bond_terms(tables):
    return {terms.order: build_bond_terms(tables, terms) for terms in tables.polynomial.orders}


@pytest.mark.parametrize("orders", [(3,), (4,), (5,), (6,), (2, 3, 4, 5, 6)])
def test_forces_of_differences_are_those_of_the_monomials(orders):
    tables = pair_tables(orders)
    slot_atoms = Torus((2, 3, 3)).atom_indices(tables.slots)
    rng = np.random.default_rng(6)
    u = rng.normal(scale=0.6, size=(2 * slot_atoms.shape[1], 3))
    parameters = rng.normal(size=len(orders))
    energy, forces = reference.ForceKernel(tables, parameters, slot_atoms).energy_forces(u)
    fast_energy, fast_forces = compiled.ForceKernel(tables, parameters, slot_atoms).energy_forces(u)
    assert fast_energy == pytest.approx(energy, rel=1e-12)
    np.testing.assert_allclose(fast_forces, forces, rtol=0, atol=1e-12 * np.abs(forces).max())


def test_sum_rule_is_recognized_and_missed():
    tables = pair_tables((3, 5, 6))
    for terms in tables.polynomial.orders:
        found = bond_terms(tables)[terms.order]
        coefficients = terms.coefficients(np.ones(1))
        assert found.holds(coefficients)
        for monomial in np.random.default_rng(0).integers(len(coefficients), size=5):
            spoiled = coefficients.copy()
            spoiled[monomial] += 1e-6
            assert not found.holds(spoiled)


def test_differences_need_fewer_coefficients():
    tables = pair_tables((5, 6))
    plain, collapsed = (
        sum(chunk.n_coefficients for chunk in build_lifted_chunks(tables, differences))
        for differences in ({}, bond_terms(tables))
    )
    assert collapsed < plain / 3


def test_orders_with_larger_clusters_are_left_alone():
    tables = build_gather_tables(random_polynomial(np.random.default_rng(1), (2, 3, 4)))
    assert set(bond_terms(tables).values()) == {None}


def test_orders_that_repeat_a_cluster_are_left_alone():
    terms = pair_tables((5,)).polynomial.orders[0]
    twice = dataclasses.replace(
        terms,
        monomials=np.concatenate([terms.monomials, terms.monomials]),
        indptr=np.arange(2 * terms.n_monomials + 1),
        indices=np.zeros(2 * terms.n_monomials),
        data=np.tile(terms.data, 2),
    )
    tables = build_gather_tables(dataclasses.replace(spring_crystal(), orders=(twice,)))
    assert bond_terms(tables) == {5: None}
