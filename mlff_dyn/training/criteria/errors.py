"""Force errors of frames, and their averages."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mlff_dyn.model.force_field import ForceErrors


_AVERAGED = ("force", "epistemic", "truncation", "predictive", "displacement")


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
    largest_epistemic : float
        Of a force component.
    """

    force: float
    epistemic: float
    truncation: float
    predictive: float
    displacement: float
    largest_displacement: float
    largest_epistemic: float = 0.0


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


def frame_errors(forces: np.ndarray, errors: ForceErrors, displacements: np.ndarray) -> FrameErrors:
    """Root mean squares over the components of a frame; forces and displacements of shape (n_atoms, 3)."""
    return FrameErrors(
        force=_rms(forces),
        epistemic=_rms(errors.epistemic),
        truncation=_rms(errors.truncation),
        predictive=_rms(errors.predictive),
        displacement=_rms(displacements),
        largest_displacement=float(np.linalg.norm(displacements, axis=1).max()),
        largest_epistemic=float(np.max(errors.epistemic, initial=0.0)),
    )


class ErrorSums:
    """Averages over a growing number of frames."""

    def __init__(self) -> None:
        self._squares = dict.fromkeys(_AVERAGED, 0.0)
        self._farthest = 0.0
        self.n_frames = 0

    def add(self, frame: FrameErrors) -> None:
        """Take a frame into the averages."""
        for name in _AVERAGED:
            self._squares[name] += getattr(frame, name) ** 2
        self._farthest = max(self._farthest, frame.largest_displacement)
        self.n_frames += 1

    def mean(self) -> MeanErrors:
        """Errors averaged over the frames so far, one at least, relative to their root mean square force."""
        rms = {name: float(np.sqrt(total / self.n_frames)) for name, total in self._squares.items()}
        size = max(rms["force"], 1e-150)
        return MeanErrors(
            force_rms_ev_per_angstrom=size,
            epistemic=rms["epistemic"] / size,
            truncation=rms["truncation"] / size,
            predictive=rms["predictive"] / size,
            displacement_rms_angstrom=rms["displacement"],
            displacement_max_angstrom=self._farthest,
        )


class RecentErrors:
    """Averages over the last frames, so many at most."""

    def __init__(self, n_most: int) -> None:
        self._frames: deque[FrameErrors] = deque(maxlen=n_most)

    @property
    def n_frames(self) -> int:
        """Number of the frames."""
        return len(self._frames)

    def add(self, frame: FrameErrors) -> None:
        """Take a frame into the averages; the oldest one leaves them."""
        self._frames.append(frame)

    def mean(self) -> MeanErrors:
        """Errors as those of `ErrorSums`."""
        return mean_errors(self._frames)


def mean_errors(history: Iterable[FrameErrors]) -> MeanErrors:
    """Average errors over frames, relative to their root mean square force."""
    sums = ErrorSums()
    for frame in history:
        sums.add(frame)
    return sums.mean()


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))
