"""Largest value of a smooth function of a few bounded variables, with its approximate curvature.

Damped Newton steps: (H + lambda diag H) step = gradient over the variables that no bound holds back, H the
negative curvature; lambda shrinks while steps gain what they promise and grows where they do not. H is the
information given, such as an expected curvature, plus a secant correction by what the last steps showed.

A search that begins near the maximum goes on, after a step that leads down, at the largest value of the cubic
through values and slopes at both ends of that step.

References
----------
Dennis, Gay and Welsch, ACM Trans. Math. Softw. 7, 348 (1981): structured secant corrections.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import FitError
from mlff_dyn.regression.linalg.step_control import STEP_CONTROL, StepControl

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_SMALLEST_ANGLE = 1e-8
"""Cosine of a step and what it showed below which their product is rounding."""
_DIFFERENCE = 1e-5
"""About the cube root of the rounding of a double, where central differences are the most exact."""


@dataclass(frozen=True, eq=False)
class Point:
    """A function at one place.

    Attributes
    ----------
    value : float
    gradient : ndarray, shape (n,)
    information : ndarray, shape (n, n)     approximate negative second derivatives
    """

    value: float
    gradient: NDArray[np.float64]
    information: NDArray[np.float64]


def climb(
    evaluate: Callable[[NDArray[np.float64]], Point],
    start: NDArray[np.float64],
    bounds: NDArray[np.float64],
    *,
    max_iterations: int,
    tolerance: float,
    is_near: bool = False,
    unseen_gain: float = 0.0,
    control: StepControl = STEP_CONTROL,
) -> NDArray[np.float64]:
    """Variables of a local maximum.

    Parameters
    ----------
    evaluate : callable
        May raise `FitError` where the function cannot be evaluated; such a step is taken back.
    start, bounds : ndarray, shapes (n,) and (n, 2)
    max_iterations, tolerance : int and float
        Steps at most, and the promised gain, relative to the value, at which the search ends.
    is_near : bool
        Whether the start is near the maximum to find.
    unseen_gain : float
        A step that promises less is the last one, and what it gains is not looked at.
    control : StepControl

    Raises
    ------
    FitError
        If the function cannot be evaluated at the start.
    """
    place = np.clip(start, *bounds.T)
    damping, least_damping = control.first_and_least_damping(is_near=is_near)
    here, correction = evaluate(place), np.zeros((len(place), len(place)))
    refused, share = None, 1.0
    for _ in range(max_iterations):
        curvature = here.information + correction
        step = _step(here.gradient, curvature, place, bounds, damping, control=control)
        if refused is not None:
            given = (here, curvature, place, bounds, damping)
            step, damping = (
                (share * refused, damping) if is_near else _shorter(*given, refused=refused, control=control)
            )
        promised = float(here.gradient @ step - 0.5 * step @ curvature @ step)
        target = np.clip(place + step, *bounds.T)
        is_last = refused is None and 0.0 < promised < unseen_gain
        if is_last or np.abs(here.gradient @ step) < tolerance * max(1.0, abs(here.value)):
            return np.asarray(target if is_last else place)
        try:
            there = evaluate(target)
        except FitError:
            refused, share = step, control.shares[0]
            continue
        correction = _corrected(correction, there.information, step, here.gradient - there.gradient, control)
        if not there.value > here.value:
            refused, share = step, _best_share(here, there, step, control.shares)
            continue
        damping = _next_damping(damping, there.value - here.value, promised, least_damping, control)
        refused, place, here = None, target, there
    return np.asarray(place)


def _shorter(
    here: Point,
    curvature: NDArray[np.float64],
    place: NDArray[np.float64],
    bounds: NDArray[np.float64],
    damping: float,
    *,
    refused: NDArray[np.float64],
    control: StepControl,
) -> tuple[NDArray[np.float64], float]:
    """Step after one that led down, and the damping that makes it shorter."""
    step = _step(here.gradient, curvature, place, bounds, damping, control=control)
    while not _is_shorter(step, refused, control) and damping <= control.largest_damping:
        damping *= control.retry_growth
        step = _step(here.gradient, curvature, place, bounds, damping, control=control)
    return (step if _is_shorter(step, refused, control) else control.shortening * refused), damping


def _next_damping(
    damping: float, gained: float, promised: float, least: float, control: StepControl
) -> float:
    if gained > control.kept_gain * promised:
        return max(damping / control.shrinkage, least)
    return damping * control.growth if gained < control.poor_gain * promised else damping


def _best_share(here: Point, there: Point, step: NDArray[np.float64], shares: tuple[float, float]) -> float:
    """Part of a step that leads down, to the largest value of the cubic through both ends."""
    first, last = float(here.gradient @ step), float(there.gradient @ step)
    fall = here.value - there.value
    cubic, square = first + last + 2.0 * fall, -3.0 * fall - 2.0 * first - last
    root = np.sqrt(max(square**2 - 3.0 * cubic * first, 0.0)) - square
    share = first / root if root > 0.0 else shares[0]
    return float(np.clip(share, *shares))


def _is_shorter(step: NDArray[np.float64], refused: NDArray[np.float64], control: StepControl) -> bool:
    """Whether a step is worth another try after one that went too far."""
    return bool(np.linalg.norm(step) < control.shortening * np.linalg.norm(refused))


def _corrected(
    correction: NDArray[np.float64],
    information: NDArray[np.float64],
    step: NDArray[np.float64],
    change: NDArray[np.float64],
    control: StepControl,
) -> NDArray[np.float64]:
    """Symmetric rank-one update: what a step has shown that the information does not hold.

    Information far away says nothing here: a long step forgets.
    """
    if np.abs(step).max() > control.local_step:
        return np.zeros_like(correction)
    rest = change - (information + correction) @ step
    length = float(rest @ step)
    if abs(length) <= _SMALLEST_ANGLE * np.linalg.norm(rest) * np.linalg.norm(step):
        return correction
    return correction + np.outer(rest, rest) / length


def _step(
    gradient: NDArray[np.float64],
    curvature: NDArray[np.float64],
    place: NDArray[np.float64],
    bounds: NDArray[np.float64],
    damping: float,
    *,
    control: StepControl,
) -> NDArray[np.float64]:
    lower, upper = bounds.T
    held = ((place <= lower) & (gradient < 0)) | ((place >= upper) & (gradient > 0))
    free = np.flatnonzero(~held)
    matrix = curvature[np.ix_(free, free)].copy()
    diagonal = np.maximum(np.diag(matrix), 0.0)
    matrix[np.diag_indices_from(matrix)] += damping * diagonal + control.ridge
    values, vectors = np.linalg.eigh(matrix)
    steps = vectors @ ((vectors.T @ gradient[free]) / np.maximum(np.abs(values), control.ridge))
    result = np.zeros_like(place)
    result[free] = np.clip(steps, -control.longest_step, control.longest_step)
    return np.asarray(np.clip(place + result, lower, upper) - place)


def difference_quotients(
    function: Callable[[NDArray[np.float64]], NDArray[np.float64]], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Derivatives of an array by each value, shape (n_values, n), from central differences."""
    shifts = _DIFFERENCE * np.eye(len(values))
    return np.array([(function(values + h) - function(values - h)) / (2 * _DIFFERENCE) for h in shifts])
