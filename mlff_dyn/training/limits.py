"""Numbers that decide how dynamics explore and when a calculation is asked for or accepted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DecisionLimits:
    """How to sample, and what counts as enough; where no other source is named, by convention.

    Attributes
    ----------
    friction_per_femtosecond : float
        Of the Langevin thermostat while exploring and while convergence is checked.
    equilibration_femtoseconds : float
        Start of a trajectory that is not used.
    frame_every_femtoseconds : float
        Between frames whose errors are judged.
    start_frame_every_femtoseconds : float
        Between the first structures, which should hardly be correlated.
    label_fraction : float
        Largest displacement of a frame that may be labelled, over the limit of the trusted region.
    frames_before_test : int
        Frames before a temperature that no calculation has tested is labelled.
    enough_snapshots : int
        Fewest snapshots, with two rows per parameter, that tell truncation from lack of data.
    accepted_score : float
        Largest true over expected error of a calculation that counts as predicted.
    """

    friction_per_femtosecond: float = 0.01
    equilibration_femtoseconds: float = 500.0
    frame_every_femtoseconds: float = 20.0
    start_frame_every_femtoseconds: float = 100.0
    label_fraction: float = 0.8
    frames_before_test: int = 10
    enough_snapshots: int = 4
    accepted_score: float = 2.0

    def steps(self, femtoseconds: float, timestep_femtoseconds: float) -> int:
        """MD steps in a time, one at least."""
        return max(1, round(femtoseconds / timestep_femtoseconds))


LIMITS = DecisionLimits()
