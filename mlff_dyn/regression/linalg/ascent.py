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

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_START_DAMPING = 1e-2
_SMALLEST_DAMPING = 1e-6
_NEAR_DAMPING = 5e-2
_LARGEST_DAMPING = 1e6
_RIDGE = 1e-2
_LONGEST_STEP = 2.0
_LOCAL_STEP = 0.5
_SHORTENING = 0.7
_SMALLEST_ANGLE = 1e-8
_SMALLEST_SHARE = 0.1
_LARGEST_SHARE = 0.6
_DIFFERENCE = 1e-5


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
) -> NDArray[np.float64]:
    """Variables of a local maximum.

    Parameters
    ----------
    evaluate : callable
        May raise `FitError` where the function cannot be evaluated; such a step is taken back.
    start : ndarray, shape (n,)
    bounds : ndarray, shape (n, 2)
    max_iterations : int
    tolerance : float
        Promised gain, relative to the value, at which the search ends.
    is_near : bool
        Whether the start is near the maximum to find.

    Raises
    ------
    FitError
        If the function cannot be evaluated at the start.
    """
    lower, upper = bounds.T
    place = np.clip(start, lower, upper)
    damping, least_damping = (_NEAR_DAMPING,) * 2 if is_near else (_START_DAMPING, _SMALLEST_DAMPING)
    here, correction = evaluate(place), np.zeros((len(place), len(place)))
    refused, share = None, 1.0
    for _ in range(max_iterations):
        curvature = here.information + correction
        step = _step(here.gradient, curvature, place, bounds, damping)
        if refused is not None and is_near:
            step = share * refused
        elif refused is not None:
            while not _is_shorter(step, refused) and damping <= _LARGEST_DAMPING:
                damping *= 10.0
                step = _step(here.gradient, curvature, place, bounds, damping)
            step = step if _is_shorter(step, refused) else _SHORTENING * refused
        promised = float(here.gradient @ step - 0.5 * step @ curvature @ step)
        if np.abs(here.gradient @ step) < tolerance * max(1.0, abs(here.value)):
            break
        target = np.clip(place + step, lower, upper)
        try:
            there = evaluate(target)
        except FitError:
            refused, share = step, _SMALLEST_SHARE
            continue
        correction = _corrected(correction, there.information, step, here.gradient - there.gradient)
        gained = there.value - here.value
        if not gained > 0.0:
            refused, share = step, _best_share(here, there, step)
            continue
        damping = _next_damping(damping, gained, promised, least_damping)
        refused, place, here = None, target, there
    return np.asarray(place)


def _next_damping(damping: float, gained: float, promised: float, least: float) -> float:
    if gained > 0.5 * promised:
        return max(damping / 10.0, least)
    return damping * 4.0 if gained < 0.1 * promised else damping


def _best_share(here: Point, there: Point, step: NDArray[np.float64]) -> float:
    """Part of a step that leads down, to the largest value of the cubic through both ends."""
    first, last = float(here.gradient @ step), float(there.gradient @ step)
    fall = here.value - there.value
    cubic, square = first + last + 2.0 * fall, -3.0 * fall - 2.0 * first - last
    root = np.sqrt(max(square**2 - 3.0 * cubic * first, 0.0)) - square
    share = first / root if root > 0.0 else _SMALLEST_SHARE
    return float(np.clip(share, _SMALLEST_SHARE, _LARGEST_SHARE))


def _is_shorter(step: NDArray[np.float64], refused: NDArray[np.float64]) -> bool:
    """Whether a step is worth another try after one that went too far."""
    return bool(np.linalg.norm(step) < _SHORTENING * np.linalg.norm(refused))


def _corrected(
    correction: NDArray[np.float64],
    information: NDArray[np.float64],
    step: NDArray[np.float64],
    change: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Symmetric rank-one update: what a step has shown that the information does not hold.

    Information far away says nothing here: a long step forgets.
    """
    if np.abs(step).max() > _LOCAL_STEP:
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
) -> NDArray[np.float64]:
    lower, upper = bounds.T
    held = ((place <= lower) & (gradient < 0)) | ((place >= upper) & (gradient > 0))
    free = np.flatnonzero(~held)
    matrix = curvature[np.ix_(free, free)].copy()
    diagonal = np.maximum(np.diag(matrix), 0.0)
    matrix[np.diag_indices_from(matrix)] += damping * diagonal + _RIDGE
    values, vectors = np.linalg.eigh(matrix)
    steps = vectors @ ((vectors.T @ gradient[free]) / np.maximum(np.abs(values), _RIDGE))
    result = np.zeros_like(place)
    result[free] = np.clip(steps, -_LONGEST_STEP, _LONGEST_STEP)
    return np.asarray(np.clip(place + result, lower, upper) - place)


def difference_quotients(
    function: Callable[[NDArray[np.float64]], NDArray[np.float64]], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Derivatives of an array by each value, shape (n_values, n), from central differences."""
    shifts = _DIFFERENCE * np.eye(len(values))
    return np.array([(function(values + h) - function(values - h)) / (2 * _DIFFERENCE) for h in shifts])
