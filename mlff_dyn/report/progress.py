"""Progress of a long computation, as the computation sees it."""

from __future__ import annotations

import sys
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable

_LEAST_SECONDS = 1.0
_LEAST_SECONDS_OF_WAITING = 30.0


class Progress(Protocol):
    """One task at a time: ``start``, any number of ``update`` and ``log``, ``stop``; then the next one."""

    def start(self, total: int | None, description: str) -> None:
        """Begin a task of ``total`` units; None where the length is not known."""

    def update(self, completed: int, **fields: object) -> None:
        """Say that ``completed`` units of the task are done; ``fields`` are short values shown beside it.

        A field ``left`` stands for the time left where that does not follow from the speed.
        """

    def part(self, completed: int, total: int, description: str) -> None:
        """Say how far the present part of the task is; shown on a terminal only, until the next update."""

    def wait(self, description: str, seconds: float, expected_seconds: float | None) -> None:
        """Say how long the task has waited for something, and how long that is expected to take, if known.

        It may come from another thread.
        """

    def log(self, message: str) -> None:
        """Write one line that stays."""

    def stop(self) -> None:
        """End the task; harmless without one."""


class NullProgress:
    """Progress that shows nothing."""

    def start(self, total: int | None, description: str) -> None:
        """Begin a task."""

    def update(self, completed: int, **fields: object) -> None:
        """Take note of nothing."""

    def part(self, completed: int, total: int, description: str) -> None:
        """Take note of nothing."""

    def wait(self, description: str, seconds: float, expected_seconds: float | None) -> None:
        """Take note of nothing."""

    def log(self, message: str) -> None:
        """Drop the line."""

    def stop(self) -> None:
        """End the task."""


class PlainProgress:
    """Lines of text for a log file: one at every tenth of a task, and of what it waits for.

    Waiting has a line at most every half a minute; past the expected time, at twice, four times and so on.

    Parameters
    ----------
    stream : TextIO, optional
        Where the lines go; standard error as it is at the time of writing if left out.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._total: int | None = None
        self._description = ""
        self._tenths = 0
        self._waited = ("", 0.0)

    def start(self, total: int | None, description: str) -> None:
        """Begin a task and name it."""
        self._total = total
        self._description = description
        self._tenths = 0
        self._write(f"{description}: started")

    def update(self, completed: int, **fields: object) -> None:
        """Write a line if another tenth of the task is done."""
        if not self._total:
            return
        tenths = min(10, 10 * completed // self._total)
        if tenths > self._tenths:
            self._tenths = tenths
            values = format_fields(fields)
            self._write(
                f"{self._description}: {10 * tenths} % ({completed}/{self._total}){values and ' ' + values}"
            )

    def part(self, completed: int, total: int, description: str) -> None:
        """Write nothing: lines are for whole tasks."""

    def wait(self, description: str, seconds: float, expected_seconds: float | None) -> None:
        """Write a line if another tenth of the expected time is over, or twice that of the last line."""
        what, last = self._waited
        if what != description or seconds < last:
            last = 0.0
            self._waited = (description, last)
        expected = expected_seconds or 0.0
        step = max(0.1 * expected, _LEAST_SECONDS_OF_WAITING)
        if seconds >= (step * (last // step + 1.0) if last + step <= expected else max(2.0 * last, step)):
            self._waited = (description, seconds)
            self._write(f"{description}: {format_waiting(seconds, expected_seconds)}")

    def log(self, message: str) -> None:
        """Write the line."""
        self._write(message)

    def stop(self) -> None:
        """End the task."""
        self._total = None

    def _write(self, line: str) -> None:
        print(line, file=self._stream or sys.stderr, flush=True)


class TimeLeft:
    """Time that a task still takes, at the mean speed since it was first seen.

    Parameters
    ----------
    clock : callable
        Seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._first: tuple[int, float] | None = None
        self._last = 0

    def estimate(self, completed: int, total: int | None) -> str:
        """Time left as text, such as ``0:01:30 left``; empty while it is not known.

        What an earlier run did before the first call does not count. Less than before: something new began.
        """
        now = self._clock()
        if self._first is None or completed < self._last:
            self._first = (completed, now)
        self._last = completed
        done, seconds = completed - self._first[0], now - self._first[1]
        if total is None or done <= 0 or seconds < _LEAST_SECONDS:
            return ""
        return f"{timedelta(seconds=round(max(0, total - completed) * seconds / done))} left"


def format_waiting(seconds: float, expected_seconds: float | None) -> str:
    """Format a time so far, and the expected one: ``0:01:30 of about 0:05:00``."""
    text = str(timedelta(seconds=round(seconds)))
    return (
        text if expected_seconds is None else f"{text} of about {timedelta(seconds=round(expected_seconds))}"
    )


def format_fields(fields: dict[str, object]) -> str:
    """Format values as ``name=value``, floats with four digits."""
    return " ".join(f"{name}={_format_value(value)}" for name, value in fields.items())


def _format_value(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if 1.0e4 <= abs(value) < 1.0e9 else f"{value:.4g}"
