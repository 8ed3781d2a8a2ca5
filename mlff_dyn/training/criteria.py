"""Criteria that decide, while molecular dynamics runs, when the engine is called."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mlff_dyn.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from mlff_dyn.model.force_field import ForceErrors


_AVERAGED = ("force", "epistemic", "truncation", "predictive", "displacement")


class Decision(Enum):
    """What a criterion answers."""

    GO_ON = "go on"
    CALL = "error above the limit"
    CALL_NOW = "sudden large error"
    EXPANSION_LIMITED = "the expansion leaves out more than the limit"


@dataclass(frozen=True)
class FrameErrors:
    """Errors of one frame as root mean squares over its force components, eV/Å.

    Attributes
    ----------
    force : float            predicted force
    epistemic, truncation, predictive : float
        Standard deviations, see `ForceErrors`.
    displacement : float     root mean square over the components, Å
    largest_displacement : float
        Of an atom, Å.
    """

    force: float
    epistemic: float
    truncation: float
    predictive: float
    displacement: float
    largest_displacement: float


@dataclass(frozen=True)
class MeanErrors:
    """Errors averaged over frames.

    Attributes
    ----------
    force_rms_ev_per_angstrom : float
        Root mean square of the predicted forces.
    epistemic, truncation, predictive : float
        Relative to it.
    displacement_rms_angstrom, displacement_max_angstrom : float or None
        Displacements of the frames, for which the errors hold.
    """

    force_rms_ev_per_angstrom: float
    epistemic: float
    truncation: float
    predictive: float
    displacement_rms_angstrom: float | None = None
    displacement_max_angstrom: float | None = None

    def to_json(self) -> dict[str, float | None]:
        """Return plain values for the journal."""
        return {
            "force_rms_ev_per_angstrom": self.force_rms_ev_per_angstrom,
            "epistemic_relative": self.epistemic,
            "truncation_relative": self.truncation,
            "predictive_relative": self.predictive,
            "displacement_rms_angstrom": self.displacement_rms_angstrom,
            "displacement_max_angstrom": self.displacement_max_angstrom,
        }


class Criterion(Protocol):
    """Decides from the frames since the last refit."""

    def decide(self, history: Sequence[FrameErrors]) -> Decision:
        """Say what to do after the last frame of ``history``."""


@dataclass(frozen=True)
class TrajectoryCriterion:
    """Predictive error averaged over the trajectory.

    It calls when the mean error of at least ``n_average`` frames exceeds the limit, or the error of a single
    frame ``sudden_factor`` times the limit. Where the part that no data remove alone exceeds the limit by
    ``truncation_margin``, which allows for the uncertainty of that part, or at all once the part that data
    remove is less than ``exhausted_fraction`` of it, it does not call in vain.

    Attributes
    ----------
    force_error_limit_relative : float
        Limit relative to the root mean square force.
    can_judge_truncation : bool
        Whether the data suffice to tell truncation from lack of data.
    n_average : int
    sudden_factor, truncation_margin, exhausted_fraction : float
    """

    force_error_limit_relative: float
    can_judge_truncation: bool = False
    n_average: int = 10
    sudden_factor: float = 3.0
    truncation_margin: float = 1.3
    exhausted_fraction: float = 0.25

    def decide(self, history: Sequence[FrameErrors]) -> Decision:
        """Decide from the frames since the last refit."""
        mean = mean_errors(history)
        limit = self.force_error_limit_relative
        if len(history) < self.n_average:
            last = history[-1]
            largest = limit * max(last.force, 1e-12)
            in_vain = self.can_judge_truncation and last.truncation > self.truncation_margin * largest
            sudden = last.predictive > self.sudden_factor * largest
            return Decision.CALL_NOW if sudden and not in_vain else Decision.GO_ON
        if mean.predictive <= limit:
            return Decision.GO_ON
        if self.can_judge_truncation and self._is_in_vain(mean):
            return Decision.EXPANSION_LIMITED
        return Decision.CALL

    def _is_in_vain(self, mean: MeanErrors) -> bool:
        """Whether no number of calculations is likely to bring the error under the limit."""
        limit = self.force_error_limit_relative
        exhausted = mean.epistemic < self.exhausted_fraction * mean.truncation
        return mean.truncation > (limit if exhausted else self.truncation_margin * limit)


def frame_errors(forces: np.ndarray, errors: ForceErrors, displacements: np.ndarray) -> FrameErrors:
    """Root mean squares over the components of a frame; forces and displacements of shape (n_atoms, 3)."""
    return FrameErrors(
        force=_rms(forces),
        epistemic=_rms(errors.epistemic),
        truncation=_rms(errors.truncation),
        predictive=_rms(errors.predictive),
        displacement=_rms(displacements),
        largest_displacement=float(np.linalg.norm(displacements, axis=1).max()),
    )


class ErrorHistory(list[FrameErrors]):
    """Errors of the frames of a trajectory that grows, whose averages are asked for after each frame."""

    def __init__(self, frames: Iterable[FrameErrors] = ()) -> None:
        super().__init__()
        self._squares = np.empty((len(_AVERAGED), 64))
        self.largest_displacement = 0.0
        for frame in frames:
            self.append(frame)

    def append(self, frame: FrameErrors) -> None:
        """Add the next frame."""
        if len(self) == self._squares.shape[1]:
            self._squares = np.concatenate([self._squares, np.empty_like(self._squares)], axis=1)
        self._squares[:, len(self)] = [getattr(frame, name) ** 2 for name in _AVERAGED]
        self.largest_displacement = max(self.largest_displacement, frame.largest_displacement)
        super().append(frame)

    @property
    def rms(self) -> dict[str, float]:
        """Root mean squares over the frames, by the name of the attribute."""
        rows = zip(_AVERAGED, self._squares, strict=True)
        return {name: float(np.sqrt(np.mean(row[: len(self)]))) for name, row in rows}


def mean_errors(history: Sequence[FrameErrors]) -> MeanErrors:
    """Average errors over frames, relative to their root mean square force."""
    known = history if isinstance(history, ErrorHistory) else ErrorHistory(history)
    rms = known.rms
    size = max(rms["force"], 1e-150)
    return MeanErrors(
        force_rms_ev_per_angstrom=size,
        epistemic=rms["epistemic"] / size,
        truncation=rms["truncation"] / size,
        predictive=rms["predictive"] / size,
        displacement_rms_angstrom=rms["displacement"],
        displacement_max_angstrom=known.largest_displacement,
    )


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))


CRITERIA: dict[str, Callable[..., Criterion]] = {"trajectory": TrajectoryCriterion}


def create_criterion(kind: str, parameters: Mapping[str, Any]) -> Criterion:
    """Make a criterion by its name.

    Raises
    ------
    ConfigError
        If the name is unknown.
    """
    if kind not in CRITERIA:
        raise ConfigError(
            f"training.criterion.kind {kind!r} is unknown", fix=f"use one of {', '.join(CRITERIA)}"
        )
    return CRITERIA[kind](**parameters)
