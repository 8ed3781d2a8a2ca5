"""Projectors onto scaled columns against pseudo-inverses and determinants."""

import numpy as np
import pytest

from mlff_dyn.regression.linalg.projector import ScaledColumns


@pytest.mark.parametrize("n_columns", [0, 1, 5, 6, 7, 11, 12])
def test_projector_and_determinant_are_those_of_the_gram(n_columns: int) -> None:
    generator = np.random.default_rng(n_columns)
    columns = np.linalg.qr(generator.standard_normal((12, n_columns)))[0]
    scales = np.exp(generator.uniform(-4.0, 4.0, 12))
    scaled = columns / scales[:, None]
    expected = scaled @ np.linalg.pinv(scaled)
    projector, log_determinant = ScaledColumns(columns).projector(scales)
    others = generator.standard_normal((12, 2))
    np.testing.assert_allclose(projector @ others, expected @ others, rtol=0, atol=1e-10)
    np.testing.assert_allclose(projector.diagonal, np.diag(expected), rtol=0, atol=1e-10)
    assert log_determinant == pytest.approx(np.linalg.slogdet(scaled.T @ scaled)[1], rel=1e-10, abs=1e-10)
    assert projector.vectors.shape[1] == min(n_columns, 12 - n_columns)
