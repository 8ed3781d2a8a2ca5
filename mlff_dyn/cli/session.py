"""What happens around every command: errors become exit codes, signals interrupts."""

from __future__ import annotations

import logging
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import typer
from typer.core import TyperGroup

from mlff_dyn.cli.console import TRACEBACK_LEVEL, stderr
from mlff_dyn.errors import DataError, Interrupted, MlffError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import FrameType


_logger = logging.getLogger(__name__)


class Commands(TyperGroup):
    """Commands whose deliberate errors become one message and an exit code."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 (its class is private to typer)
        """Run the command line."""
        try:
            with _terminate_as_interrupt():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            error: MlffError = Interrupted(
                "interrupted; the same command goes on from here", fix="run the same command again"
            )
        except MlffError as raised:
            error = raised
            _logger.log(TRACEBACK_LEVEL, "raised here:", exc_info=raised)
        stderr.print(f"error: {error}" if not isinstance(error, Interrupted) else error.message)
        raise typer.Exit(error.exit_code)


def require_file(path: Path, what: str) -> Path:
    """Refuse a data file that is not there.

    Raises
    ------
    DataError
        If the path is no file.
    """
    if not path.is_file():
        raise DataError(
            f"{what} {path} does not exist" if not path.exists() else f"{what} {path} is not a file",
            fix=f"give the path of an existing {what}",
        )
    return path


@contextmanager
def _terminate_as_interrupt() -> Iterator[None]:
    """Let SIGTERM do what Ctrl-C does; only the main thread may set it."""

    def interrupt(signum: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 (signature of a handler)
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
