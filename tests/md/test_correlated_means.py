"""Autocorrelation times and errors of means of series whose statistics are known."""

import numpy as np
import pytest
from numpy.typing import NDArray

from mlff_dyn.md.correlated_means import autocorrelation_time, correlated_mean


def ar1(n_chains: int, n_samples: int, coefficient: float, seed: int) -> NDArray[np.float64]:
    """Stationary autoregressive chains of unit variance, tau = (1 + c) / (1 - c)."""
    generator = np.random.default_rng(seed)
    noise = generator.standard_normal((n_chains, n_samples)) * np.sqrt(1 - coefficient**2)
    series = np.empty_like(noise)
    series[:, 0] = generator.standard_normal(n_chains)
    for t in range(1, n_samples):
        series[:, t] = coefficient * series[:, t - 1] + noise[:, t]
    return series


@pytest.mark.parametrize(("coefficient", "expected"), [(0.9, 19.0), (0.5, 3.0), (0.0, 1.0)])
@pytest.mark.parametrize("n_chains", [1, 4])
def test_autocorrelation_time(coefficient: float, expected: float, n_chains: int) -> None:
    series = ar1(n_chains, 40_000 // n_chains, coefficient, seed=1)
    assert autocorrelation_time(series) == pytest.approx(expected, rel=0.2)


def test_it_does_not_depend_on_offset_and_unit() -> None:
    series = ar1(2, 4000, 0.8, seed=2)
    time = autocorrelation_time(series)
    assert autocorrelation_time(1e3 + 1e-2 * series) == pytest.approx(time, rel=1e-6)


def test_a_constant_series_has_no_error() -> None:
    mean = correlated_mean(np.full((2, 50), 3.5))
    assert (mean.mean, mean.statistical_error, mean.autocorrelation_time) == (3.5, 0.0, 1.0)


@pytest.mark.parametrize("n_samples", [1, 2, 3])
def test_too_few_samples_have_no_known_error(n_samples: int) -> None:
    found = correlated_mean(np.arange(float(n_samples))[None])
    assert found.statistical_error is None
    assert found.mean == (n_samples - 1) / 2


def test_anticorrelation_is_not_counted_as_gain() -> None:
    """Alternating values: no credit beyond one sample each."""
    series = np.tile([1.0, -1.0], (1, 500))
    assert autocorrelation_time(series) >= 1.0
    assert correlated_mean(series).n_effective <= series.size


def test_the_statistical_error_covers_the_mean() -> None:
    """Over many series the mean lies within one sd about 68 %, within two about 95 % of the time."""
    scores = []
    for seed in range(300):
        found = correlated_mean(ar1(2, 1000, 0.8, seed))
        scores.append(found.mean / found.statistical_error)
        assert found.n_effective == pytest.approx(2000 / found.autocorrelation_time)
    inside = np.abs(scores)
    assert np.mean(inside < 1) == pytest.approx(0.68, abs=0.1)
    assert np.mean(inside < 2) == pytest.approx(0.95, abs=0.05)


def test_chains_that_disagree_are_not_independent_samples() -> None:
    """Two chains stuck at different values: hardly any effective samples, a large error."""
    series = np.array([[0.0], [1.0]]) + 0.01 * ar1(2, 1000, 0.0, seed=4)
    found = correlated_mean(series)
    assert found.n_effective < 20
    assert found.statistical_error > 0.1
