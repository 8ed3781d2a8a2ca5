"""Standard error: log lines, warnings, progress. Standard output is left to the answer."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING

from rich.console import Console

from mlff_dyn.report.progress import (
    NullProgress,
    PlainProgress,
    Progress,
    TimeLeft,
    format_fields,
    format_waiting,
)

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import Task, TaskID

stderr = Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)
TRACEBACK_LEVEL = 5
_package_logger = logging.getLogger("mlff_dyn")


class _ConsoleHandler(logging.Handler):
    """Log records on the console, so that they do not tear a progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        prefix = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        stderr.print(prefix + self.format(record))


def configure_logging(verbosity: int) -> None:
    """Send the log of the package, and Python's warnings, to standard error.

    Parameters
    ----------
    verbosity : int
        -1: errors only; 0: what happens; 1: details;
        2 and more: with tracebacks of errors.
    """
    level = {-1: logging.ERROR, 0: logging.INFO, 1: logging.DEBUG}.get(verbosity, TRACEBACK_LEVEL)
    if not any(isinstance(handler, _ConsoleHandler) for handler in _package_logger.handlers):
        _package_logger.addHandler(_ConsoleHandler())
    _package_logger.setLevel(level)
    _package_logger.propagate = False
    warnings.showwarning = _log_warning


def create_progress(verbosity: int) -> Progress:
    """Choose how progress is shown: a bar on a terminal, lines elsewhere, nothing when quiet."""
    if verbosity < 0:
        return NullProgress()
    return RichProgress() if stderr.is_terminal else PlainProgress()


class RichProgress:
    """Progress as a bar on the terminal."""

    def __init__(self) -> None:
        self._bars: Bars | None = None
        self._task: TaskID | None = None
        self._total: int | None = None
        self._left = self._left_of_part = TimeLeft()

    def start(self, total: int | None, description: str) -> None:
        """Draw a new bar."""
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as BarsOnConsole
        from rich.table import Column
        from rich.text import Text

        class Time(TimeElapsedColumn):
            """Time left where it is known, else the time so far."""

            def render(self, task: Task) -> Text:
                left = str(task.fields["left"])
                return Text(left, style="progress.remaining") if left else super().render(task)

        self.stop()
        self._bars = BarsOnConsole(
            TextColumn("{task.description}"),
            BarColumn(bar_width=10),
            MofNCompleteColumn(),
            Time(table_column=Column(no_wrap=True, min_width=len("0:00:00 left"))),
            TextColumn("{task.fields[values]}", markup=False),
            TextColumn("{task.fields[part]}", markup=False),
            console=stderr,
            transient=True,
        )
        self._task = self._bars.add_task(description, total=total, left="", values="", part="")
        self._total = total
        self._left = TimeLeft()
        self._bars.start()

    def update(self, completed: int, **fields: object) -> None:
        """Move the bar and show the values behind it."""
        if self._bars is not None and self._task is not None:
            left = "" if "left" in fields else self._left.estimate(completed, self._total)
            values = format_fields(fields)
            self._bars.update(self._task, completed=completed, left=left, values=values, part="")

    def part(self, completed: int, total: int, description: str) -> None:
        """Show the part behind the values."""
        if self._bars is not None and self._task is not None:
            left = self._left_of_part.estimate(completed, total)
            text = f"{description} {completed}/{total} {left}"
            self._bars.update(self._task, part=text.rstrip())

    def wait(self, description: str, seconds: float, expected_seconds: float | None) -> None:
        """Show behind the values what is waited for, and how long."""
        bars, task = self._bars, self._task
        if bars is not None and task is not None:
            bars.update(task, part=f"{description} {format_waiting(seconds, expected_seconds)}")

    def log(self, message: str) -> None:
        """Write a line above the bar."""
        stderr.print(message)

    def stop(self) -> None:
        """Take the bar away."""
        if self._bars is not None:
            self._bars.stop()
        self._bars = self._task = None


def _log_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    _package_logger.warning("%s (%s)", message, category.__name__)
