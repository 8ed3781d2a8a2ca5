"""Numbers that decide the steps of the search for a maximum."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StepControl:
    """Damping and length of Newton steps; by convention.

    They decide how many steps a search takes, and which of several maxima it finds. Variables are logarithms
    or of the size of one.

    Attributes
    ----------
    start_damping, smallest_damping, largest_damping : float
        Of a search from afar, over the diagonal of the curvature.
    near_damping : float
        Of a search that begins near the maximum, first and at least.
    ridge : float
        Smallest curvature, of the value that is climbed.
    longest_step : float
        Of a variable.
    local_step : float
        Longest step after which a secant correction is kept.
    shortening : float
        Largest length of a step over that of one before that led down.
    shares : tuple of float
        Smallest and largest part of a step that led down which is tried again near the maximum.
    kept_gain, poor_gain : float
        Gain over the promised one above which damping shrinks, and below which it grows.
    shrinkage, growth, retry_growth : float
        Factors of the damping: after a good step, after a poor one, and after one that led down.
    """

    start_damping: float = 1e-2
    smallest_damping: float = 1e-6
    largest_damping: float = 1e6
    near_damping: float = 5e-2
    ridge: float = 1e-2
    longest_step: float = 2.0
    local_step: float = 0.5
    shortening: float = 0.7
    shares: tuple[float, float] = (0.1, 0.6)
    kept_gain: float = 0.5
    poor_gain: float = 0.1
    shrinkage: float = 10.0
    growth: float = 4.0
    retry_growth: float = 10.0

    def first_and_least_damping(self, *, is_near: bool) -> tuple[float, float]:
        """Damping of the first step of a search, and its smallest one."""
        if is_near:
            return self.near_damping, self.near_damping
        return self.start_damping, self.smallest_damping


STEP_CONTROL = StepControl()
