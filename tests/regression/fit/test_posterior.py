"""Posterior: dense algebra, additivity, order, samples, and honest error bars."""

import numpy as np
import pytest
from scipy import stats

from mlff_dyn.errors import DataError
from mlff_dyn.regression.data.sums import collect
from tests.regression.linear_problems import draw_problem, fit, known, no_data


@pytest.mark.parametrize("shape", [(40, 8), (8, 40)])
def test_it_is_the_dense_inverse(shape: tuple[int, int]) -> None:
    problem = draw_problem(*shape, seed=1)
    noise_sq = problem.noise_sd**2
    precision = problem.design.T @ problem.design / noise_sq + np.diag(1 / problem.prior_variance)
    covariance = np.linalg.inv(precision)
    posterior = problem.posterior()
    factor = posterior.covariance_factor
    np.testing.assert_allclose(factor @ factor.T, covariance, rtol=1e-9, atol=1e-13)
    expected = covariance @ problem.design.T @ problem.targets / noise_sq
    np.testing.assert_allclose(posterior.mean, expected, rtol=1e-9, atol=1e-13)
    rows = np.random.default_rng(2).standard_normal((7, shape[1]))
    np.testing.assert_allclose(posterior.variance(rows), np.diag(rows @ covariance @ rows.T), rtol=1e-9)


@pytest.mark.parametrize("n_rows", [3, 40])
def test_after_rows_that_were_found_as_predicted(n_rows: int) -> None:
    """The same covariance as of a fit that has the rows, whatever they say; the mean stays."""
    problem = draw_problem(40, 8, seed=4)
    posterior = problem.posterior()
    generator = np.random.default_rng(5)
    design, variances = generator.standard_normal((n_rows, 8)), generator.uniform(0.1, 2.0, n_rows)
    after = posterior.after(design, variances)
    precision = np.linalg.inv(posterior.covariance_factor @ posterior.covariance_factor.T)
    expected = np.linalg.inv(precision + design.T @ (design / variances[:, None]))
    found = after.covariance_factor @ after.covariance_factor.T
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-13)
    np.testing.assert_array_equal(after.mean, posterior.mean)
    np.testing.assert_array_equal(after.covariance_factor, np.triu(after.covariance_factor))


def test_it_is_ridge_regression() -> None:
    problem = draw_problem(50, 10, seed=2, prior_sd=(0.7,))
    ratio = (problem.noise_sd / 0.7) ** 2
    gram = problem.design.T @ problem.design + ratio * np.eye(10)
    expected = np.linalg.solve(gram, problem.design.T @ problem.targets)
    np.testing.assert_allclose(problem.posterior().mean, expected, rtol=1e-10)


def test_pieces_add_up_in_any_order() -> None:
    problem = draw_problem(60, 10, seed=3)
    pieces = [collect(problem.design[i : i + 7], problem.targets[i : i + 7]) for i in range(0, 60, 7)]
    for order in (range(len(pieces)), reversed(range(len(pieces)))):
        total = no_data(10)
        for piece in order:
            total += pieces[piece]
        assert total.n_targets == 60
        posterior = fit(total, problem.groups, problem.hyperparameters, noise_hint=1.0)
        np.testing.assert_allclose(posterior.mean, problem.posterior().mean, rtol=1e-11)
        assert posterior.log_evidence == pytest.approx(problem.posterior().log_evidence, rel=1e-11)


def test_data_only_add_information() -> None:
    problem = draw_problem(60, 10, seed=4)
    few = fit(
        collect(problem.design[:20], problem.targets[:20]),
        problem.groups,
        problem.hyperparameters,
        noise_hint=1.0,
    )
    rows = np.random.default_rng(5).standard_normal((50, 10))
    assert (problem.posterior().variance(rows) < few.variance(rows)).all()
    prior = np.einsum("ij,j,ij->i", rows, problem.prior_variance, rows)
    assert (few.variance(rows) < prior).all()


def test_samples_have_the_posterior_moments() -> None:
    problem = draw_problem(30, 4, seed=5)
    posterior = problem.posterior()
    samples = posterior.sample(200_000, np.random.default_rng(1))
    covariance = posterior.covariance_factor @ posterior.covariance_factor.T
    sd = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(samples.mean(axis=0), posterior.mean, atol=5 * sd.max() / np.sqrt(200_000))
    np.testing.assert_allclose(np.cov(samples.T) / np.outer(sd, sd), covariance / np.outer(sd, sd), atol=0.02)
    again = posterior.sample(10, np.random.default_rng(1))
    np.testing.assert_array_equal(again, posterior.sample(10, np.random.default_rng(1)))


@pytest.mark.parametrize("shape", [(40, 8), (8, 24)])
def test_error_bars_hold_for_truth_from_the_prior(shape: tuple[int, int]) -> None:
    """Over many draws of truth and data, 68 % and 95 % of predictions lie within one and two sd."""
    row = np.random.default_rng(0).standard_normal((1, shape[1]))
    scores = []
    for seed in range(600):
        problem = draw_problem(*shape, seed=seed)
        posterior = problem.posterior()
        error = (row @ (problem.truth - posterior.mean))[0]
        scores.append(error / np.sqrt(posterior.variance(row)[0]))
    z = np.array(scores)
    for width, share in ((1.0, 0.6827), (2.0, 0.9545)):
        hits = int((np.abs(z) < width).sum())
        assert stats.binomtest(hits, len(z), share).pvalue > 1e-3
    assert stats.kstest(z, "norm").pvalue > 1e-3


def test_error_bars_hold_at_fitted_hyperparameters() -> None:
    """With enough data for the hyperparameters, finding them costs little of the coverage."""
    rows = np.random.default_rng(0).standard_normal((5, 20))
    scores = []
    for seed in range(80):
        problem = draw_problem(120, 20, seed=1000 + seed)
        posterior = fit(problem.statistics, problem.groups, noise_hint=0.1)
        errors = rows @ (problem.truth - posterior.mean)
        scores.append(errors / np.sqrt(posterior.variance(rows)))
    assert np.std(scores) == pytest.approx(1.0, abs=0.15)


def test_shapes_are_checked() -> None:
    with pytest.raises(DataError, match="targets"):
        collect(np.eye(3), np.ones(4))


def test_given_hyperparameters_are_used() -> None:
    problem = draw_problem(30, 4, seed=6)
    given = known(0.123, np.array([0.4, 5.0]))
    assert fit(problem.statistics, problem.groups, given, noise_hint=1.0).hyperparameters is given
