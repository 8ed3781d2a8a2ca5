"""How far each calculation of a run is, told from its directory by anyone who looks.

| state | its directory has |
|---|---|
| `PENDING` | an input, and nothing that is at work: not started, or interrupted |
| `RUNNING` | a program of this machine at work, or output of one elsewhere that has not ended |
| `UNREAD` | output of a program that has ended, which no command has read yet |
| `FINISHED` | a result |
| `FAILED` | a reason why there is none, or a damaged mark |
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from mlff_dyn.engines.command import PROCESS_LOCK, is_running
from mlff_dyn.errors import DataError
from mlff_dyn.execution.attempts import (
    FAILED_NAME,
    FAILURE_NAME,
    MARK_NAME,
    PROGRAM_ENDED_NAME,
    has_started,
    read_failure,
    read_mark,
)
from mlff_dyn.execution.calculation import RESULT_NAME, SUPERSEDED_NAME

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PENDING, RUNNING, UNREAD, FINISHED, FAILED = "pending", "running", "unread", "finished", "failed"
_OTHERS = (SUPERSEDED_NAME, FAILED_NAME)


@dataclass(frozen=True)
class CalculationState:
    """One calculation directory.

    Attributes
    ----------
    name : str
    state : str
    seconds : float or None
        Wall time of the program, or until now where it runs; from the input on where its start is not known,
        None where it waits or failed.
    reason : str or None
        Why it failed.
    """

    name: str
    state: str
    seconds: float | None = None
    reason: str | None = None


def calculation_folders(directory: Path) -> list[Path]:
    """Directories with an input in a folder of calculations, in the order of their names.

    Raises
    ------
    OSError
        If the folder cannot be read.
    """
    found = sorted(path for path in directory.iterdir() if not path.name.startswith("."))
    return [path for path in found if path.name not in _OTHERS and (path / MARK_NAME).is_file()]


def calculation_states(directory: Path) -> tuple[CalculationState, ...]:
    """States of the calculations in a directory, by name; whatever else lies there is left out."""
    try:
        return tuple(map(_look, calculation_folders(directory)))
    except OSError:
        return ()


def state_of(folder: Path, mark: dict[str, Any]) -> str:
    """State of a calculation with its mark, as far as its files tell it."""
    if (folder / RESULT_NAME).exists():
        return FINISHED
    if is_running(folder):
        return RUNNING
    if (folder / FAILURE_NAME).exists():
        return FAILED
    if (folder / PROGRAM_ENDED_NAME).exists():
        return UNREAD
    is_elsewhere = has_started(folder, mark) and not (folder / PROCESS_LOCK).exists()
    return RUNNING if is_elsewhere else PENDING


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


def _look(folder: Path) -> CalculationState:
    try:
        state = state_of(folder, read_mark(folder))
        if state == FAILED:
            return CalculationState(folder.name, FAILED, reason=read_failure(folder))
    except (DataError, KeyError) as error:
        return CalculationState(folder.name, FAILED, reason=f"{folder / MARK_NAME} is damaged: {error}")
    if state == RUNNING:
        return CalculationState(folder.name, RUNNING, seconds_since_start(folder))
    began, ended = _began(folder), _written(folder / PROGRAM_ENDED_NAME) or _written(folder / RESULT_NAME)
    if state == PENDING or began is None or ended is None:
        return CalculationState(folder.name, state)
    return CalculationState(folder.name, state, max(0.0, ended - began))


def _began(folder: Path) -> float | None:
    return _written(folder / PROCESS_LOCK) or _written(folder / MARK_NAME)


def _written(path: Path) -> float | None:
    """When a file was written, seconds; None where there is none."""
    try:
        return path.stat().st_mtime
    except OSError:
        return None
