"""How far each calculation of a run is, told from its directory by anyone who looks."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from mlff_dyn.engines.command import PROCESS_LOCK, is_running
from mlff_dyn.execution.attempts import MARK_NAME, PROGRAM_ENDED_NAME
from mlff_dyn.execution.calculation import RESULT_NAME

if TYPE_CHECKING:
    from collections.abc import Sequence
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
        Wall time of the program, or until now where it runs; from the input on where its start is not known,
        None where it waits.
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


def typical_seconds(states: Sequence[CalculationState]) -> float | None:
    """Median time of those that are finished; None without any."""
    times = [each.seconds for each in states if each.state == FINISHED and each.seconds is not None]
    return median(times) if times else None


def seconds_since_start(folder: Path) -> float | None:
    """How long a calculation has been at work; None where there is no input, or a result."""
    began = _began(folder)
    if began is None or (folder / RESULT_NAME).exists():
        return None
    return max(0.0, time.time() - began)


def _state(folder: Path) -> CalculationState:
    began, ended = _began(folder), _written(folder / RESULT_NAME)
    if ended is None:
        if is_running(folder):
            return CalculationState(folder.name, RUNNING, seconds_since_start(folder))
        return CalculationState(folder.name, WAITING)
    ended = _written(folder / PROGRAM_ENDED_NAME) or ended
    seconds = None if began is None else max(0.0, ended - began)
    return CalculationState(folder.name, FINISHED, seconds)


def _began(folder: Path) -> float | None:
    return _written(folder / PROCESS_LOCK) or _written(folder / MARK_NAME)


def _written(path: Path) -> float | None:
    """When a file was written, seconds; None where there is none."""
    try:
        return path.stat().st_mtime
    except OSError:
        return None
