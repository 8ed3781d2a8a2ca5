"""Largest value of a smooth function of a few bounded variables, with its approximate curvature.

Damped Newton steps: (H + lambda diag H) step = gradient over the variables that no bound holds back, H the
negative curvature; lambda shrinks while steps gain what they promise and grows where they do not.
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
_LARGEST_DAMPING = 1e8
_RIDGE = 1e-2
_LONGEST_STEP = 2.0
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

    Raises
    ------
    FitError
        If the function cannot be evaluated at the start.
    """
    lower, upper = bounds.T
    place = np.clip(start, lower, upper)
    here, damping = evaluate(place), _START_DAMPING
    for _ in range(max_iterations):
        step = _step(here, place, bounds, damping)
        target = np.clip(place + step, lower, upper)
        step = target - place
        promised = float(here.gradient @ step - 0.5 * step @ here.information @ step)
        if np.abs(here.gradient @ step) < tolerance * max(1.0, abs(here.value)) or damping > _LARGEST_DAMPING:
            break
        try:
            there = evaluate(target)
        except FitError:
            damping *= 10.0
            continue
        gained = there.value - here.value
        if not gained > 0.0:
            damping *= 10.0
            continue
        if gained > 0.5 * promised:
            damping = max(damping / 10.0, _SMALLEST_DAMPING)
        elif gained < 0.1 * promised:
            damping *= 4.0
        place, here = target, there
    return np.asarray(place)


def _step(
    here: Point, place: NDArray[np.float64], bounds: NDArray[np.float64], damping: float
) -> NDArray[np.float64]:
    lower, upper = bounds.T
    held = ((place <= lower) & (here.gradient < 0)) | ((place >= upper) & (here.gradient > 0))
    free = np.flatnonzero(~held)
    matrix = here.information[np.ix_(free, free)].copy()
    diagonal = np.maximum(np.diag(matrix), 0.0)
    matrix[np.diag_indices_from(matrix)] += damping * diagonal + _RIDGE
    values, vectors = np.linalg.eigh(matrix)
    steps = vectors @ ((vectors.T @ here.gradient[free]) / np.maximum(np.abs(values), _RIDGE))
    result = np.zeros_like(place)
    result[free] = np.clip(steps, -_LONGEST_STEP, _LONGEST_STEP)
    return result


def difference_quotients(
    function: Callable[[NDArray[np.float64]], NDArray[np.float64]], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Derivatives of an array by each value, shape (n_values, n), from central differences."""
    shifts = _DIFFERENCE * np.eye(len(values))
    return np.array([(function(values + h) - function(values - h)) / (2 * _DIFFERENCE) for h in shifts])
