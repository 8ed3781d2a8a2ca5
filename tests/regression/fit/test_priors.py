"""Structured priors and amplitude-dependent noise: their densities, gradients and limits."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import multivariate_normal

from mlff_dyn.regression.data.observations import Observations
from mlff_dyn.regression.data.sums import collect
from mlff_dyn.regression.fit.evidence import Hyperparameters, evaluate, maximize_evidence
from mlff_dyn.regression.fit.noise import NoiseModel, TruncationNoise
from mlff_dyn.regression.fit.posterior import fit_posterior
from mlff_dyn.regression.fit.priors import PriorBlock, StructuredPrior

VALUES = np.array([0.3, -0.4, 0.1, 0.7])
AMPLITUDES = np.array([0.5, 1.0, 2.0])


def structured_prior(seed: int = 0) -> StructuredPrior:
    """Two blocks with constraints: 5 structural for 4 free parameters, 6 for 3; the second one decays."""
    generator = np.random.default_rng(seed)
    first = np.linalg.qr(generator.standard_normal((5, 4)))[0]
    second = np.linalg.qr(generator.standard_normal((6, 3)))[0]
    return StructuredPrior(
        [
            PriorBlock(first, np.zeros(5, np.int64), None, np.zeros(5)),
            PriorBlock(
                second, np.array([1, 1, 1, 2, 2, 2]), np.linspace(-1, 1, 6), np.log([1.0, 2, 3, 4, 5, 6])
            ),
        ]
    )


def frames(prior: StructuredPrior, n_rows: int, seed: int) -> list[tuple[NDArray, NDArray]]:
    generator = np.random.default_rng(seed)
    shape = (n_rows, prior.n_parameters)
    return [(generator.standard_normal(shape), generator.standard_normal(n_rows)) for _ in AMPLITUDES]


def observations(data: list[tuple[NDArray, NDArray]]) -> Observations:
    return Observations(tuple(collect(x, y) for x, y in data), AMPLITUDES)


def conditioned_covariance(prior: StructuredPrior, values: NDArray) -> NDArray:
    """Covariance of the free parameters: the normal of the structural ones, conditioned on x = N w."""
    return np.linalg.inv(prior.precision(values).matrix)


@pytest.mark.parametrize("n_rows", [2, 9])
def test_evidence_is_the_density_of_the_targets(n_rows: int) -> None:
    """Frames of different noise, fewer and more rows than parameters."""
    prior, noise = structured_prior(), NoiseModel(0.1, 0.4, 2.0, 1.0)
    data = frames(prior, n_rows, seed=1)
    design = np.concatenate([x for x, _ in data])
    targets = np.concatenate([y for _, y in data])
    covariance = design @ conditioned_covariance(prior, VALUES) @ design.T
    covariance += np.diag(np.repeat(noise.variance(AMPLITUDES), n_rows))
    expected = multivariate_normal(np.zeros(len(targets)), covariance).logpdf(targets)
    found = evaluate(observations(data), prior, Hyperparameters(noise, VALUES)).log_evidence
    assert found == pytest.approx(expected, rel=1e-10)


def test_conditioning_equals_the_dense_formula() -> None:
    """Conditioning x ~ N(0, V) on the subspace of N gives the precision N^T V^-1 N."""
    prior = structured_prior()
    precision = prior.precision(VALUES)
    block = prior.blocks[1]
    variances = precision.variances[5:]
    complement = np.linalg.svd(block.structure.T)[2][3:]
    x_covariance = np.diag(variances)
    gain = x_covariance @ complement.T @ np.linalg.inv(complement @ x_covariance @ complement.T)
    conditioned = x_covariance - gain @ complement @ x_covariance
    free = np.linalg.inv(precision.matrix[4:, 4:])
    np.testing.assert_allclose(block.structure @ free @ block.structure.T, conditioned, atol=1e-10)


def test_gradients_are_those_of_the_evidence() -> None:
    """By every hyperparameter of noise and prior, at several points, through the public maximum."""
    prior = structured_prior()
    data = observations(frames(prior, 30, seed=2))
    family = TruncationNoise(max_order=3, reference_amplitude=1.0)
    found = maximize_evidence(data, prior, family, noise_hint=0.1, tolerance=1e-14, max_iterations=500)

    def objective(noise_values: NDArray, prior_values: NDArray) -> float:
        hyperparameters = Hyperparameters(family.model(noise_values), prior_values)
        log_prior = family.log_prior(noise_values, data.target_rms)[0]
        return evaluate(data, prior, hyperparameters).log_evidence + log_prior

    noise = found.noise
    noise_values = np.array(
        [
            np.log(noise.floor_sd),
            np.log(noise.truncation_sd),
            noise.exponent,
            noise.neighborhood_exponent,
            noise.far_share,
        ]
    )
    n_noise = len(noise_values)
    best = objective(noise_values, found.prior_values)
    bounds = family.bounds(data.target_rms) + prior.bounds(prior.start(data.column_power, data.target_rms))
    all_values = np.concatenate([noise_values, found.prior_values])
    for k, (value, (low, high)) in enumerate(zip(all_values, bounds, strict=True)):
        if min(value - low, high - value) < 1e-2:
            continue
        step = 1e-3 * np.eye(len(all_values))[k]
        up, down = all_values + step, all_values - step
        assert objective(up[:n_noise], up[n_noise:]) < best + 1e-7
        assert objective(down[:n_noise], down[n_noise:]) < best + 1e-7


def test_decay_is_found() -> None:
    """Parameters drawn with a decaying sd: the evidence finds the rate, and far ones get small error bars."""
    generator = np.random.default_rng(3)
    distances = np.linspace(-3, 3, 60)
    truth = np.exp(-1.2 * distances) * generator.standard_normal(60)
    prior = StructuredPrior([PriorBlock(np.eye(60), np.zeros(60, np.int64), distances, np.zeros(60))])
    design = generator.standard_normal((40, 60))
    targets = design @ truth + 0.01 * generator.standard_normal(40)
    data = Observations((collect(design, targets),), np.ones(1))
    posterior = fit_posterior(data, prior, TruncationNoise(3, 1.0), noise_hint=0.01)
    assert posterior.hyperparameters.prior_values[1] == pytest.approx(1.2, rel=0.35)
    flat = StructuredPrior([PriorBlock(np.eye(60), np.zeros(60, np.int64), None, np.zeros(60))])
    plain = fit_posterior(data, flat, TruncationNoise(3, 1.0), noise_hint=0.01)
    assert posterior.log_evidence > plain.log_evidence + 10
    assert np.linalg.norm(posterior.mean - truth) < 0.5 * np.linalg.norm(plain.mean - truth)


def test_growth_of_noise_with_amplitude_is_found() -> None:
    """Residuals drawn with amplitude^2.5."""
    generator = np.random.default_rng(4)
    prior = StructuredPrior([PriorBlock(np.eye(5), np.zeros(5, np.int64), None, np.zeros(5))])
    truth = generator.standard_normal(5)
    parts = []
    for a in AMPLITUDES:
        design = a * generator.standard_normal((400, 5))
        noise = 0.1 * a**2.5 * generator.standard_normal(400)
        parts.append(collect(design, design @ truth + noise))
    data = Observations(tuple(parts), AMPLITUDES)
    found = maximize_evidence(data, prior, TruncationNoise(4, 1.0), noise_hint=0.1)
    assert found.noise.exponent == pytest.approx(2.5, abs=0.15)
    assert found.noise.truncation_sd == pytest.approx(0.1, rel=0.1)
    np.testing.assert_allclose(found.noise.variance(AMPLITUDES) ** 0.5, 0.1 * AMPLITUDES**2.5, rtol=0.15)
