"""Rows in square-root form: what they keep of the data, and that it does not matter how the data come."""

import numpy as np
import pytest
from numpy.typing import NDArray

from mlff_dyn.regression.linalg.triangles import collect_roots
from tests.regression.linear_problems import collect_root

N_PARAMETERS = 9


def draw(n_rows: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    generator = np.random.default_rng(seed)
    scales = 10.0 ** generator.integers(-3, 4, N_PARAMETERS)
    return generator.standard_normal((n_rows, N_PARAMETERS)) * scales, generator.standard_normal(n_rows)


def assert_same_products(root: NDArray[np.float64], rows: NDArray[np.float64]) -> None:
    lengths = np.linalg.norm(rows, axis=0)
    assert np.abs((root.T @ root - rows.T @ rows) / np.outer(lengths, lengths)).max() < 1e-13


@pytest.mark.parametrize("n_rows", [1, 9, 10, 11, 57])
def test_a_triangle_stands_for_its_rows(n_rows: int) -> None:
    """Products, residuals and their products with the columns, with more and with fewer rows than columns."""
    design, targets = draw(n_rows)
    found = collect_root(design, targets)
    assert found.n_targets == n_rows
    assert found.n_parameters == N_PARAMETERS
    assert len(found.root) == min(n_rows, N_PARAMETERS + 1)
    assert_same_products(found.root, np.column_stack([design, targets]))
    parameters = np.random.default_rng(1).standard_normal(N_PARAMETERS)
    residuals, rest = targets - design @ parameters, found.rest(parameters)
    assert rest @ rest == pytest.approx(residuals @ residuals, rel=1e-12)
    scale = np.linalg.norm(design, axis=0) * np.linalg.norm(residuals)
    assert np.all(np.abs(found.root[:, :-1].T @ rest - design.T @ residuals) <= 1e-13 * scale)
    np.testing.assert_array_equal(found.shifted(parameters).root[:, -1], rest)


@pytest.mark.parametrize("sizes", [(3, 4), (3, 30), (30, 3), (30, 50), (10, 10), (0, 20), (5, 8)])
def test_two_data_sets_are_merged_by_addition(sizes: tuple[int, int]) -> None:
    parts = [draw(size, seed) for seed, size in enumerate(sizes)]
    merged = collect_root(*parts[0]) + collect_root(*parts[1])
    assert merged.n_targets == sum(sizes)
    assert len(merged.root) <= N_PARAMETERS + 1
    assert_same_products(merged.root, np.vstack([np.column_stack(part) for part in parts]))


@pytest.mark.parametrize("chunk", [1, 4, 10, 33, 200])
def test_triangles_do_not_depend_on_how_the_rows_come(chunk: int) -> None:
    """Rows of several groups in chunks of any size: the same triangles up to the signs of their rows."""
    design, targets = draw(200, 3)
    design /= np.linalg.norm(design, axis=0)
    groups = np.random.default_rng(4).choice(3, 200, p=[0.6, 0.37, 0.03])
    blocks = []
    for start in range(0, 200, chunk):
        here = slice(start, start + chunk)
        for group in range(3):
            chosen = groups[here] == group
            blocks.append((group, design[here][chosen], targets[here][chosen]))
    found = collect_roots(blocks, 3, N_PARAMETERS)
    for group, part in enumerate(found):
        rows = np.column_stack([design, targets])[groups == group]
        assert part.n_targets == len(rows)
        if len(rows) <= N_PARAMETERS:
            np.testing.assert_array_equal(part.root, rows)
            continue
        expected = np.linalg.qr(rows, mode="r")
        signs = np.sign(np.diag(expected)) * np.sign(np.diag(part.root))
        np.testing.assert_allclose(signs[:, None] * part.root, expected, atol=1e-13)
