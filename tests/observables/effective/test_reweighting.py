"""Averages by weights: ratios of two Gaussian densities, the slope of the average, and the same solution."""

from dataclasses import replace

import numpy as np
import pytest

from mlff_dyn.observables.effective.averaged import EffectiveSettings
from mlff_dyn.observables.effective.correction import Correction
from mlff_dyn.observables.effective.limits import EFFECTIVE_LIMITS
from mlff_dyn.observables.effective.reweighting import Reweighting, effective_share
from mlff_dyn.observables.effective.self_consistent import self_consistent
from mlff_dyn.observables.effective.self_consistent_crystal import SelfConsistentCrystal
from mlff_dyn.observables.sampled_phonons import sampled_phonons
from tests.observables.effective.gap_equation import oscillator

KELVIN = 300.0


def posed(quadratic, *, is_quantum, error=0.05):
    force_field, torus, _ = oscillator(quadratic, 200.0)
    phonons = sampled_phonons(force_field, torus, n_samples=2, seed=1)
    settings = EffectiveSettings(KELVIN, "self-consistent", is_quantum, error, 2**14, 1)
    return phonons, Correction(force_field.expansion, torus), settings


def log_density(crystal, u):
    """Of a Gaussian crystal, by the covariance of its displacements atom by atom, but for a constant."""
    n = u[0].size
    roots = crystal.displacements(np.eye(n).reshape(n, -1, 3)).reshape(n, n)
    inverse = np.linalg.pinv(roots.T @ roots, rcond=1e-10, hermitian=True)
    flat = u.reshape(len(u), -1)
    return -0.5 * np.einsum("ki,ij,kj->k", flat, inverse, flat)


@pytest.mark.parametrize("is_quantum", [False, True])
def test_weights_are_ratios_of_densities(is_quantum):
    phonons, correction, settings = posed(5.0, is_quantum=is_quantum)
    problem = SelfConsistentCrystal(phonons, correction, settings)
    noise = problem.noise(64)
    point = np.zeros(correction.n_parameters)
    found = problem.average(point, noise)
    other = problem.crystal(0.3 * found.image)
    u = found.crystal.displacements(noise)
    expected = log_density(other, u) - log_density(found.crystal, u)
    weights = Reweighting(found, noise).weights(other)
    assert weights.mean() == pytest.approx(1.0)
    np.testing.assert_allclose(np.log(weights) - np.log(weights[0]), expected - expected[0], atol=1e-9)


def test_the_image_by_weights_has_the_slope_of_the_image():
    """Near the solution, where both averages are alike but for Monte Carlo errors of their own."""
    phonons, correction, settings = posed(5.0, is_quantum=False)
    problem = SelfConsistentCrystal(phonons, correction, settings)
    few, noise = problem.noise(128), problem.noise(4096)
    point = np.zeros(correction.n_parameters)
    for _ in range(12):
        point = 0.5 * (point + problem.average(point, few).image)
    found = problem.average(point, noise)
    step = 0.1 * point
    reweighting = Reweighting(found, noise)
    weights = reweighting.weights(problem.crystal(point + step))
    assert 0.9 < effective_share(weights) < 1.0
    by_weights = reweighting.image(weights) - found.image
    anew = problem.average(point + step, noise).image - found.image
    lengths = [np.linalg.norm(found.metric.forward(each)) for each in (by_weights - anew, anew)]
    assert lengths[0] < 0.15 * lengths[1]


def test_no_weights_change_nothing():
    phonons, correction, settings = posed(5.0, is_quantum=False)
    problem = SelfConsistentCrystal(phonons, correction, settings)
    noise, point = problem.noise(32), np.zeros(correction.n_parameters)
    found = problem.average(point, noise)
    reweighting = Reweighting(found, noise)
    weights = reweighting.weights(problem.crystal(point))
    np.testing.assert_allclose(weights, 1.0)
    np.testing.assert_allclose(reweighting.image(weights), found.image)


def test_how_many_samples_weights_leave():
    assert effective_share(np.ones(7)) == pytest.approx(1.0)
    assert effective_share(np.array([2.0, 2.0, 0.0, 0.0])) == pytest.approx(0.5)


@pytest.mark.parametrize(("quadratic", "is_quantum"), [(5.0, False), (-5.0, True)])
def test_they_lead_to_the_same_crystal_with_fewer_averages(quadratic, is_quantum, monkeypatch):
    """To a small part of its Monte Carlo error, with as many displacements."""
    counts = []
    average = SelfConsistentCrystal.average

    def counted(self, point, noise, potential=None):
        counts.append(len(noise))
        return average(self, point, noise, potential)

    monkeypatch.setattr(SelfConsistentCrystal, "average", counted)
    phonons, correction, settings = posed(quadratic, is_quantum=is_quantum)
    found, costs = [], []
    for pairs_per_mode in (EFFECTIVE_LIMITS.pairs_per_mode, np.inf):
        counts.clear()
        limits = replace(EFFECTIVE_LIMITS, pairs_per_mode=pairs_per_mode)
        found.append(self_consistent(phonons, correction, settings, limits=limits))
        costs.append(sum(counts))
    weighted, plain = found
    assert weighted.is_converged
    assert plain.is_converged
    assert weighted.n_configurations == pytest.approx(plain.n_configurations, rel=0.1)
    stiffness, expected = (each.harmonic.blocks[0, 0].sum() for each in found)
    sd = np.std([each.blocks[0, 0].sum() for each in plain.of_monte_carlo], ddof=1)
    assert abs(stiffness - expected) < 0.3 * sd
    assert costs[0] < costs[1] if quadratic < 0.0 else costs[0] <= costs[1]
