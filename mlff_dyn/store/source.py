"""Files to read, wherever they lie: plain, compressed, or members of an archive.

``outputs.tar.xz/disp-00001/vasprun.xml`` is a member of an archive; compression is told by content, not by
name. An archive is unpacked once into a temporary file, so that its members can be read in any order.
"""

from __future__ import annotations

import hashlib
import shutil
import tarfile
import tempfile
import weakref
import zlib
from bz2 import BZ2File
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from gzip import GzipFile
from lzma import LZMAError, LZMAFile
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, cast

from mlff_dyn.errors import DataError
from mlff_dyn.store.atomic import reading_fix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_OPENERS: dict[bytes, Callable[[Path], IO[bytes]]] = {
    b"\x1f\x8b": lambda path: cast("IO[bytes]", GzipFile(path)),
    b"BZh": BZ2File,
    b"\xfd7zXZ\x00": LZMAFile,
    b"\x5d\x00\x00": LZMAFile,
}
"""First bytes of a compressed file, and what reads it."""

_HEAD_BYTES = 8192
_TAR_MARK = slice(257, 262)
_DAMAGE = (EOFError, OSError, LZMAError, zlib.error, tarfile.TarError)


@dataclass(frozen=True)
class Source:
    """One file to read.

    Attributes
    ----------
    path : Path
        On disk.
    member : str or None
        Name inside, where the file on disk is an archive.

    Examples
    --------
    >>> str(Source(Path("old/runs.tar.xz"), "disp-1/vasprun.xml"))
    'old/runs.tar.xz/disp-1/vasprun.xml'
    """

    path: Path
    member: str | None = None

    def __str__(self) -> str:
        """Path, with the member after it."""
        return str(self.path) if self.member is None else f"{self.path}/{self.member}"

    @property
    def name(self) -> str:
        """Name of the file without folders."""
        return self.path.name if self.member is None else PurePosixPath(self.member).name

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Open for reading what was compressed.

        Raises
        ------
        DataError
            If it is missing, cannot be read, or is cut or damaged as a compressed file.
        """
        try:
            if self.member is None:
                with _opened(self.path) as file:
                    yield file
            else:
                archive = _archive(self.path)
                found = archive.extractfile(self.member)
                if found is None:
                    raise DataError(f"{self} is not a file", fix="give a file, or the whole archive")
                with found as file:
                    yield file
        except KeyError:
            raise DataError(f"{self.path} has no member {self.member}", fix="check the name") from None
        except _DAMAGE as error:
            if isinstance(error, OSError) and error.strerror:
                raise DataError(f"cannot read {self}: {error.strerror}", fix=reading_fix(error)) from error
            raise DataError(
                f"{self} is cut or damaged as a compressed file: {error}", fix="copy it again"
            ) from error

    def head(self, n_bytes: int = _HEAD_BYTES) -> bytes:
        """Return the first bytes, without their compression."""
        with self.open() as file:
            return file.read(n_bytes)

    def read_text(self) -> str:
        """Return the whole text; what is not UTF-8 is replaced."""
        with self.open() as file:
            return file.read().decode(errors="replace")

    def sibling(self, name: str) -> Source | None:
        """Return a file of this name in the same folder, compressed or not; None where there is none."""
        for suffix in ("", ".gz", ".xz", ".bz2", ".lzma"):
            if self.member is None:
                found = Source(self.path.with_name(name + suffix))
                if found.path.is_file():
                    return found
            else:
                found = Source(self.path, str(PurePosixPath(self.member).with_name(name + suffix)))
                if found.member in _archive(self.path).getnames():
                    return found
        return None

    def neighbors(self) -> tuple[Source, ...]:
        """Return the other files in the same folder, by name."""
        if self.member is None:
            files = sorted(each for each in self.path.absolute().parent.iterdir() if each.is_file())
            found = [Source(self.path.with_name(each.name)) for each in files]
        else:
            parent = PurePosixPath(self.member).parent
            names = sorted(_archive(self.path).getnames())
            found = [Source(self.path, name) for name in names if PurePosixPath(name).parent == parent]
        return tuple(each for each in found if each != self)

    def members(self) -> tuple[Source, ...]:
        """Return the files of an archive in its order; none where the file is no archive."""
        if self.member is not None or not is_archive(self.path):
            return ()
        return tuple(Source(self.path, each.name) for each in _archive(self.path) if each.isfile())


def is_archive(path: Path) -> bool:
    """Whether a file is a tar archive, compressed or not."""
    return Source(path).head(512)[_TAR_MARK] == b"ustar"


def file_digest(path: Path) -> str:
    """SHA-256 of the bytes of a file.

    Raises
    ------
    DataError
        If it cannot be read.
    """
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}", fix=reading_fix(error)) from error


def _opened(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        head = file.read(8)
    for mark, opener in _OPENERS.items():
        if head.startswith(mark):
            return opener(path)
    return path.open("rb")


@lru_cache(maxsize=4)
def _archive(path: Path) -> tarfile.TarFile:
    unpacked = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the archive)
    try:
        with _opened(path) as file:
            shutil.copyfileobj(file, unpacked)
        unpacked.seek(0)
        archive = tarfile.open(fileobj=unpacked, mode="r:")  # noqa: SIM115
    except _DAMAGE as error:
        unpacked.close()
        raise DataError(f"{path} is cut or damaged as an archive: {error}", fix="copy it again") from error
    weakref.finalize(archive, unpacked.close)
    return archive
