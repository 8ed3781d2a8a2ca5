"""How far each calculation of a run is, told from its directory by anyone who looks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlff_dyn.engines.command import is_running
from mlff_dyn.execution.attempts import MARK_NAME
from mlff_dyn.execution.calculation import RESULT_NAME

if TYPE_CHECKING:
    from pathlib import Path

FINISHED, RUNNING, WAITING = "finished", "running", "waiting"


@dataclass(frozen=True)
class CalculationState:
    """One calculation directory.

    Attributes
    ----------
    name : str
    state : str
        ``finished``, ``running``, or ``waiting``: it has an input and no result.
    seconds : float or None
        Wall time from input to result; None where it is not finished.
    """

    name: str
    state: str
    seconds: float | None = None


def calculation_states(directory: Path) -> tuple[CalculationState, ...]:
    """States of the calculations in a directory, by name; whatever else lies there is left out."""
    try:
        folders = sorted(path for path in directory.iterdir() if (path / MARK_NAME).is_file())
    except OSError:
        return ()
    return tuple(map(_state, folders))


def _state(folder: Path) -> CalculationState:
    try:
        seconds = (folder / RESULT_NAME).stat().st_mtime - (folder / MARK_NAME).stat().st_mtime
    except OSError:
        return CalculationState(folder.name, RUNNING if is_running(folder) else WAITING)
    return CalculationState(folder.name, FINISHED, max(0.0, seconds))
