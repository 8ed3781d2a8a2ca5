"""HDF5 files that end with a digest of their contents: made in memory, written at once, checked before use.

HDF5 finds a changed number as good as any other, and reads zeros from where a file was cut. Behind its last
byte, where it does not look, stands one line with the SHA-256 digest of all bytes before it.
"""

from __future__ import annotations

import hashlib
import io
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import h5py
import numpy as np

from mlff_dyn.errors import DataError
from mlff_dyn.store.atomic import atomic_write, reading_fix, refuse_device

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

T = TypeVar("T")

_SEAL = b"mlff-dyn sha256 "
_SEAL_BYTES = len(_SEAL) + 64 + 1
_DAMAGE = (
    OSError,
    KeyError,
    ValueError,
    TypeError,
    RuntimeError,
    AttributeError,
    IndexError,
    MemoryError,
    OverflowError,
    RecursionError,
)


@contextmanager
def write_sealed(path: Path) -> Iterator[h5py.File]:
    """Yield an HDF5 file in memory; write it with its digest when the block ends well.

    A full disk meets plain bytes then, not HDF5, which does not survive it.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        yield file
    content = memory.getbuffer()
    with atomic_write(path) as temporary, temporary.open("wb") as out:
        out.write(content)
        out.write(_seal(content))


@dataclass(frozen=True)
class SealedFormat:
    """A kind of file.

    Attributes
    ----------
    name : str
        Its attribute ``format``.
    version : int
        Of files that are written, and the newest that are read.
    sealed_since : int
        First version with a digest.
    fix : str
        How a damaged file is mended.
    """

    name: str
    version: int
    sealed_since: int
    fix: str = "write it again"

    def stamp(self, file: h5py.File) -> None:
        """Write name and version."""
        file.attrs["format"] = self.name
        file.attrs["version"] = self.version


def read_sealed(path: Path, kind: SealedFormat, reader: Callable[[h5py.File], T]) -> T:
    """Check a file and read it; whatever goes wrong in the reader is damage of the file.

    Raises
    ------
    DataError
        If the file is missing, damaged, of another format or newer.
    """
    refuse_device(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path} does not exist", fix="run the command that writes it first") from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}", fix=reading_fix(error)) from None
    is_sealed = content[-_SEAL_BYTES:].startswith(_SEAL)
    if is_sealed and _seal(content[:-_SEAL_BYTES]) != content[-_SEAL_BYTES:]:
        raise DataError(f"{path} is damaged: its contents do not have its digest", fix=kind.fix)
    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            other = _describe_other(file, kind)
            if other is None:
                _check_seal(file, kind, is_sealed=is_sealed)
                return reader(file)
    except DataError as error:
        raise DataError(f"{path} is damaged: {error.message}", fix=kind.fix) from None
    except _DAMAGE as error:
        raise DataError(f"{path} is damaged or not HDF5: {error}", fix=kind.fix) from None
    raise DataError(f"{path} {other}", fix="give the right file, or use the program that wrote it")


def read_array(dataset: h5py.Dataset) -> np.ndarray:
    """Numbers of a data set.

    Raises
    ------
    DataError
        If it holds anything else than finite numbers, or claims to be larger than its file.
    """
    if dataset.nbytes > dataset.file.id.get_filesize():
        raise DataError(
            f"{dataset.name} of shape {dataset.shape} is larger than the file", fix="write the file again"
        )
    values = np.asarray(dataset[()])
    if values.dtype.kind not in "biuf" or not np.isfinite(values).all():
        raise DataError(
            f"{dataset.name} holds something else than finite numbers", fix="write the file again"
        )
    return values


def _describe_other(file: h5py.File, kind: SealedFormat) -> str | None:
    """What a sound file is instead of the wanted one; None if it is that."""
    found = file.attrs.get("format", "no format name")
    if found != kind.name:
        return f"holds {found!r}, not {kind.name!r}"
    version = int(file.attrs["version"])
    if version < 1:
        return f"has version {version} of {kind.name!r}, which there never was"
    if version > kind.version:
        return f"has version {version} of {kind.name!r}; this program reads versions up to {kind.version}"
    return None


def _check_seal(file: h5py.File, kind: SealedFormat, *, is_sealed: bool) -> None:
    if not is_sealed and int(file.attrs["version"]) >= kind.sealed_since:
        raise DataError("its digest is missing", fix="write the file again")


def _seal(content: bytes | memoryview) -> bytes:
    return _SEAL + hashlib.sha256(content).hexdigest().encode() + b"\n"
