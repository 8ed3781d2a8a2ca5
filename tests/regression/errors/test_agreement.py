"""Sizes of errors against scikit-learn, and coverage of normal errors against its definition."""

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from mlff_dyn.errors import DataError
from mlff_dyn.regression.errors.agreement import LEVELS, agreement, calibration, coverage


def test_sizes_are_those_of_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    truths = generator.standard_normal(500) + 3.0
    predictions = truths + 0.1 * generator.standard_normal(500) + 0.05
    found = agreement(truths, predictions)
    assert found.rmse == pytest.approx(root_mean_squared_error(truths, predictions))
    assert found.mae == pytest.approx(mean_absolute_error(truths, predictions))
    assert found.r2 == pytest.approx(r2_score(truths, predictions))
    assert found.rmse_relative == pytest.approx(found.rmse / np.linalg.norm(truths) * np.sqrt(500))
    about_mean = agreement(truths, predictions, about_mean=True).rmse_relative
    assert about_mean == pytest.approx(found.rmse / truths.std())
    assert found.mean_error == pytest.approx(np.mean(predictions - truths))


def test_normal_errors_of_the_predicted_size_have_the_nominal_coverage() -> None:
    generator = np.random.default_rng(1)
    sd = np.exp(generator.standard_normal(20000))
    errors = sd * generator.standard_normal(20000)
    found = calibration(errors, sd)
    assert found.z == pytest.approx(1.0, abs=0.02)
    np.testing.assert_allclose(found.coverage, np.array(LEVELS) / 100, atol=0.012)
    twice = calibration(2.0 * errors, sd)
    assert twice.z == pytest.approx(2.0 * (found.z or 0.0))
    assert twice.coverage[1] < 0.5


def test_components_that_symmetry_makes_zero_have_no_score() -> None:
    generator = np.random.default_rng(2)
    errors = generator.standard_normal(4000)
    sd = np.ones(4000)
    sd[::4] = 1e-17 * generator.random(1000)
    assert calibration(errors, sd).z == pytest.approx(1.0, abs=0.03)


def test_coverage_grows_with_the_probability_and_ends_at_all() -> None:
    errors = np.random.default_rng(2).standard_normal(100)
    found = coverage(errors, np.ones(100), np.linspace(0.0, 1.0, 50).tolist())
    assert (np.diff(found) >= 0.0).all()
    assert (found[0], found[-1]) == (0.0, 1.0)


def test_values_without_size_or_spread() -> None:
    found = agreement(np.zeros(3), np.ones(3))
    assert (found.rmse_relative, found.r2) == (None, None)
    assert calibration(np.zeros(3), np.zeros(3)).z is None
    with pytest.raises(DataError, match="predictions"):
        agreement(np.zeros(3), np.ones(2))
