"""held-out configurations in closed form are held-out configurations refitted."""

import numpy as np
import pytest

from mlff_dyn.regression.data.observations import Observations
from mlff_dyn.regression.data.sums import collect
from mlff_dyn.regression.errors.held_out import (
    HeldOut,
    calibration_scale,
    class_scales,
    hold_out,
    scalar_calibration_scale,
)
from mlff_dyn.regression.fit.posterior import Posterior, posterior_at
from tests.regression.linear_problems import collect_root, draw_problem, fit, independent_prior, known

BLOCK = 12


def blocks(array: np.ndarray) -> list[np.ndarray]:
    return [array[i : i + BLOCK] for i in range(0, len(array), BLOCK)]


@pytest.mark.parametrize("n_parameters", [10, 100])
def test_it_equals_refitting_without(n_parameters: int) -> None:
    """Errors and epistemic variances, for fewer and for more parameters than rows."""
    problem = draw_problem(5 * BLOCK, n_parameters, seed=1)
    posterior = problem.posterior()
    for k, (design, targets) in enumerate(zip(blocks(problem.design), blocks(problem.targets), strict=True)):
        kept = np.arange(len(problem.design)) // BLOCK != k
        rest = fit(
            collect(problem.design[kept], problem.targets[kept]),
            problem.groups,
            problem.hyperparameters,
            noise_hint=1.0,
        )
        found = hold_out(posterior, design, targets, problem.noise_sd**2)
        np.testing.assert_allclose(found.errors, targets - design @ rest.mean, rtol=1e-8, atol=1e-8)
        variance = rest.variance(design) / problem.noise_sd**2
        np.testing.assert_allclose(found.leverages, variance, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("n_parameters", [10, 100])
def test_single_precision_and_fewer_predicted_rows_change_no_prediction(n_parameters: int) -> None:
    problem = draw_problem(20 * BLOCK, n_parameters, seed=1)
    posterior, noise = problem.posterior(), problem.noise_sd**2
    scored = np.arange(0, BLOCK, 3)
    for design, targets in zip(blocks(problem.design), blocks(problem.targets), strict=True):
        whole = hold_out(posterior, design, targets, noise)
        some = hold_out(posterior, design, targets, noise, scored=scored)
        rough = hold_out(posterior, design, targets, noise, scored=scored, is_rough=True)
        np.testing.assert_allclose(some.errors, whole.errors[scored], rtol=1e-12)
        np.testing.assert_allclose(some.leverages, whole.leverages[scored], rtol=1e-12)
        np.testing.assert_allclose(rough.scores, some.scores, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(rough.leverages, some.leverages, rtol=1e-4, atol=1e-5)


def scale_of(posterior: Posterior, design: np.ndarray, targets: np.ndarray) -> float:
    noise = float(posterior.noise.variance(1.0))
    parts = zip(blocks(design), blocks(targets), strict=True)
    return calibration_scale([hold_out(posterior, rows, values, noise) for rows, values in parts])


def test_a_right_model_needs_little_scale() -> None:
    """Scores of held-out rows are one, also where the other rows tell little of the parameters."""
    scales = []
    for seed in range(50):
        problem = draw_problem(8 * BLOCK, 100, seed=seed, noise_sd=0.01, prior_sd=(1.0,))
        scales.append(scale_of(problem.posterior(), problem.design, problem.targets))
    assert np.mean(scales) == pytest.approx(1.0, abs=0.06)


@pytest.mark.parametrize("size", [0.8, 1.0, 2.5])
@pytest.mark.parametrize("n_configurations", [2, 5, 50])
def test_the_scale_is_the_size_of_the_scores_and_a_price(n_configurations: int, size: float) -> None:
    """Normal scores of one size need that scale, times (1 + 1 / 2 K)^(1/2) for the hyperparameters."""
    generator = np.random.default_rng(0)
    scores = size * generator.standard_normal((n_configurations, 20000))
    held_out = [HeldOut(2.0 * row, np.full(20000, 3.0), np.ones(20000)) for row in scores]
    expected = size * np.sqrt(1.0 + 0.5 / n_configurations)
    assert calibration_scale(held_out) == pytest.approx(expected, rel=0.015)


def test_error_bars_that_are_too_large_shrink() -> None:
    """Noise assumed 0.4 where 0.3 was drawn is scaled back; assumed 50, it is halved and no more."""
    problem = draw_problem(20 * BLOCK, 3, seed=3)
    for assumed, expected in ((0.4, 0.75), (50.0, 0.5)):
        posterior = fit(problem.statistics, problem.groups, known(assumed, np.array([2.0, 2.0])))
        scale = scale_of(posterior, problem.design, problem.targets)
        assert scale == pytest.approx(expected, rel=0.15)


def test_a_single_configuration_cannot_tell() -> None:
    problem = draw_problem(BLOCK, 3, seed=3)
    assert scale_of(problem.posterior(), problem.design, problem.targets) == 1.0


def test_a_wrong_model_is_found_out() -> None:
    """A systematic rest that the noise does not allow for: scaled error bars cover new data, plain do not."""
    generator = np.random.default_rng(4)
    n_parameters = 10
    hidden = generator.standard_normal((30, n_parameters))

    def draw(n_blocks: int) -> tuple[np.ndarray, np.ndarray]:
        inputs = generator.standard_normal((n_blocks * BLOCK, n_parameters))
        rest = np.tanh(inputs @ hidden.T).sum(axis=1)
        return inputs, inputs.sum(axis=1) + 0.5 * rest

    design, targets = draw(6)
    posterior = fit(collect(design, targets), np.zeros(n_parameters, np.int64), known(0.3, np.ones(1)))
    scale = scale_of(posterior, design, targets)
    new, truth = draw(200)
    plain = np.sqrt(posterior.variance(new) + posterior.noise.variance(1.0))
    z = (truth - new @ posterior.mean) / plain
    assert np.sqrt(np.mean(z**2)) > 3.0
    assert np.sqrt(np.mean((z / scale) ** 2)) == pytest.approx(1.0, abs=0.25)


def test_the_order_of_configurations_does_not_matter() -> None:
    problem = draw_problem(5 * BLOCK, 10, seed=5)
    posterior = problem.posterior()
    forward = scale_of(posterior, problem.design, problem.targets)
    flipped = np.concatenate(blocks(np.arange(5 * BLOCK))[::-1])
    backward = scale_of(posterior, problem.design[flipped], problem.targets[flipped])
    assert forward == pytest.approx(backward, rel=1e-12)


@pytest.mark.parametrize("noise_sd", [1e-3, 1e-4, 1e-5, 1e-7, 1e-9, 1e-11])
@pytest.mark.parametrize("n_parameters", [20, 55])
def test_it_holds_where_the_noise_is_tiny(n_parameters: int, noise_sd: float) -> None:
    """Scores are normal with sd 1, whether or not the other configurations determine all parameters."""
    scores = []
    for seed in range(20):
        problem = draw_problem(5 * BLOCK, n_parameters, seed=seed, noise_sd=noise_sd)
        data = Observations(
            (problem.statistics,),
            np.ones(1),
            rows=lambda problem=problem: [collect_root(problem.design, problem.targets)],
        )
        posterior = posterior_at(data, independent_prior(problem.groups), problem.hyperparameters)
        parts = zip(blocks(problem.design), blocks(problem.targets), strict=True)
        scores += [hold_out(posterior, rows, values, noise_sd**2).scores for rows, values in parts]
    mean_square = np.mean(np.square(scores), axis=1)
    standard_error = np.std(mean_square) / np.sqrt(len(mean_square))
    assert np.mean(mean_square) == pytest.approx(1.0, abs=4.0 * standard_error + 0.02)


def test_interpolating_fits_stay_finite() -> None:
    """Noise-free rows, each fitted exactly: no division by zero."""
    problem = draw_problem(BLOCK, 40, seed=6, noise_sd=0.0)
    tight = known(1e-6, problem.prior_sd)
    posterior = fit(problem.statistics, problem.groups, tight, noise_hint=1.0)
    found = hold_out(posterior, problem.design, problem.targets, 1e-12)
    assert np.isfinite(found.errors).all()
    assert np.isfinite(found.leverages).all()


def test_the_scale_of_a_scalar_is_right_in_the_end_and_careful_at_first() -> None:
    """Many scores of size s give s, few are widened, none leave only the margin."""
    many = 1.7 * np.random.default_rng(0).standard_normal(4000)
    assert scalar_calibration_scale(many, 4000) == pytest.approx(1.7, rel=0.03)
    few = np.array([1.0, -1.0])
    assert scalar_calibration_scale(few, 2) == pytest.approx(np.sqrt(2.0), rel=1e-12)
    assert scalar_calibration_scale(few[:0], 1) == pytest.approx(np.sqrt(3.0), rel=1e-12)


@pytest.mark.parametrize("sizes", [(1.0, 1.0), (0.6, 1.4), (2.0, 1.0)])
def test_classes_of_rows_are_told_apart(sizes: tuple[float, float]) -> None:
    """The mean square of the factors is one; what all have in common is the scale of all."""
    generator, labels = np.random.default_rng(3), np.repeat([0, 1], [300, 900])
    held_out = [
        HeldOut(np.array(sizes)[labels] * generator.standard_normal(1200), np.zeros(1200), np.ones(1200))
        for _ in range(4)
    ]
    found = class_scales(held_out, [labels] * 4, np.array([1.0, 3.0]))
    expected = np.array(sizes) / np.sqrt(np.average(np.square(sizes), weights=[1.0, 3.0]))
    np.testing.assert_allclose(found, expected, rtol=0.05)
    assert np.average(found**2, weights=[1.0, 3.0]) == pytest.approx(1.0)


def test_few_rows_of_a_class_are_hardly_believed() -> None:
    labels = np.array([0, 1, 1, 1])
    held_out = [HeldOut(np.array([9.0, 1.0, 1.0, 1.0]), np.zeros(4), np.ones(4))] * 2
    first, second = class_scales(held_out, [labels] * 2, np.ones(2))
    assert 1.0 < first < 1.2
    assert second < 1.0


def test_one_configuration_unlike_the_others_moves_no_class() -> None:
    generator, labels = np.random.default_rng(4), np.repeat([0, 1], 500)
    held_out = [
        HeldOut(size * generator.standard_normal(1000), np.zeros(1000), np.ones(1000))
        for size in (1.0, 1.0, np.where(labels, 50.0, 1.0), 1.0, 1.0)
    ]
    np.testing.assert_allclose(class_scales(held_out, [labels] * 5, np.ones(2)), 1.0, atol=0.05)


def test_without_errors_all_classes_are_alike() -> None:
    held_out = [HeldOut(np.zeros(6), np.zeros(6), np.ones(6))] * 2
    np.testing.assert_array_equal(class_scales(held_out, [np.arange(6) % 2] * 2, np.ones(2)), 1.0)
