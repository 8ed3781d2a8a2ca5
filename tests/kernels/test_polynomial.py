"""What a cell polynomial refuses, and its parameter bookkeeping."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from polynomials import random_polynomial

from mlff_dyn.errors import DataError
from mlff_dyn.kernels.polynomial import CellPolynomial


@pytest.fixture
def polynomial():
    return random_polynomial(np.random.default_rng(0), (2, 3))


def test_parameters_are_concatenated_by_order(polynomial):
    assert polynomial.n_parameters == 10
    assert polynomial.parameter_offsets.tolist() == [0, 5, 10]
    assert polynomial.parameter_orders.tolist() == [2] * 5 + [3] * 5


def test_coefficients_are_the_sparse_matrix_times_parameters(polynomial):
    terms = polynomial.orders[0]
    dense = np.zeros((terms.n_monomials, terms.n_parameters))
    rows = np.repeat(np.arange(terms.n_monomials), np.diff(terms.indptr))
    np.add.at(dense, (rows, terms.indices), terms.data)
    parameters = np.arange(5.0)
    np.testing.assert_allclose(terms.coefficients(parameters), dense @ parameters, atol=1e-14)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"order": 7}, "not between"),
        ({"order": 4}, "monomials of order 4 has shape"),
        ({"monomials": np.array([[3, 1]])}, "indptr of order 2 has shape"),
        ({"n_parameters": 1}, "parameter index"),
    ],
)
def test_inconsistent_terms_are_refused(polynomial, change, message):
    with pytest.raises(DataError, match=message):
        dataclasses.replace(polynomial.orders[0], **change)


def test_descending_monomials_are_refused(polynomial):
    terms = polynomial.orders[0]
    with pytest.raises(DataError, match="not ascending"):
        dataclasses.replace(terms, monomials=terms.monomials[:, ::-1])


def test_unknown_slots_sites_and_orders_are_refused(polynomial):
    with pytest.raises(DataError, match="slot outside"):
        CellPolynomial(polynomial.n_sites, polynomial.slots[:1], polynomial.orders)
    with pytest.raises(DataError, match="site outside"):
        CellPolynomial(1, polynomial.slots, polynomial.orders)
    with pytest.raises(DataError, match="not ascending"):
        CellPolynomial(polynomial.n_sites, polynomial.slots, polynomial.orders[::-1])
