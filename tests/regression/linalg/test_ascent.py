"""The search of the evidence: where it ends, with a curvature that is right, wrong, or missing."""

import numpy as np
import pytest
from numpy.typing import NDArray

from mlff_dyn.errors import FitError
from mlff_dyn.regression.fit.evidence_from_sums import Objective
from mlff_dyn.regression.fit.noise import NoiseModel
from mlff_dyn.regression.linalg.ascent import Point, climb, difference_quotients
from tests.regression.fit.test_priors import AMPLITUDES, VALUES, frames, observations, structured_prior

WIDE = np.array([[-50.0, 50.0]] * 3)
HESSIAN = np.array([[4.0, 1.0, 0.0], [1.0, 3.0, 0.5], [0.0, 0.5, 2.0]])
TOP = np.array([1.5, -2.0, 0.7])


def hill(values: NDArray, information: NDArray = HESSIAN) -> Point:
    rest = values - TOP
    return Point(float(-0.5 * rest @ HESSIAN @ rest), -HESSIAN @ rest, information)


@pytest.mark.parametrize("is_near", [False, True])
@pytest.mark.parametrize("factor", [0.1, 1.0, 10.0])
def test_the_top_is_found_whatever_the_curvature_given(factor: float, is_near: bool) -> None:
    found = climb(
        lambda v: hill(v, factor * HESSIAN),
        np.zeros(3),
        WIDE,
        max_iterations=200,
        tolerance=1e-14,
        is_near=is_near,
    )
    np.testing.assert_allclose(found, TOP, atol=1e-5)


def test_bounds_hold_and_the_rest_is_largest() -> None:
    """The gradient points outwards at a bound that holds a value, and vanishes for the others."""
    bounds = np.array([[-1.0, 1.0], [-1.0, 1.0], [-9.0, 9.0]])
    found = climb(hill, np.zeros(3), bounds, max_iterations=100, tolerance=1e-14)
    gradient = hill(found).gradient
    assert found[0] == 1.0
    assert gradient[0] > 0
    assert found[1] == -1.0
    assert gradient[1] < 0
    assert abs(gradient[2]) < 1e-6


def test_near_a_top_a_step_too_long_is_cut_where_the_cubic_is_largest() -> None:
    """Along a line a quadratic is its own cubic: the place after a step too long is the top."""
    places: list[float] = []

    def evaluate(values: NDArray) -> Point:
        places.append(float(values[0]))
        rest = values - 0.5
        return Point(float(-5.0 * rest @ rest), -10.0 * rest, np.array([[4.0]]))

    bounds = np.array([[-50.0, 50.0]])
    climb(evaluate, np.zeros(1), bounds, max_iterations=5, tolerance=1e-6, is_near=True)
    assert places[1] > 1.0
    assert places[2] == pytest.approx(0.5, abs=1e-9)


@pytest.mark.parametrize("is_near", [False, True])
def test_a_place_that_cannot_be_evaluated_is_left(is_near: bool) -> None:
    def broken(values: NDArray) -> Point:
        if np.linalg.norm(values - TOP) > 3.0:
            raise FitError("outside", fix="stay inside")
        return hill(values, 0.05 * HESSIAN)

    found = climb(broken, TOP + 1.0, WIDE, max_iterations=200, tolerance=1e-14, is_near=is_near)
    np.testing.assert_allclose(found, TOP, atol=1e-5)


def test_average_information_is_what_its_name_says() -> None:
    """y^T P V_i P V_j P y / 2 with V = noise + X L^-1 X^T, P = V^-1 and its derivatives, densely."""
    prior, noise = structured_prior(), NoiseModel(0.3, 0.4, 2.0, 1.0)
    data = frames(prior, 9, seed=1)
    design, targets = (np.concatenate([part[k] for part in data]) for k in (0, 1))
    noise_values = np.array([np.log(0.3), np.log(0.4), 2.0])

    def variances(values: NDArray) -> NDArray:
        return NoiseModel(float(np.exp(values[0])), float(np.exp(values[1])), values[2], 1.0).variance(
            AMPLITUDES
        )

    def total(values: NDArray) -> NDArray:
        spread = np.linalg.inv(prior.precision(values[3:]).matrix)
        return (np.diag(np.repeat(variances(values[:3]), 9)) + design @ spread @ design.T).ravel()

    objective = Objective(observations(data), prior)
    found = objective.expand(
        noise.variance(AMPLITUDES), VALUES, difference_quotients(variances, noise_values)
    )[3]
    values = np.concatenate([noise_values, VALUES])
    inverse = np.linalg.inv(total(values).reshape(len(targets), -1))
    slopes = difference_quotients(total, values).reshape(len(values), len(targets), -1)
    moved = slopes @ inverse @ targets
    expected = 0.5 * moved @ inverse @ moved.T
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_a_step_that_promises_little_is_not_looked_at() -> None:
    places: list[np.ndarray] = []

    def evaluate(place: np.ndarray) -> Point:
        places.append(place)
        rest = place - TOP
        return Point(-0.5 * float(rest @ rest), -rest, np.eye(len(TOP)))

    start = TOP + 0.1
    found = climb(evaluate, start, WIDE, max_iterations=9, tolerance=0.0, is_near=True, unseen_gain=0.1)
    assert len(places) == 1
    assert np.abs(found - TOP).max() < 0.01
