"""One command at a time in a run directory."""

from __future__ import annotations

import fcntl
import logging
import os
from pathlib import Path
from typing import IO, TYPE_CHECKING

from mlff_dyn.errors import DataError, UsageError

LOCK_NAME = ".lock"

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

_logger = logging.getLogger(__name__)


class RunLock:
    """Context manager that holds a run directory for this process.

    The kernel releases the lock when the process ends, however it ends, so no stale lock is left behind.

    Parameters
    ----------
    directory : Path
        The run directory; made when it is missing.

    Raises
    ------
    UsageError
        On entering, if another process holds the directory; the message has its number.
    DataError
        On entering, if the lock file cannot be written.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = Path(directory)
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        path = self._directory / LOCK_NAME
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            file = path.open("a+", encoding="ascii")
        except OSError as error:
            raise DataError(
                f"cannot write {path}: {error.strerror}", fix="choose a run directory that can be written"
            ) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            file.close()
            raise UsageError(
                f"run directory {self._directory} is in use by process {holder}",
                fix="wait until it ends, or choose another run directory",
            ) from None
        except OSError as error:
            _logger.warning("%s: this file system has no locks (%s)", path, error.strerror)
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        self._file = file
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
