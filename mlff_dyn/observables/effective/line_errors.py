"""Errors of lines: statistical, and of the data, by trajectories of samples of the posterior.

Statistical errors leave out one trajectory at a time. A sample s of the posterior runs from the same random
numbers, and its difference d_s to the mean has a statistical error e_s of its own, found the same way from
pairs of trajectories. As d_s holds both,

    sd^2 = c^2 max(<d_s^2> - <e_s^2>,  (2 / n)^(1/2) <e_s^2>)

with the calibration c of the force field: the second value is what n samples cannot tell from none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class LineValues:
    """Values of all lines, and again without each trajectory.

    Attributes
    ----------
    whole : ndarray, shape (n_lines, 2)
        Frequency and width, THz.
    without : ndarray, shape (n_trajectories, n_lines, 2)
    weights : ndarray, shape (n_lines,)
        Modes of each line.
    """

    whole: NDArray[np.float64]
    without: NDArray[np.float64]
    weights: NDArray[np.float64]

    @property
    def mean_width(self) -> LineValues:
        """Mean width of a mode, as the only line; its frequency is the mean one."""
        share = (self.weights / self.weights.sum())[:, None]
        whole, without = (np.sum(share * each, axis=-2, keepdims=True) for each in (self.whole, self.without))
        return LineValues(whole, without, np.ones(1))

    @property
    def statistical_errors(self) -> NDArray[np.float64]:
        """Standard deviations, shape (n_lines, 2)."""
        return np.asarray(np.sqrt(_left_out(self.without)))


def data_errors(mean: LineValues, samples: Sequence[LineValues], calibration: float) -> NDArray[np.float64]:
    """Calibrated standard deviations by the data, shape (n_lines, 2); nan without samples.

    Parameters
    ----------
    mean : LineValues
        Of the posterior mean.
    samples : sequence of LineValues
        Of samples of the posterior, from the same random numbers.
    calibration : float
    """
    if not samples:
        return np.full(mean.whole.shape, np.nan)
    squares = np.mean([(each.whole - mean.whole) ** 2 for each in samples], axis=0)
    noise = np.mean([_left_out(each.without - mean.without) for each in samples], axis=0)
    least = np.sqrt(2.0 / len(samples)) * noise
    return np.asarray(calibration * np.sqrt(np.maximum(squares - noise, least)))


def _left_out(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Variance of an estimate, from its values without each trajectory."""
    return np.asarray((len(values) - 1) * np.var(values, axis=0))
