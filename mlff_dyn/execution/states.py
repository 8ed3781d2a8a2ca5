"""How far each calculation of a run is, told from its directory by anyone who looks."""

from __future__ import annotations

import fcntl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlff_dyn.engines.command import PROCESS_LOCK
from mlff_dyn.execution.calculation import MARK_NAME, RESULT_NAME

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
        return CalculationState(folder.name, RUNNING if _is_held(folder / PROCESS_LOCK) else WAITING)
    return CalculationState(folder.name, FINISHED, max(0.0, seconds))


def _is_held(lock: Path) -> bool:
    """Whether a process of the calculation lives: it holds this lock until its end."""
    try:
        with lock.open("r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
