"""Running sums over frames: a fit after one more frame does not add up the others again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.regression.evidence import Observations, amplitude_bin

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.regression.statistics import SufficientStatistics


@dataclass
class RunningSums:
    """Statistics of all frames so far, added up by bins of amplitude as `bin_by_amplitude` does.

    Attributes
    ----------
    n_frames : int
    """

    n_frames: int = 0
    _sums: dict[int, SufficientStatistics] = field(default_factory=dict)
    _log_amplitudes: dict[int, list[float]] = field(default_factory=dict)

    def add(self, statistics: SufficientStatistics, amplitude: float) -> None:
        """Add one frame."""
        label = amplitude_bin(amplitude)
        known = self._sums.get(label)
        self._sums[label] = statistics if known is None else known + statistics
        self._log_amplitudes.setdefault(label, []).append(float(np.log(amplitude)))
        self.n_frames += 1

    def observations(self, column_scale: NDArray[np.float64]) -> Observations:
        """Observations with columns divided by a scale, shape (n_parameters,); amplitudes ascend."""
        labels = sorted(self._sums)
        centers = [float(np.exp(np.mean(self._log_amplitudes[label]))) for label in labels]
        return Observations(
            tuple(self._sums[label].scaled(column_scale) for label in labels), np.array(centers)
        )
