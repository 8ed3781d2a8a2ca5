"""What every command does around its workflow: logging, configuration, report, exit code, signals."""

from __future__ import annotations

import logging
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import typer
from typer.core import TyperGroup

from mlff_dyn.cli.console import TRACEBACK_LEVEL, configure_logging, create_progress, stderr
from mlff_dyn.errors import DataError, Interrupted, MlffError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from types import FrameType

    from mlff_dyn.config.schema import Config
    from mlff_dyn.report.answer import Report
    from mlff_dyn.report.progress import Progress

_logger = logging.getLogger(__name__)


class Commands(TyperGroup):
    """Commands whose deliberate errors become one message and an exit code."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 (its class is private to typer)
        """Run the command line."""
        try:
            with _terminate_as_interrupt():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            error: MlffError = Interrupted("interrupted; the same command goes on from here")
        except MlffError as raised:
            error = raised
            _logger.log(TRACEBACK_LEVEL, "raised here:", exc_info=raised)
        stderr.print(f"error: {error}" if not isinstance(error, Interrupted) else str(error))
        raise typer.Exit(error.exit_code)


@contextmanager
def session(verbose: int, quiet: bool) -> Iterator[Progress]:
    """Configure standard error and lend the progress display; however the command ends, it is taken away."""
    verbosity = -1 if quiet else verbose
    configure_logging(verbosity)
    progress = create_progress(verbosity)
    try:
        yield progress
    finally:
        progress.stop()


def read_config(
    path: Path,
    *,
    run_dir: Path | None = None,
    overrides: Sequence[str] | None = None,
    seed: int | None = None,
) -> Config:
    """Load the configuration with the options of the command line on top.

    Parameters
    ----------
    path : Path
    run_dir : Path, optional
        Directory of results, relative to the working directory.
    overrides : sequence of str, optional
        Values of ``--set``.
    seed : int, optional

    Raises
    ------
    ConfigError
        If the configuration is not valid.
    """
    from mlff_dyn.config.load import load_config

    return load_config(path, collect_overrides(run_dir=run_dir, overrides=overrides, seed=seed))


def collect_overrides(
    *, run_dir: Path | None = None, overrides: Sequence[str] | None = None, seed: int | None = None
) -> list[str]:
    """Write the options of the command line as overrides, the dedicated ones last."""
    import json

    collected = list(overrides or ())
    if seed is not None:
        collected.append(f"seed={seed}")
    if run_dir is not None:
        collected.append(f"run_dir={json.dumps(str(run_dir.absolute()))}")
    return collected


def require_file(path: Path, what: str) -> Path:
    """Refuse a data file that is not there.

    Raises
    ------
    DataError
        If the path is no file.
    """
    if not path.is_file():
        raise DataError(
            f"{what} {path} does not exist" if not path.exists() else f"{what} {path} is not a file"
        )
    return path


def finish(report: Report, *, as_json: bool, exit_code: int | None = None) -> NoReturn:
    """Print the report and leave with its exit code, or with another one."""
    from mlff_dyn.report.answer import print_report

    print_report(report, as_json=as_json)
    raise typer.Exit(report.exit_code if exit_code is None else exit_code)


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
