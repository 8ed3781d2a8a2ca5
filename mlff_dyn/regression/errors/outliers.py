"""Targets that cannot be noise: errors judged by their predictive standard deviations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class OutlierLimits:
    """From where on an error is no noise.

    Predictions of sound data (six crystals, 300 to 1300 K, fits to 1 to 15 frames that leave up to 30 % of
    the forces) were off by 2.9 sd at most as a root mean square over a frame, and 9 in a component, once
    errors may grow in proportion to the amplitude beyond that of the data; a crystal of double wells by 10.

    Attributes
    ----------
    suspected_rms, suspected_component : float
        Held-out errors over their sd at which one of few frames is left out of a fit to look at it again.
    caution : float
        Of many frames, the same over the limits that contradict, as a wrong frame lets them appear.
    rms, component : float
        Errors over their sd, of a fit without the frame, that contradict all others.
    relative_rms, relative_component : float
        Smallest errors that matter, over the root mean square of the targets.
    known_share : float
        Expected error over the targets up to which the limits above were found; beyond it, errors have longer
        tails, and the limits grow in proportion.
    local : float
        Score of a component over that of the frame, above which single targets are wrong and not the model.
    scalar, scalar_sd : float
        Distance of a scalar from the median over the median distance, scaled to one sd, and over its own sd.
    fewest, fewest_scalars : int
        Frames of which one can be told to be unlike the others.
    most_looks : int
        Suspected frames that are looked at again before any is found.
    largest_share : float
        Of frames that may be set aside.
    """

    suspected_rms: float = 1.7
    suspected_component: float = 7.0
    caution: float = 0.75
    rms: float = 4.0
    component: float = 14.0
    relative_rms: float = 0.02
    relative_component: float = 0.05
    known_share: float = 0.3
    local: float = 6.0
    scalar: float = 6.0
    scalar_sd: float = 3.0
    fewest: int = 3
    fewest_scalars: int = 5
    most_looks: int = 10
    largest_share: float = 0.34


OUTLIER_LIMITS = OutlierLimits()
_SD_OF_MEDIAN_DISTANCE = 1.4826


@dataclass(frozen=True)
class Misfit:
    """How a frame disagrees with its prediction.

    Attributes
    ----------
    rms_error, rms_score : float     root mean square error, unit of the targets, and over the expected one
    component : int                  where error over sd is largest
    error, score : float             there
    """

    rms_error: float
    rms_score: float
    component: int
    error: float
    score: float

    def suspicion(self, n_frames: int) -> float:
        """Held-out error over that at which one of some frames is suspected.

        A frame that is off by s sd raises the noise that all are judged by to sqrt(1 + s² / n_frames) of
        itself: among many frames it can hide less.
        """
        limits = OUTLIER_LIMITS
        seen = limits.caution / float(np.sqrt(1.0 + limits.rms**2 / n_frames))
        return max(
            self.rms_score / max(limits.suspected_rms, seen * limits.rms),
            self.score / max(limits.suspected_component, seen * limits.component),
        )

    @property
    def is_local(self) -> bool:
        """Whether few components are off by far more than the others."""
        return self.score > OUTLIER_LIMITS.local * self.rms_score

    def contradicts(self, size: float) -> bool:
        """Whether it can be no noise, targets being of a given size."""
        limits = OUTLIER_LIMITS
        is_large = self.rms_error > limits.relative_rms * size
        is_large_here = self.error > limits.relative_component * size
        expected = self.rms_error / max(self.rms_score, 1e-300)
        tails = max(1.0, expected / (limits.known_share * size))
        worst = max(self.rms_score / limits.rms * is_large, self.score / limits.component * is_large_here)
        return worst > tails


def misfit(errors: NDArray[np.float64], sds: NDArray[np.float64]) -> Misfit:
    """Judge the errors of one frame by their standard deviations, both of shape (n,)."""
    scores = np.abs(errors) / np.maximum(sds, 1e-300)
    worst = int(scores.argmax())
    rms, expected = (float(np.sqrt(np.mean(each**2))) for each in (errors, sds))
    return Misfit(
        rms_error=rms,
        rms_score=rms / max(expected, 1e-300),
        component=worst,
        error=float(abs(errors[worst])),
        score=float(scores[worst]),
    )


def scalar_outliers(values: NDArray[np.float64], sds: NDArray[np.float64]) -> list[int]:
    """Values that are unlike the median of all, given what their own errors may be."""
    if len(values) < OUTLIER_LIMITS.fewest_scalars:
        return []
    distances = np.abs(values - np.median(values))
    typical = _SD_OF_MEDIAN_DISTANCE * float(np.median(distances))
    limit = np.maximum(OUTLIER_LIMITS.scalar * typical, OUTLIER_LIMITS.scalar_sd * sds)
    return [int(k) for k in np.flatnonzero(distances > limit)]
