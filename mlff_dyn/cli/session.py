"""What happens around every command: errors become exit codes."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from mlff_dyn.cli.console import TRACEBACK_LEVEL, stderr
from mlff_dyn.cli.interrupts import INTERRUPTED, INTERRUPTS
from mlff_dyn.errors import DataError, Interrupted, MlffError, UsageError, Waiting

if TYPE_CHECKING:
    from pathlib import Path


_logger = logging.getLogger(__name__)


class Commands(TyperGroup):
    """Commands whose deliberate errors become one message and an exit code."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 (its class is private to typer)
        """Run the command line."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            error: MlffError = Interrupted(INTERRUPTED, fix="run the same command again")
        except MlffError as raised:
            error = raised
            _logger.log(TRACEBACK_LEVEL, "raised here:", exc_info=raised)
        except OSError as raised:
            if raised.filename is None:
                raise
            error = _of_path(raised)
            _logger.log(TRACEBACK_LEVEL, "raised here:", exc_info=raised)
        except MemoryError as raised:
            error = UsageError(
                f"the memory does not suffice: {str(raised) or 'no more is given'}",
                fix="choose smaller cells, meshes or fewer samples (see --dry-run), or give it more",
            )
            _logger.log(TRACEBACK_LEVEL, "raised here:", exc_info=raised)
        INTERRUPTS.is_told = isinstance(error, Interrupted)
        stderr.print(_told(error))
        raise typer.Exit(error.exit_code)


def _told(error: MlffError) -> str:
    """What ends a command, for people; an interrupt and a wait are no errors."""
    if isinstance(error, Interrupted):
        return error.message
    return f"waiting: {error.message}; next: {error.fix}" if isinstance(error, Waiting) else f"error: {error}"


def _of_path(error: OSError) -> MlffError:
    """What to say of a path that the system refuses to look at, wherever that is."""
    from mlff_dyn.store.atomic import reading_fix

    return DataError(f"cannot use {error.filename}: {error.strerror}", fix=reading_fix(error))


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
