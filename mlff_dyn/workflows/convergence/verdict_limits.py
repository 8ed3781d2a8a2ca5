"""Numbers that decide whether a temperature counts as converged."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class VerdictLimits:
    """What has to lie within the limit of the error besides its mean; by convention.

    Attributes
    ----------
    quantile_factor : float
        Limit of the error that 99 % of the frames keep, over the limit of the mean.
    kept_frames : int
        Frames of a trajectory at most whose displacements are kept for a forecast of further calculations.
    """

    quantile_factor: float = 2.0
    kept_frames: int = 10


VERDICT_LIMITS = VerdictLimits()
