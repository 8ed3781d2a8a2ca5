"""What a criterion sees of the dynamics, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlff_dyn.training.criteria.errors import FrameErrors, MeanErrors

MOST_RECENT = 1001
"""Frames that a history remembers across refits."""


class Decision(Enum):
    """What a criterion answers."""

    GO_ON = "go on"
    CANDIDATE = "error above the threshold"
    CALL = "error above the limit"
    CALL_NOW = "sudden large error"
    DUE = "its turn"
    EXPANSION_LIMITED = "the expansion leaves out more than the limit"


@dataclass(frozen=True)
class History:
    """Dynamics up to the frame that a criterion judges.

    Attributes
    ----------
    last : FrameErrors
        Of that frame.
    mean : MeanErrors
        Over the frames since the last refit.
    n_frames : int
        Number of them.
    steps_each : int
        MD steps between two of them.
    n_candidates, frames_since_candidate : int
        Candidates since the last refit, and frames since the newest of them, or else since the refit.
    recent : sequence of float
        Largest epistemic standard deviation of a force component, eV/Å, of the last `MOST_RECENT` frames
        whatever the refits between them, that of the present frame last.
    after_refits : sequence of float
        The same of the first frame after each refit.
    seed : tuple of int
        Of random decisions; different after each refit.
    allowance : float
        Factor of the limit of the mean error, above 1 where the dynamics is hotter than anybody asked for.
    """

    last: FrameErrors
    mean: MeanErrors
    n_frames: int
    steps_each: int = 1
    n_candidates: int = 0
    frames_since_candidate: int = 1
    recent: Sequence[float] = ()
    after_refits: Sequence[float] = ()
    seed: tuple[int, ...] = (0,)
    allowance: float = 1.0

    @property
    def n_steps(self) -> int:
        """MD steps since the last refit."""
        return self.steps_each * self.n_frames


class Criterion(Protocol):
    """Decides frame by frame when the engine is called."""

    @property
    def every_steps(self) -> int | None:
        """MD steps between frames that it judges; None: as often as they are independent enough."""

    @property
    def goes_on(self) -> bool:
        """Whether one trajectory goes on through all refits, instead of a new one after each."""

    def decide(self, history: History) -> Decision:
        """Say what to do after the last frame of ``history``."""
