"""Dynamics whose thermostat becomes hotter in proportion to time."""

from __future__ import annotations

from dataclasses import dataclass

from mlff_dyn.training.limits import LIMITS, DecisionLimits


@dataclass(frozen=True)
class Ramp:
    """Temperature T of the thermostat after s steps, T = from + rate max(0, s - hold).

    Attributes
    ----------
    from_kelvin, to_kelvin : float
    asked_kelvin : float
        Highest temperature that the model is for; above it larger errors are allowed.
    kelvin_per_step : float
    hold_steps : int
        Steps at the first temperature.
    limits : DecisionLimits

    Examples
    --------
    >>> ramp = Ramp(300.0, 1040.0, 800.0, 0.02, 500)
    >>> ramp.n_steps, ramp.kelvin(0), ramp.kelvin(1500), ramp.kelvin(90000)
    (37500, 300.0, 320.0, 1040.0)
    >>> ramp.steps_between_errors, ramp.allowance(37000)
    (400, 3.0)
    """

    from_kelvin: float
    to_kelvin: float
    asked_kelvin: float
    kelvin_per_step: float
    hold_steps: int
    limits: DecisionLimits = LIMITS

    @property
    def n_steps(self) -> int:
        """Steps up to the last temperature."""
        return self.hold_steps + max(1, round((self.to_kelvin - self.from_kelvin) / self.kelvin_per_step))

    @property
    def steps_between_errors(self) -> int:
        """Most steps between two errors, such that the temperature hardly differs."""
        return int(self.limits.ramp_resolution * self.asked_kelvin / self.kelvin_per_step)

    def kelvin(self, step: int) -> float:
        """Temperature after a number of steps."""
        return min(self.to_kelvin, self.from_kelvin + self.kelvin_per_step * max(0, step - self.hold_steps))

    def stretch(self, before: int, n_steps: int) -> tuple[float, float]:
        """Temperatures at the beginning and the end of some steps, to 0.01 K."""
        return round(self.kelvin(before), 2), round(self.kelvin(before + n_steps), 2)

    def allowance(self, step: int) -> float:
        """Factor of the limit of the mean error there."""
        return 1.0 if self.kelvin(step) <= self.asked_kelvin else self.limits.sudden_factor
