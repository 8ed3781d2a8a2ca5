"""Files that appear only when they are complete: written beside their final name, synced, renamed."""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
import zlib
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mlff_dyn.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_SPARE_BYTES = 1 << 22
_FIXES = {
    errno.ENOSPC: "free some disk space and run the same command again",
    errno.EDQUOT: "free some of the disk quota and run the same command again",
    errno.EFBIG: "raise the file size limit",
    errno.EACCES: "make the folder writable, or choose another one",
    errno.EPERM: "make the folder writable, or choose another one",
    errno.EROFS: "choose a folder on a writable file system",
    errno.ENOTDIR: "choose a folder whose path holds no plain file",
    errno.EEXIST: "choose a folder whose path holds no plain file",
    errno.EISDIR: "remove the folder that has the name of the file",
    errno.EIO: "check the disk",
    errno.ENAMETOOLONG: "give a shorter path",
}
_READING_FIXES = {
    errno.ENOENT: "correct the path, or make the file first",
    errno.ENOTDIR: "correct the path",
    errno.EACCES: "make it readable: chmod u+r",
    errno.EISDIR: "give a file instead of the folder",
    errno.EIO: "check the disk",
    errno.ENAMETOOLONG: "give a shorter path",
}

_LONG_AGO_SECONDS = 86400
_TEMPORARY = re.compile(r"\.(?P<machine>[0-9a-f]{8})-(?P<process>\d+)-[0-9a-f]{8}\.tmp")


@contextmanager
def atomic_write(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path in the folder of ``path``; rename it to ``path`` when the block ends well.

    The folder is made when it is missing. The temporary name keeps the suffix, so that writers which choose a
    format by suffix work. If the block raises, ``path`` is as it was and the temporary file is gone.

    Parameters
    ----------
    path : Path or str
        The file to write or replace.

    Raises
    ------
    DataError
        If the disk is full, the folder cannot be made or written, or ``path`` is a device or a pipe.
    """
    path = Path(path)
    refuse_device(path)
    owner = f"{_machine()}-{os.getpid()}-{secrets.token_hex(4)}"
    temporary = path.with_name(f".{path.stem}.{owner}.tmp{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Exclusive creation fails on a link that somebody has put there.
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        yield temporary
        sync_path(temporary)
        temporary.replace(path)
        sync_path(path.parent)
    except OSError as error:
        raise _write_error(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def atomic_write_text(path: Path | str, text: str) -> None:
    """Write ``text`` in UTF-8 to ``path``, which appears complete or not at all.

    Raises
    ------
    DataError
        If the disk is full, or the folder cannot be made or written.
    """
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def remove_abandoned(folder: Path) -> None:
    """Remove what `atomic_write` of processes that were killed has left in a folder and those in it.

    Files of other machines, and of processes that live, are left alone.
    """
    for path in (*folder.glob(".*.tmp*"), *folder.glob("*/.*.tmp*"), *folder.glob("*/*/.*.tmp*")):
        owner = _TEMPORARY.search(path.name)
        if owner and owner["machine"] == _machine() and not _is_alive(int(owner["process"])):
            with suppress(OSError):
                path.unlink()


def _machine() -> str:
    return f"{zlib.crc32(os.uname().nodename.encode()):08x}"


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def refuse_device(path: Path) -> None:
    """Refuse a device, a pipe or a socket: a file would take its place, or reading it would never end.

    Raises
    ------
    DataError
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise DataError(f"{path} is a device or a pipe, no file", fix="give the path of a file")


def fix_of(error: OSError) -> str:
    """What mends an error of writing."""
    return _FIXES.get(error.errno or 0, "choose a folder that can be written")


def reading_fix(error: OSError) -> str:
    """What mends an error of reading."""
    return _READING_FIXES.get(error.errno or 0, "check the disk and the path")


def require_space(folder: Path, n_bytes: int) -> None:
    """Refuse a folder on a disk without room for some bytes: HDF5 does not survive a full disk.

    Raises
    ------
    DataError
    """
    disk = os.statvfs(folder)
    if disk.f_bavail * disk.f_frsize < n_bytes + _SPARE_BYTES:
        raise DataError(f"cannot write to {folder}: {os.strerror(errno.ENOSPC)}", fix=_FIXES[errno.ENOSPC])


def sync_path(path: Path) -> None:
    """Flush a file, or the entries of a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def date_back(*paths: Path) -> None:
    """Date files to long ago, so that make takes them for out of date and runs their command again."""
    for path in paths:
        with suppress(FileNotFoundError, PermissionError):
            os.utime(path, (_LONG_AGO_SECONDS, _LONG_AGO_SECONDS))


def date_after(results: Iterable[Path], sources: Iterable[Path]) -> None:
    """Date results that are older than one of their sources to now; those that are sources, too, are none."""
    results = [path for path in results if path.exists()]
    times = [path.stat().st_mtime_ns for path in sources if path.exists() and path not in results]
    for path in results:
        if path.stat().st_mtime_ns < max(times, default=0):
            with suppress(PermissionError):
                os.utime(path)


def _write_error(path: Path, error: OSError) -> Exception:
    """Return the error to raise: a DataError if ``error`` is one of writing, otherwise ``error`` itself."""
    if error.errno not in _FIXES:
        return error
    return DataError(f"cannot write {path}: {os.strerror(error.errno)}", fix=_FIXES[error.errno])
