"""The identity of linear models, against integrals in closed form and by quadrature."""

import numpy as np
import pytest

from mlff_dyn.observables.thermal_averages import statistical_error, thermal_covariance, thermal_mean

THETA = np.array([1.3, -0.4, 0.7])
POWERS = np.array([2, 3, 4])
THERMAL = 0.6
GRID = np.linspace(-4.0, 4.0, 4001)


def average(function, theta):
    weights = np.exp(-(GRID[:, None] ** POWERS) @ theta / THERMAL)
    return float(weights @ function(GRID, theta) / weights.sum())


def drawn(n_samples):
    """Independent samples of the anharmonic oscillator, by the inverse of its distribution."""
    weights = np.exp(-(GRID[:, None] ** POWERS) @ THETA / THERMAL)
    steps = np.cumsum(weights) / weights.sum()
    return np.interp((np.arange(n_samples) + 0.5) / n_samples, steps, GRID)


def energy(x, theta):
    return (x[:, None] ** POWERS) @ theta


def slopes_of(function, step=1e-4):
    return np.array(
        [(function(THETA + step * e) - function(THETA - step * e)) / (2 * step) for e in np.eye(3)]
    )


def test_a_mean_depends_on_parameters_as_the_integral_does():
    x = drawn(20000)
    rows = x[:, None] ** POWERS
    found = thermal_mean(x**2, None, rows, THERMAL)
    expected = slopes_of(lambda theta: average(lambda y, _: y**2, theta))
    np.testing.assert_allclose(found.gradient, expected, rtol=5e-3, atol=1e-3)
    found = thermal_mean(rows @ THETA, rows, rows, THERMAL)
    assert found.value == pytest.approx(average(energy, THETA), rel=1e-3)
    np.testing.assert_allclose(
        found.gradient, slopes_of(lambda theta: average(energy, theta)), rtol=5e-3, atol=1e-3
    )


def test_a_heat_capacity_depends_on_parameters_as_the_integral_does():
    x = drawn(20000)
    rows = x[:, None] ** POWERS
    energies = rows @ THETA
    found = thermal_covariance((energies, energies), (rows, rows), rows, THERMAL)

    def variance(theta):
        return average(lambda y, t: energy(y, t) ** 2, theta) - average(energy, theta) ** 2

    assert found.value == pytest.approx(variance(THETA), rel=2e-3)
    np.testing.assert_allclose(found.gradient, slopes_of(variance), rtol=0.01, atol=3e-3)


def test_error_bars_are_those_of_samples_of_the_parameters():
    """Brute force: the integral at many parameters, against the gradient at one."""
    generator, sds = np.random.default_rng(3), np.array([0.02, 0.02, 0.01])
    x = drawn(20000)
    found = thermal_mean(x**2, None, x[:, None] ** POWERS, THERMAL)
    drawn_parameters = THETA + sds * generator.standard_normal((300, 3))
    brute = np.std([average(lambda y, _: y**2, theta) for theta in drawn_parameters])
    assert np.linalg.norm(found.gradient * sds) == pytest.approx(brute, rel=0.12)


def test_the_statistical_error_grows_with_the_correlation():
    independent = np.random.default_rng(1).standard_normal(4000)
    assert statistical_error(independent) == pytest.approx(1.0 / np.sqrt(4000), rel=0.2)
    assert statistical_error(np.repeat(independent, 9)) == pytest.approx(1.0 / np.sqrt(4000), rel=0.2)
    assert statistical_error(independent[:2]) == np.inf
