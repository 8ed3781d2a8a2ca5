"""Evidence: the log density that it claims to be, its gradient, its maximum."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import multivariate_normal

from mlff_dyn.errors import FitError
from mlff_dyn.regression.data.sums import collect
from mlff_dyn.regression.fit.evidence import _best_end
from mlff_dyn.regression.linalg.ascent import Point
from tests.regression.linear_problems import (
    Problem,
    draw_problem,
    fit,
    known,
    log_evidence,
    maximize,
    no_data,
)

SHAPES = [(40, 6), (6, 40), (10, 10), (200, 3)]


def evidence_at(problem: Problem, log_values: NDArray[np.float64]) -> float:
    values = np.exp(log_values)
    trial = known(float(values[0]), values[1:])
    return log_evidence(problem.statistics, problem.groups, trial)


@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_the_density_of_the_targets(shape: tuple[int, int]) -> None:
    """log N(y | 0, s^2 1 + X T X^T), with more and with fewer rows than parameters."""
    problem = draw_problem(*shape, seed=1)
    covariance = problem.noise_sd**2 * np.eye(shape[0])
    covariance += (problem.design * problem.prior_variance) @ problem.design.T
    expected = multivariate_normal(np.zeros(shape[0]), covariance).logpdf(problem.targets)
    found = log_evidence(problem.statistics, problem.groups, problem.hyperparameters)
    assert found == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("shape", [(60, 8), (300, 12)])
def test_the_maximum_is_stationary(shape: tuple[int, int]) -> None:
    """Central differences of the evidence vanish at what `maximize_evidence` finds, and it is a maximum."""
    problem = draw_problem(*shape, seed=2)
    noise_sd, prior_sd = maximize(problem.statistics, problem.groups, noise_hint=0.1)
    center = np.log([noise_sd, *prior_sd])
    best = evidence_at(problem, center)
    for direction in np.eye(len(center)):
        up, down = (evidence_at(problem, center + s * 1e-3 * direction) for s in (1, -1))
        assert abs(up - down) / 2e-3 < 1e-3 * shape[0]
        assert up < best + 1e-7
        assert down < best + 1e-7


def test_one_group_is_bayesian_ridge() -> None:
    """Same maximum as scikit-learn with flat hyperpriors."""
    linear_model = pytest.importorskip("sklearn.linear_model")
    problem = draw_problem(120, 15, seed=4, prior_sd=(0.8,))
    flat = {"alpha_1": 0.0, "alpha_2": 0.0, "lambda_1": 0.0, "lambda_2": 0.0}
    ridge = linear_model.BayesianRidge(fit_intercept=False, max_iter=5000, tol=1e-14, **flat)
    ridge.fit(problem.design, problem.targets)
    theirs = known(ridge.alpha_**-0.5, np.array([ridge.lambda_**-0.5]))
    noise_sd, prior_sd = maximize(problem.statistics, problem.groups, noise_hint=0.1)
    ours = known(noise_sd, prior_sd)
    assert noise_sd == pytest.approx(ridge.alpha_**-0.5, rel=1e-4)
    assert prior_sd == pytest.approx(ridge.lambda_**-0.5, rel=1e-4)
    best = log_evidence(problem.statistics, problem.groups, theirs)
    assert log_evidence(problem.statistics, problem.groups, ours) == pytest.approx(best, abs=1e-6)
    posterior = fit(problem.statistics, problem.groups, theirs, noise_hint=0.1)
    np.testing.assert_allclose(posterior.mean, ridge.coef_, rtol=1e-6)
    covariance = posterior.covariance_factor @ posterior.covariance_factor.T
    np.testing.assert_allclose(covariance, ridge.sigma_, rtol=1e-6, atol=1e-12)


def test_hyperparameters_are_recovered() -> None:
    """Many data of many parameters: the sd of noise and prior that they were drawn with."""
    problem = draw_problem(3000, 400, seed=5, noise_sd=0.2, prior_sd=(0.05, 1.0))
    noise_sd, prior_sd = maximize(problem.statistics, problem.groups, noise_hint=0.1)
    assert noise_sd == pytest.approx(0.2, rel=0.05)
    assert prior_sd == pytest.approx([0.05, 1.0], rel=0.2)


def test_scale_of_the_targets_and_columns_does_not_matter() -> None:
    problem = draw_problem(80, 10, seed=6)
    first = maximize(problem.statistics, problem.groups, noise_hint=0.01)
    scaled = collect(100.0 * problem.design, 1e-3 * problem.targets)
    second = maximize(scaled, problem.groups, noise_hint=1e-5)
    assert second[0] == pytest.approx(1e-3 * first[0], rel=1e-3)
    assert second[1] == pytest.approx(1e-5 * first[1], rel=1e-3)


def test_noise_free_data_give_the_truth() -> None:
    problem = draw_problem(60, 10, seed=7, noise_sd=0.0)
    posterior = fit(problem.statistics, problem.groups, noise_hint=0.01)
    np.testing.assert_allclose(posterior.mean, problem.truth, rtol=1e-6)
    assert 0.0 < posterior.noise.floor_sd < 1e-4 * np.abs(problem.targets).max()


def test_duplicate_columns_share_the_truth() -> None:
    """Rank-deficient data: the undetermined combination keeps its prior sd, the rest is fitted."""
    problem = draw_problem(80, 6, seed=8, noise_sd=0.05, prior_sd=(1.0,))
    design = np.column_stack([problem.design, problem.design[:, 0]])
    groups = np.zeros(7, np.int64)
    posterior = fit(collect(design, problem.targets), groups, noise_hint=0.01)
    assert posterior.mean[0] == pytest.approx(posterior.mean[6], rel=1e-6)
    assert posterior.mean[0] + posterior.mean[6] == pytest.approx(problem.truth[0], abs=0.1)
    difference = np.zeros((1, 7))
    difference[0, 0], difference[0, 6] = 1.0, -1.0
    assert posterior.variance(difference)[0] == pytest.approx(
        2 * np.exp(posterior.hyperparameters.prior_values[0]) ** 2, rel=1e-6
    )


@pytest.mark.parametrize("seed", range(6))
def test_duplicate_columns_without_noise(seed: int) -> None:
    """Rounding of the Gram matrix may hide the prior, but neither the truth nor what is undetermined."""
    problem = draw_problem(300, 40, seed=seed, noise_sd=0.0, prior_sd=(1.0,))
    design = np.column_stack([problem.design, problem.design[:, 0]])
    posterior = fit(collect(design, problem.targets), np.zeros(41, np.int64), noise_hint=0.01)
    np.testing.assert_allclose(posterior.mean[1:40], problem.truth[1:], atol=1e-8)
    difference = np.zeros((1, 41))
    difference[0, 0], difference[0, 40] = 0.5**0.5, -(0.5**0.5)
    spread = posterior.variance(difference)[0] ** 0.5
    assert 0.3 < spread / np.exp(posterior.hyperparameters.prior_values[0]) < 10.0


def test_a_column_of_zeros_keeps_its_prior() -> None:
    """Parameters that no data touch are zero with the sd of their group."""
    problem = draw_problem(80, 6, seed=9)
    design = problem.design.copy()
    design[:, 2] = 0.0
    posterior = fit(collect(design, problem.targets), problem.groups, noise_hint=0.01)
    assert posterior.mean[2] == 0.0
    unit = np.eye(6)[2:3]
    expected = np.exp(2 * posterior.hyperparameters.prior_values[problem.groups[2]])
    assert posterior.variance(unit)[0] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_few_rows_do_not_drive_the_noise_to_zero(seed: int) -> None:
    """One configuration of fewer rows than parameters: the noise stays above the hint."""
    problem = draw_problem(12, 60, seed=seed, noise_sd=0.05, prior_sd=(0.1,))
    hint = 0.05
    noise_sd, _ = maximize(problem.statistics, problem.groups, noise_hint=hint)
    assert noise_sd > 0.5 * hint


def test_few_rows_may_have_more_noise_than_the_hint() -> None:
    """Where most parameters are small, few rows tell the noise, and the hint leaves it alone."""
    problem = draw_problem(40, 60, seed=3, noise_sd=0.05, prior_sd=(1.0, 1e-4), group_sizes=(5, 55))
    found = [maximize(problem.statistics, problem.groups, noise_hint=hint)[0] for hint in (1e-4, 0.02)]
    assert found[0] == pytest.approx(found[1], rel=1e-3)
    assert 0.03 < found[0] < 0.08


def test_nothing_to_fit() -> None:
    with pytest.raises(FitError, match="nothing to fit"):
        maximize(no_data(3), np.zeros(3, np.int64), noise_hint=0.1)
    zeros = collect(np.eye(3), np.zeros(3))
    with pytest.raises(FitError, match="nothing to fit"):
        maximize(zeros, np.zeros(3, np.int64), noise_hint=0.1)


def test_a_gram_matrix_that_is_none_is_refused() -> None:
    statistics = collect(np.eye(3), np.ones(3))
    statistics.gram[0, 0] = -1e9
    with pytest.raises(FitError, match="positive definite"):
        log_evidence(statistics, np.zeros(3, np.int64), known(0.1, np.ones(1)))


@pytest.mark.parametrize("starts", [(-0.8, 0.8), (0.8, -0.8), (0.9, 0.7)])
def test_of_several_maxima_the_highest_counts(starts: tuple[float, float]) -> None:
    """-(x^2 - 1)^2 + 0.3 x is highest near 1, and has another maximum near -1."""

    def expand(x: NDArray[np.float64]) -> Point:
        value, slope = -((x[0] ** 2 - 1) ** 2) + 0.3 * x[0], -4 * x * (x**2 - 1) + 0.3
        return Point(float(value), slope, np.array([[8.0]]))

    begins = [np.array([each]) for each in starts]
    options = {"max_iterations": 100, "tolerance": 1e-12}
    found = _best_end(expand, begins, np.array([(-3.0, 3.0)]), **options)
    assert found[0] == pytest.approx(1.036, abs=2e-3)
