"""A prior about a guess: its density, its limits, and what a good or a useless guess does."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import multivariate_normal

from mlff_dyn.model.fitting.prior_guess import PriorGuess, fit_with_guess
from mlff_dyn.regression.data.observations import Observations
from mlff_dyn.regression.data.sums import collect
from mlff_dyn.regression.fit.evidence import Hyperparameters, evaluate
from mlff_dyn.regression.fit.hyperpriors import HYPERPRIORS
from mlff_dyn.regression.fit.noise import NoiseModel
from mlff_dyn.regression.fit.posterior import fit_posterior
from mlff_dyn.regression.fit.prior_about_guess import PriorAboutGuess, fit_about_guess, shift_targets
from tests.regression.fit.test_priors import AMPLITUDES, VALUES, frames, observations, structured_prior
from tests.regression.linear_problems import ConstantNoise, independent_prior

GROUPS = np.repeat([0, 1], [4, 3])


def guess_directions(seed: int = 3) -> NDArray[np.float64]:
    drawn = np.random.default_rng(seed).standard_normal(7)
    return np.where(GROUPS[:, None] == np.arange(2), drawn[:, None], 0.0)


@pytest.mark.parametrize("n_rows", [2, 9])
def test_evidence_is_the_density_of_the_targets(n_rows: int) -> None:
    """w ~ N(M 1, L^-1 + tau^2 M M^T), written out densely."""
    deviation, noise, directions = structured_prior(), NoiseModel(0.1, 0.4, 2.0, 1.0), guess_directions()
    data = frames(deviation, n_rows, seed=1)
    design = np.concatenate([x for x, _ in data])
    targets = np.concatenate([y for _, y in data])
    spread = (
        np.linalg.inv(deviation.precision(VALUES).matrix)
        + HYPERPRIORS.guess_scale_sd**2 * directions @ directions.T
    )
    variances = np.repeat(noise.variance(AMPLITUDES), n_rows)
    center = directions.sum(axis=1)
    covariance = np.diag(variances) + design @ spread @ design.T
    expected = multivariate_normal(design @ center, covariance).logpdf(targets)
    shifted = shift_targets(observations(data), center)
    fit = evaluate(shifted, PriorAboutGuess(deviation, directions), Hyperparameters(noise, VALUES))
    assert fit.log_evidence == pytest.approx(expected, rel=1e-9)
    gain = spread @ design.T @ np.linalg.inv(covariance)
    np.testing.assert_allclose(fit.mean, gain @ (targets - design @ center), atol=1e-8)


def test_gradient_and_sensitivity_are_derivatives() -> None:
    """Against central differences of the evidence and of the precision."""
    prior, noise = PriorAboutGuess(structured_prior(), guess_directions()), NoiseModel(0.1, 0.4, 2.0, 1.0)
    data = observations(frames(structured_prior(), 9, seed=1))
    fit = evaluate(data, prior, Hyperparameters(noise, VALUES))
    covariance = np.linalg.inv(fit.factor @ fit.factor.T)
    precision = prior.precision(VALUES)
    gradient = prior.gradient(precision, fit.mean, covariance)
    pull, carried = prior.sensitivity(precision, fit.mean)
    step = 1e-5
    for i, change in enumerate(step * np.eye(len(VALUES))):
        up, down = (
            evaluate(data, prior, Hyperparameters(noise, VALUES + s * change)).log_evidence for s in (1, -1)
        )
        assert gradient[i] == pytest.approx((up - down) / (2 * step), rel=1e-5, abs=1e-6)
        slope = prior.precision(VALUES + change).matrix - prior.precision(VALUES - change).matrix
        expected = -slope @ fit.mean / (2 * step)
        np.testing.assert_allclose(pull[:, i], expected, atol=1e-6 * np.abs(pull).max())
    np.testing.assert_allclose(precision.matrix @ carried, pull, atol=1e-8 * np.abs(pull).max())


def draw(seed: int, *, n_frames: int = 3, n_parameters: int = 60) -> tuple[Observations, NDArray, NDArray]:
    """Fewer rows than twice the parameters: data, truth, groups."""
    generator = np.random.default_rng(seed)
    groups = np.repeat([0, 1], n_parameters // 2)
    truth = np.array([2.0, 0.5])[groups] * generator.standard_normal(n_parameters)
    parts = []
    for _ in range(n_frames):
        design = generator.standard_normal((25, n_parameters))
        parts.append(collect(design, design @ truth + 0.05 * generator.standard_normal(25)))
    return Observations(tuple(parts), np.ones(n_frames)), truth, groups


def by_group(guess: NDArray, groups: NDArray) -> NDArray:
    return np.where(groups == np.arange(2)[:, None], guess, 0.0)


def test_no_guess_is_the_fit_without() -> None:
    data, truth, groups = draw(0)
    plain = fit_posterior(data, independent_prior(groups), ConstantNoise(), noise_hint=0.1)
    none = fit_about_guess(
        data, independent_prior(groups), ConstantNoise(), by_group(0 * truth, groups), noise_hint=0.1
    )
    np.testing.assert_allclose(none.posterior.mean, plain.mean, atol=1e-8)
    assert none.posterior.log_evidence == pytest.approx(plain.log_evidence)


def test_true_scales_are_found() -> None:
    """A guess of the right shape: both scales within three standard deviations, error far below the plain."""
    data, truth, groups = draw(1, n_frames=1)
    scales = np.array([0.7, 1.2])
    guess = truth / scales[groups]
    found = fit_about_guess(
        data, independent_prior(groups), ConstantNoise(), by_group(guess, groups), noise_hint=0.1
    )
    plain = fit_posterior(data, independent_prior(groups), ConstantNoise(), noise_hint=0.1)
    assert np.all(np.abs(found.scales - scales) < 3 * found.scale_sds)
    error, plain_error = (np.linalg.norm(p.mean - truth) for p in (found.posterior, plain))
    assert error < 0.1 * plain_error
    assert found.posterior.log_evidence > plain.log_evidence


def test_scale_uncertainty_is_part_of_the_posterior() -> None:
    """Without data to tell it, the sd along the guess is at least that of its scale."""
    data, truth, groups = draw(2, n_frames=1)
    found = fit_about_guess(
        data, independent_prior(groups), ConstantNoise(), by_group(truth, groups), noise_hint=0.1
    )
    for place in range(2):
        along = np.where(groups == place, truth, 0.0)
        unit = along / (along @ along)
        reading = float(np.linalg.norm(unit @ found.posterior.covariance_factor))
        deviations = np.exp(found.posterior.hyperparameters.prior_values[place])
        assert reading > 0.5 * found.scale_sds[place] - deviations / np.linalg.norm(along)


@pytest.mark.parametrize("kind", ["random", "three times", "minus"])
def test_a_bad_guess_does_not_hurt(kind: str) -> None:
    """Over twenty problems, the error is at most a tenth above that without a guess."""
    errors, plain_errors = [], []
    for seed in range(20):
        data, truth, groups = draw(seed)
        drawn = np.random.default_rng(1000 + seed).standard_normal(len(truth))
        guess = {"random": 2 * drawn, "three times": 3 * truth, "minus": -truth}[kind]
        prior, noise = independent_prior(groups), ConstantNoise()
        fitted, _ = fit_with_guess(
            data,
            prior,
            noise,
            guess=PriorGuess("bad", guess, groups),
            column_scale=np.ones(len(truth)),
            noise_hint=0.1,
        )
        plain = fit_posterior(data, prior, noise, noise_hint=0.1)
        errors.append(np.sum((fitted.mean - truth) ** 2))
        plain_errors.append(np.sum((plain.mean - truth) ** 2))
    assert np.sqrt(np.mean(errors)) < 1.1 * np.sqrt(np.mean(plain_errors))
