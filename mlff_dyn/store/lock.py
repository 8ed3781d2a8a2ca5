"""One command at a time in a run directory."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mlff_dyn.errors import DataError, UsageError
from mlff_dyn.store.atomic import remove_abandoned

LOCK_NAME = ".lock"

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from typing_extensions import Self

_logger = logging.getLogger(__name__)


class RunLock:
    """Context manager that holds a run directory for this process, and removes what killed ones have left.

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
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        path = self._directory / LOCK_NAME
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        except OSError as error:
            is_link = error.errno == errno.ELOOP
            raise DataError(
                f"cannot write {path}: {'it is a symbolic link' if is_link else error.strerror}",
                fix="remove the link" if is_link else "choose a run directory that can be written",
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            found = _in_use(self._directory, descriptor)
            os.close(descriptor)
            raise found from None
        except OSError as error:
            _logger.warning("%s: this file system has no locks (%s)", path, error.strerror)
        # The number is for people; a full disk does not keep the lock from working.
        with suppress(OSError):
            os.truncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor
        remove_abandoned(self._directory)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


@contextmanager
def reading(directory: Path) -> Iterator[None]:
    """Read files that belong together, with others that read, while no command works in the run directory.

    Nothing is written: a directory without a lock file, like a copy of the results, is read as it is.

    Parameters
    ----------
    directory : Path
        The run directory.

    Raises
    ------
    UsageError
        If a process holds the directory.
    """
    try:
        descriptor = os.open(directory / LOCK_NAME, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        yield
        return
    try:
        with suppress(OSError):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                raise _in_use(directory, descriptor) from None
        yield
    finally:
        os.close(descriptor)


def holder_of(directory: Path) -> int | None:
    """Return the process that works in a run directory now; None if there is none."""
    try:
        descriptor = os.open(directory / LOCK_NAME, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.pread(descriptor, 20, 0).decode(errors="replace").strip()
        return int(text) if text.isdecimal() else 0
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return None


def _in_use(directory: Path, descriptor: int) -> UsageError:
    holder = os.pread(descriptor, 20, 0).decode(errors="replace").strip() or "unknown"
    return UsageError(
        f"run directory {directory} is in use by process {holder}",
        fix="wait until it ends, or choose another run directory",
    )
