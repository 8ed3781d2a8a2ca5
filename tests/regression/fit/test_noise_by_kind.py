"""Several kinds of rows, parameters with a flat prior, and noise of neighborhoods."""

import numpy as np
import pytest
from numpy.typing import NDArray

from mlff_dyn.regression.data.conditions import Conditions, RowKind
from mlff_dyn.regression.data.observations import Observations
from mlff_dyn.regression.data.sums import collect
from mlff_dyn.regression.errors.held_out import hold_out
from mlff_dyn.regression.fit.evidence import Hyperparameters, evaluate, maximize_evidence
from mlff_dyn.regression.fit.noise import NoiseModel, TruncationNoise
from mlff_dyn.regression.fit.noise_by_kind import KindNoise, KindSettings
from mlff_dyn.regression.fit.posterior import posterior_at
from mlff_dyn.regression.fit.priors import PriorBlock, StructuredPrior

N_PARAMETERS = 5
PRIOR = StructuredPrior(
    [PriorBlock(np.eye(N_PARAMETERS), np.zeros(N_PARAMETERS, np.int64), None, np.zeros(5))]
)
VALUES = np.array([0.2])
NOISE = NoiseModel(0.1, 0.3, 2.0, 1.0)
ENERGY_NOISE = {int(RowKind.ENERGY): NoiseModel(0.05, 0.02, 3.0, 1.0)}
FAMILY = KindNoise(
    TruncationNoise(max_order=3, reference_amplitude=0.9, exponent_spread=0.4),
    (KindSettings(RowKind.ENERGY, 1.0, 0.1, 0.3), KindSettings(RowKind.STRESS, 0.0, 0.2, 0.1)),
)


def frames(n_frames: int, seed: int = 0) -> list[tuple[NDArray, NDArray, float]]:
    """Design, targets and amplitude of frames: six rows of forces and one energy, whose zero is 7."""
    generator = np.random.default_rng(seed)
    truth = generator.standard_normal(N_PARAMETERS)
    found = []
    for amplitude in np.linspace(0.5, 1.5, n_frames):
        design = np.hstack([np.zeros((7, 1)), amplitude * generator.standard_normal((7, N_PARAMETERS))])
        design[-1, 0] = 1.0
        targets = design @ np.concatenate([[7.0], truth]) + 0.1 * generator.standard_normal(7)
        found.append((design, targets, float(amplitude)))
    return found


def observed(data: list[tuple[NDArray, NDArray, float]], *, is_free: bool = True) -> Observations:
    parts, amplitudes, kinds = [], [], []
    for design, targets, amplitude in data:
        for rows, kind in ((slice(0, 6), RowKind.FORCE), (slice(6, 7), RowKind.ENERGY)):
            parts.append(collect(design[rows], targets[rows]))
            amplitudes.append(amplitude)
            kinds.append(int(kind))
    return Observations(tuple(parts), np.array(amplitudes), kinds=np.array(kinds), n_free=1 if is_free else 0)


def hyperparameters() -> Hyperparameters:
    return Hyperparameters(NOISE, VALUES, ENERGY_NOISE)


def test_a_flat_prior_is_the_limit_of_a_wide_one() -> None:
    """Posterior of parameters and zero, and differences of the evidence between hyperparameters."""
    data, sd = frames(4), 1e4
    blocks = [
        PriorBlock(np.eye(1), np.zeros(1, np.int64), None, np.array([2 * np.log(sd)])),
        PriorBlock(np.eye(N_PARAMETERS), np.ones(N_PARAMETERS, np.int64), None, np.zeros(N_PARAMETERS)),
    ]
    wide = StructuredPrior(blocks)
    changes = []
    for value in (0.2, -0.5):
        free = posterior_at(observed(data), PRIOR, Hyperparameters(NOISE, np.array([value]), ENERGY_NOISE))
        values = np.array([0.0, value])
        full = evaluate(observed(data, is_free=False), wide, Hyperparameters(NOISE, values, ENERGY_NOISE))
        assert free.free is not None
        np.testing.assert_allclose(np.concatenate([free.free.mean, free.mean]), full.mean, rtol=1e-6)
        covariance = np.linalg.inv(full.factor @ full.factor.T)
        np.testing.assert_allclose(
            free.covariance_factor @ free.covariance_factor.T, covariance[1:, 1:], rtol=1e-6, atol=1e-9
        )
        _, factor = free.project(data[0][0][:, 1:], data[0][0][:, :1])
        np.testing.assert_allclose(
            factor @ factor.T, data[0][0] @ covariance @ data[0][0].T, rtol=1e-5, atol=1e-9
        )
        changes.append(free.log_evidence - full.log_evidence)
    assert changes[0] == pytest.approx(np.log(sd), abs=1e-4)
    assert changes[1] == pytest.approx(changes[0], abs=1e-4)


def test_leaving_out_a_frame_with_its_energy_equals_refitting_without() -> None:
    """Rows of unequal noise and a free zero."""
    data = frames(5, seed=1)
    posterior = posterior_at(observed(data), PRIOR, hyperparameters())
    for k, (design, targets, amplitude) in enumerate(data):
        rest = posterior_at(observed(data[:k] + data[k + 1 :]), PRIOR, hyperparameters())
        kinds = np.array([0] * 6 + [int(RowKind.ENERGY)])
        variances = hyperparameters().variances(Conditions(np.full(7, amplitude), np.ones(7), kinds))
        found = hold_out(posterior, design[:, 1:], targets, variances, design[:, :1])
        prediction, factor = rest.project(design[:, 1:], design[:, :1])
        np.testing.assert_allclose(found.errors, targets - prediction, rtol=1e-8, atol=1e-10)
        leverages = np.einsum("ij,ij->i", factor, factor) / variances
        np.testing.assert_allclose(found.leverages, leverages, rtol=1e-8)


def test_gradients_of_the_noise_are_its_differences() -> None:
    generator = np.random.default_rng(2)
    n = 30
    conditions = Conditions(
        np.exp(0.3 * generator.standard_normal(n)),
        np.exp(0.3 * generator.standard_normal(n)),
        np.arange(n) % 3,
    )
    weights = generator.standard_normal(n)
    values = FAMILY.start(1.0) + 0.3 * generator.standard_normal(9)
    step = 1e-6
    found = FAMILY.gradient(values, conditions, weights)
    prior = FAMILY.log_prior(values, 1.0)[1]
    for k in range(len(values)):
        up, down = values + step * np.eye(9)[k], values - step * np.eye(9)[k]
        change = weights @ (FAMILY.variances(up, conditions) - FAMILY.variances(down, conditions))
        assert found[k] == pytest.approx(change / (2 * step), rel=1e-5, abs=1e-9)
        change = FAMILY.log_prior(up, 1.0)[0] - FAMILY.log_prior(down, 1.0)[0]
        assert prior[k] == pytest.approx(change / (2 * step), rel=1e-5, abs=1e-7)


def test_noise_of_neighborhoods_is_found() -> None:
    """Rows of frames of one amplitude, whose noise does or does not depend on the neighborhood."""
    generator = np.random.default_rng(3)
    ratios = np.array([0.5, 0.8, 1.2, 2.0])
    for exponent, far_share in ((2.5, 0.0), (2.5, 0.7), (2.5, 1.0)):
        parts = []
        truth = 0.1 * np.sqrt(far_share + (1 - far_share) * ratios ** (2 * exponent))
        for sd in truth:
            design = generator.standard_normal((600, N_PARAMETERS))
            noise = sd * generator.standard_normal(600)
            parts.append(collect(design, design.sum(axis=1) + noise))
        data = Observations(tuple(parts), np.ones(4), ratios)
        found = maximize_evidence(data, PRIOR, TruncationNoise(3, 1.0), noise_hint=0.1)
        np.testing.assert_allclose(np.sqrt(found.noise.variance(1.0, ratios)), truth, rtol=0.08)


def test_weights_of_a_fit_have_the_mean_of_the_noise_and_vary_less() -> None:
    """And without a dependence on neighborhoods they are the noise."""
    generator = np.random.default_rng(4)
    amplitudes, ratios = np.full(50, 0.8), np.exp(0.4 * generator.standard_normal(50))
    counts = generator.integers(1, 9, 50)
    for exponent, far_share in ((3.0, 0.0), (2.0, 0.6), (0.0, 0.0)):
        noise = NoiseModel(0.01, 0.3, 2.0, 1.0, exponent, far_share)
        true = noise.variance(amplitudes, ratios)
        weighted = noise.weight_variance(amplitudes, ratios, counts)
        assert np.average(weighted, weights=counts) == pytest.approx(
            np.average(true, weights=counts), rel=1e-12
        )
        if exponent:
            assert 1.0 < weighted.max() / weighted.min() < true.max() / true.min()
            assert np.array_equal(np.argsort(weighted), np.argsort(true))
        else:
            np.testing.assert_allclose(weighted, true, rtol=1e-12)


def test_noise_of_mixed_orders_is_the_mean_of_two_powers() -> None:
    amplitudes, spread = np.array([0.5, 1.0, 1.5, 3.0]), 0.7
    mixed = NoiseModel(0.0, 0.3, 2.0, 1.0, exponent_spread=spread).variance(amplitudes)
    powers = [NoiseModel(0.0, 0.3, 2.0 + sign * spread, 1.0).variance(amplitudes) for sign in (-1, 1)]
    np.testing.assert_allclose(mixed, np.mean(powers, axis=0), rtol=1e-12)


def test_a_crystal_at_rest_has_the_floor_alone() -> None:
    noise = NoiseModel(0.1, 0.3, 2.0, 1.0, exponent_spread=0.7)
    np.testing.assert_allclose(noise.variance(np.array([0.0, 1e-12])), 0.1**2, rtol=1e-9)
