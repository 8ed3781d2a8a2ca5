"""Pointwise optimal parameter sets: each fits its row exactly at the least cost; the box of the authors."""

import numpy as np
import pytest
from popsregression import POPSRegression

from benchmarks.accuracy.pops import PopsEnsemble, pointwise_corrections, pops_ensemble


def misspecified(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A sine, fitted by a cubic polynomial."""
    x = np.random.default_rng(seed).uniform(-1.0, 1.0, n)
    return np.vander(x, 4), np.sin(4.0 * x)


def ours_and_theirs() -> tuple[PopsEnsemble, POPSRegression, np.ndarray, np.ndarray]:
    """Both with the covariance and the mean of their ridge."""
    design, targets = misspecified(300)
    theirs = POPSRegression(resample_density=400.0).fit(design, targets)
    factor = np.linalg.cholesky(theirs.sigma_)
    ours = pops_ensemble(factor, design, targets - design @ theirs.coef_)
    return ours, theirs, design, targets


def test_corrections_fit_their_row_at_the_least_cost() -> None:
    """Exactly; and any other change that does costs more in the metric of the posterior precision."""
    generator = np.random.default_rng(1)
    design, residuals = generator.standard_normal((20, 5)), generator.standard_normal(20)
    factor = generator.standard_normal((5, 5))
    precision = np.linalg.inv(factor @ factor.T)
    corrections, leverages = pointwise_corrections(factor, design, residuals)
    np.testing.assert_allclose(np.einsum("ij,ij->i", design, corrections), residuals, rtol=1e-9)
    np.testing.assert_allclose(leverages, np.diag(design @ factor @ factor.T @ design.T), rtol=1e-10)
    for row, best in zip(design, corrections, strict=True):
        other = generator.standard_normal(5)
        other -= row * (row @ other) / (row @ row)
        assert (best + other) @ precision @ (best + other) > best @ precision @ best


def test_the_box_is_that_of_the_reference_package() -> None:
    """Same axes up to their sign, same bounds, same covariance up to its sampling noise."""
    ours, theirs, _, _ = ours_and_theirs()
    low, high = theirs._hypercube_bounds
    signs = np.sign(np.diag(ours.axes.T @ theirs._hypercube_support))
    np.testing.assert_allclose(ours.axes * signs, theirs._hypercube_support, atol=1e-7)
    np.testing.assert_allclose(np.where(signs > 0, ours.low, -ours.high), low, rtol=1e-6)
    np.testing.assert_allclose(np.where(signs > 0, ours.high, -ours.low), high, rtol=1e-6)
    covariance = ours.factor @ ours.factor.T
    np.testing.assert_allclose(
        theirs.misspecification_sigma_, covariance, atol=0.02 * np.abs(covariance).max()
    )


def test_the_box_envelops_what_the_model_cannot_fit() -> None:
    """Every row that it is made of, and more new truths than three epistemic errors of the ridge."""
    ours, theirs, design, targets = ours_and_theirs()

    def is_enveloped(rows: np.ndarray, errors: np.ndarray) -> np.ndarray:
        sides = (rows @ ours.axes)[..., None] * np.stack([ours.low, ours.high], axis=1)
        low, high = sides.min(axis=2).sum(axis=1), sides.max(axis=2).sum(axis=1)
        slack = 1e-9 * np.abs(errors).max()
        return np.asarray((low - slack <= errors) & (errors <= high + slack))

    factor = np.linalg.cholesky(theirs.sigma_)
    leverages = np.linalg.norm(design @ factor, axis=1) ** 2
    used = leverages >= np.percentile(leverages, 50.0)
    assert is_enveloped(design[used], (targets - design @ theirs.coef_)[used]).all()
    new, truths = misspecified(2000, seed=5)
    errors = truths - new @ theirs.coef_
    epistemic = np.linalg.norm(new @ factor, axis=1)
    assert np.mean(is_enveloped(new, errors)) > np.mean(np.abs(errors) < 3.0 * epistemic) + 0.2


def test_moments_are_those_of_samples() -> None:
    ours, _, design, _ = ours_and_theirs()
    samples = ours.sample(40000, np.random.default_rng(2))
    found = np.sqrt(np.mean((design[:20] @ samples.T) ** 2, axis=1))
    assert found == pytest.approx(np.linalg.norm(design[:20] @ ours.factor, axis=1), rel=0.02)


def test_units_do_not_matter() -> None:
    """Targets and columns in other units; columns in units of one another would turn the axes."""
    design, targets = misspecified(100)
    factor = np.linalg.cholesky(np.linalg.inv(design.T @ design))
    plain = pops_ensemble(factor, design, targets)
    scaled = pops_ensemble(factor / 7.0, 7.0 * design, 3.0 * targets)
    np.testing.assert_allclose(
        np.linalg.norm(7.0 * design @ scaled.factor, axis=1),
        3.0 * np.linalg.norm(design @ plain.factor, axis=1),
        rtol=1e-8,
    )
