"""How far each calculation of a run is, told from its directory by anyone who looks."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from mlff_dyn.engines.command import is_running
from mlff_dyn.execution.attempts import MARK_NAME
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
        Wall time from input to result, or until now where it runs; None where it waits.
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


def seconds_since_input(folder: Path) -> float | None:
    """Age of the input of a calculation that has no result; None where there is no input, or a result."""
    try:
        age = time.time() - (folder / MARK_NAME).stat().st_mtime
    except OSError:
        return None
    return None if (folder / RESULT_NAME).exists() else max(0.0, age)


def _state(folder: Path) -> CalculationState:
    try:
        seconds = (folder / RESULT_NAME).stat().st_mtime - (folder / MARK_NAME).stat().st_mtime
    except OSError:
        if is_running(folder):
            return CalculationState(folder.name, RUNNING, seconds_since_input(folder))
        return CalculationState(folder.name, WAITING)
    return CalculationState(folder.name, FINISHED, max(0.0, seconds))
