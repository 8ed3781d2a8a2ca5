"""The evidence from triangles: the function that sums of products give, and right where those are not."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.linalg import qr
from scipy.stats import multivariate_normal

from mlff_dyn.errors import FitError
from mlff_dyn.regression.data.observations import Observations
from mlff_dyn.regression.data.sums import collect
from mlff_dyn.regression.fit.evidence import Hyperparameters, evaluate, maximize_evidence
from mlff_dyn.regression.fit.evidence_from_sums import Objective
from mlff_dyn.regression.fit.evidence_from_triangles import SquareRootObjective
from mlff_dyn.regression.fit.noise import NoiseModel
from mlff_dyn.regression.fit.posterior import posterior_at
from mlff_dyn.regression.fit.prior_about_guess import PriorAboutGuess, fit_about_guess
from mlff_dyn.regression.fit.priors import Prior, PriorBlock, StructuredPrior
from tests.regression.exact_reference import exact_posterior
from tests.regression.linear_problems import ConstantNoise, collect_root, independent_prior

Rows = tuple[NDArray[np.float64], NDArray[np.float64]]


def observed(data: list[Rows], n_free: int = 0) -> Observations:
    return Observations(
        tuple(collect(x, y) for x, y in data),
        np.ones(len(data)),
        n_free=n_free,
        rows=lambda: [collect_root(x, y) for x, y in data],
    )


def structured() -> StructuredPrior:
    """Two groups with sum rules and a decay, and one group without."""
    generator = np.random.default_rng(0)
    structure = np.linalg.qr(generator.standard_normal((9, 6)))[0]
    decaying = PriorBlock(structure, np.arange(9) % 2, np.linspace(0.0, 2.0, 9), np.zeros(9))
    plain = PriorBlock(np.eye(4), np.full(4, 2), None, np.log(np.array([1.0, 2.0, 2.0, 4.0])))
    return StructuredPrior((decaying, plain))


STRUCTURED = structured()
DIRECTIONS = np.random.default_rng(7).standard_normal((10, 2))
PRIORS = [STRUCTURED, PriorAboutGuess(STRUCTURED, DIRECTIONS)]
PRIOR_VALUES = np.array([0.3, -0.5, 0.1, 0.8])


def draw(sizes: tuple[int, ...], n_free: int = 0, seed: int = 1) -> list[Rows]:
    generator = np.random.default_rng(seed)
    n = n_free + STRUCTURED.n_parameters
    truth = generator.standard_normal(n)
    designs = [generator.standard_normal((size, n)) for size in sizes]
    return [(x, x @ truth + 0.2 * generator.standard_normal(len(x))) for x in designs]


@pytest.mark.parametrize("prior", PRIORS, ids=["structured", "transfer"])
def test_the_root_of_a_prior_is_that_of_its_precision(prior: Prior) -> None:
    expected = prior.precision(PRIOR_VALUES)
    found, root = prior.rooted(PRIOR_VALUES)
    assert not np.tril(root, -1).any()
    scale = np.abs(expected.matrix).max()
    np.testing.assert_allclose(root.T @ root, expected.matrix, atol=1e-13 * scale)
    np.testing.assert_allclose(found.matrix, expected.matrix, atol=1e-13 * scale)
    assert found.log_determinant == pytest.approx(expected.log_determinant, rel=1e-12)
    assert 2 * np.log(np.diag(root)).sum() == pytest.approx(found.log_determinant, rel=1e-12)


@pytest.mark.parametrize("prior", PRIORS, ids=["structured", "transfer"])
@pytest.mark.parametrize("n_free", [0, 3])
@pytest.mark.parametrize("sizes", [(40,), (20, 3, 31), (4, 2), (14, 13, 12)])
def test_it_is_the_function_that_sums_give(sizes: tuple[int, ...], n_free: int, prior: Prior) -> None:
    """Value, gradients, information, mean and precision, with many rows and with fewer than parameters."""
    data = draw(sizes, n_free)
    observations = observed(data, n_free)
    sums = Objective(observations, prior)
    roots = SquareRootObjective(observations.roots, prior, n_free=n_free)
    variances = np.linspace(0.03, 0.08, len(sizes))
    by_noise = np.random.default_rng(2).standard_normal((2, len(sizes))) * variances
    for a, b in zip(
        sums.expand(variances, PRIOR_VALUES, by_noise),
        roots.expand(variances, PRIOR_VALUES, by_noise),
        strict=True,
    ):
        np.testing.assert_allclose(b, a, rtol=1e-10, atol=1e-10 * np.abs(a).max())
    expected, found = sums.fit(variances, PRIOR_VALUES), roots.fit(variances, PRIOR_VALUES)
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found.factor, expected.factor, atol=1e-10 * np.abs(expected.factor).max())


@pytest.mark.parametrize("sizes", [(40,), (4, 2), (15, 30)])
def test_it_is_the_density_of_the_targets(sizes: tuple[int, ...]) -> None:
    data, variances = draw(sizes), np.linspace(0.03, 0.08, len(sizes))
    design = np.concatenate([x for x, _ in data])
    covariance = design @ np.linalg.inv(STRUCTURED.precision(PRIOR_VALUES).matrix) @ design.T
    covariance += np.diag(np.repeat(variances, sizes))
    expected = multivariate_normal(np.zeros(len(design)), covariance).logpdf(
        np.concatenate([y for _, y in data])
    )
    objective = SquareRootObjective(observed(data).roots, STRUCTURED)
    assert objective.fit(variances, PRIOR_VALUES).log_evidence == pytest.approx(expected, rel=1e-10)


def ill_conditioned(condition: float, noise: float, *, n_rows: int = 40, n: int = 12, seed: int = 3) -> Rows:
    """Rows whose singular values spread over the condition, signals of size one."""
    generator = np.random.default_rng(seed)
    left = qr(generator.standard_normal((n_rows, n)), mode="economic")[0]
    right = qr(generator.standard_normal((n, n)))[0]
    design = np.sqrt(n_rows) * (left * np.logspace(0.0, -np.log10(condition), n)) @ right.T
    clean = design @ generator.standard_normal(n)
    scale = 1.0 / np.sqrt(np.mean(clean**2))
    return scale * design, scale * clean + noise * generator.standard_normal(n_rows)


@pytest.mark.parametrize("condition", [1e2, 1e6, 1e8])
@pytest.mark.parametrize("noise", [1e-3, 1e-5, 1e-8, 1e-10])
def test_it_is_right_where_the_noise_is_tiny(condition: float, noise: float) -> None:
    """Mean, sd and log evidence of rational arithmetic, by the form that the noise calls for."""
    design, targets = ill_conditioned(condition, noise)
    mean, sds, log_evidence = exact_posterior(design, targets, noise**2, 1.0)
    prior = independent_prior(np.zeros(12, np.int64))
    hyperparameters = Hyperparameters(NoiseModel(noise), np.zeros(1))
    found = posterior_at(observed([(design, targets)]), prior, hyperparameters)
    assert np.abs((found.mean - mean) / sds).max() < 1e-3
    np.testing.assert_allclose(np.linalg.norm(found.covariance_factor, axis=1), sds, rtol=1e-4)
    limit = 1e-6 if noise > 1e-9 else 1e-4
    assert found.log_evidence == pytest.approx(log_evidence, abs=limit)


@pytest.mark.parametrize("noise", [1e-3, 1e-6, 1e-9, 1e-11])
def test_noise_of_any_size_is_found(noise: float) -> None:
    """The sd of the noise, within five of its standard errors."""
    design, targets = ill_conditioned(1e3, noise, n_rows=400)
    prior = independent_prior(np.zeros(12, np.int64))
    found = maximize_evidence(
        observed([(design, targets)]), prior, ConstantNoise(), noise_hint=0.02, tolerance=1e-10
    )
    assert found.noise.floor_sd == pytest.approx(noise, rel=5.0 / np.sqrt(2 * 388))


def test_rows_are_not_asked_for_where_sums_will_do() -> None:
    def no_rows() -> list:
        raise AssertionError

    design, targets = ill_conditioned(1e3, 1e-3, n_rows=400)
    prior = independent_prior(np.zeros(12, np.int64))
    lazy = replace(observed([(design, targets)]), rows=no_rows)
    found = maximize_evidence(lazy, prior, ConstantNoise(), noise_hint=0.02)
    alone = maximize_evidence(replace(lazy, rows=None), prior, ConstantNoise(), noise_hint=0.02)
    assert found.noise.floor_sd == pytest.approx(alone.noise.floor_sd, rel=1e-12)


def test_duplicate_columns_without_noise_keep_their_prior() -> None:
    """Sums lose the prior of the difference of two equal columns; the rows do not."""
    generator = np.random.default_rng(5)
    design = generator.standard_normal((60, 8))
    design[:, 7] = design[:, 0]
    targets = design @ np.ones(8)
    prior = independent_prior(np.zeros(8, np.int64))
    posterior = posterior_at(
        observed([(design, targets)]), prior, Hyperparameters(NoiseModel(1e-11), np.zeros(1))
    )
    np.testing.assert_allclose(posterior.mean, 1.0, atol=1e-4)
    np.testing.assert_allclose(design @ posterior.mean, targets, atol=1e-10)
    difference = np.zeros((1, 8))
    difference[0, 0], difference[0, 7] = 0.5**0.5, -(0.5**0.5)
    assert posterior.variance(difference)[0] == pytest.approx(1.0, rel=1e-3)


def test_a_true_guess_is_told_to_rounding() -> None:
    """Targets that are 0.8 times what a guess gives: the scale and the parameters come out."""
    generator = np.random.default_rng(6)
    guess = generator.standard_normal((1, 12))
    design = generator.standard_normal((60, 12))
    found = fit_about_guess(
        observed([(design, design @ (0.8 * guess[0]))]),
        independent_prior(np.zeros(12, np.int64)),
        ConstantNoise(),
        guess,
        noise_hint=0.02,
    )
    np.testing.assert_allclose(found.posterior.mean, 0.8 * guess[0], atol=1e-11)
    assert abs(found.scales[0] - 0.8) < 3.0 * found.scale_sds[0]


def test_no_prior_and_too_few_rows() -> None:
    """A free parameter that no row holds is refused."""
    design = np.zeros((5, 1 + STRUCTURED.n_parameters))
    roots = [collect_root(design, np.ones(5))]
    with pytest.raises(FitError, match="positive definite"):
        SquareRootObjective(roots, STRUCTURED, n_free=1).fit(np.ones(1), PRIOR_VALUES)


def test_both_forms_meet_at_the_limit() -> None:
    """Over the decades around the change of form the evidence has no step."""
    design, targets = ill_conditioned(1e4, 1e-5)
    prior = independent_prior(np.zeros(12, np.int64))
    data = observed([(design, targets)])
    for noise in np.logspace(-5.5, -3.5, 9):
        hyperparameters = Hyperparameters(NoiseModel(float(noise)), np.zeros(1))
        exact = exact_posterior(design, targets, float(noise) ** 2, 1.0)[2]
        assert evaluate(data, prior, hyperparameters).log_evidence == pytest.approx(exact, abs=1e-4)
