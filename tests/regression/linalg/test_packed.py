"""Packed symmetric matrices against dense ones."""

import numpy as np
import pytest

from mlff_dyn.regression.linalg.factorization import times_upper
from mlff_dyn.regression.linalg.packed import diagonal_places, pack, packed_times, trace_weights, unpack_lower


def symmetric(n: int, seed: int) -> np.ndarray:
    values = np.random.default_rng(seed).standard_normal((n, n))
    return values + values.T


@pytest.mark.parametrize("n", [1, 2, 7])
def test_packed_matrices_are_the_dense_ones(n: int) -> None:
    first, second = symmetric(n, 0), symmetric(n, 1)
    vector = np.random.default_rng(2).standard_normal(n)
    packed = pack(first)
    np.testing.assert_array_equal(np.tril(unpack_lower(packed, n)), np.tril(first))
    np.testing.assert_allclose(packed_times(packed, vector), first @ vector, rtol=1e-13)
    np.testing.assert_array_equal(packed[diagonal_places(n)], np.diag(first))
    assert trace_weights(n) @ (packed * pack(second)) == pytest.approx(np.trace(first @ second), rel=1e-12)


def test_only_the_lower_triangle_of_a_fortran_array_is_read() -> None:
    whole = symmetric(5, 3)
    lower = np.asfortranarray(np.tril(whole))
    np.testing.assert_array_equal(pack(lower), pack(whole))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize(("n_rows", "n"), [(7, 1), (7, 3), (7, 30), (0, 3), (3, 0)])
def test_triangular_products_are_products(n_rows: int, n: int, kind: type) -> None:
    generator = np.random.default_rng(4)
    rows, upper = (generator.standard_normal((m, n)).astype(kind) for m in (n_rows, n))
    product = times_upper(rows, upper)
    assert product.dtype == kind
    np.testing.assert_allclose(
        product, rows @ np.triu(upper), rtol=0, atol=100 * np.finfo(kind).eps * (n + 1)
    )
