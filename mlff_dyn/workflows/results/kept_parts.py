"""Parts of an answer that are kept on disk as soon as they are there, so that a killed command loses one."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mlff_dyn.store.atomic import atomic_write
from mlff_dyn.store.json_file import digest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_VERSION = 1
_STRUCTURE, _ARRAY = "structure", "array"
_DAMAGE = (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile)


@dataclass(frozen=True)
class KeptParts:
    """Values by name, each with a digest of all that it depends on, in a NumPy archive each.

    Attributes
    ----------
    directory : Path
    common : str
        Digest of what all parts depend on.
    """

    directory: Path
    common: str

    def path(self, name: str) -> Path:
        """File of a part."""
        return self.directory / f"{name}.npz"

    def remove(self) -> None:
        """Remove all parts, and the folder around them where nothing else is in it."""
        shutil.rmtree(self.directory, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.directory.parent.rmdir()

    def get(self, name: str, inputs: object, make: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """Return the part, from disk where nothing it depends on has changed.

        Parameters
        ----------
        name : str
        inputs : object
            Plain values that this part depends on.
        make : callable
            Returns arrays and plain values, in mappings and sequences; sequences come back as lists.
        """
        wanted, path = digest([_VERSION, self.common, name, inputs]), self.path(name)
        known = _read(path)
        if known is not None and known["inputs"] == wanted:
            values: dict[str, Any] = known["values"]
            return values
        arrays: list[np.ndarray] = []
        content = {"inputs": wanted, "values": _without_arrays(make(), arrays)}
        members: dict[str, Any] = {f"{_ARRAY}_{number}": each for number, each in enumerate(arrays)}
        with atomic_write(path) as temporary, temporary.open("wb") as stream:
            np.savez(stream, **{_STRUCTURE: np.array(json.dumps(content)), **members})
        made: dict[str, Any] = _with_arrays(content["values"], arrays)  # type: ignore[assignment]
        return made


def _read(path: Path) -> dict[str, Any] | None:
    """Content of a file; None where there is none, or it is damaged: an archive has a checksum."""
    try:
        with np.load(io.BytesIO(path.read_bytes())) as found:
            content = json.loads(str(found[_STRUCTURE]))
            arrays = [found[f"{_ARRAY}_{number}"] for number in range(len(found.files) - 1)]
    except _DAMAGE:
        return None
    known = _with_arrays(content, arrays)
    return known if isinstance(known, dict) else None


def _without_arrays(value: object, arrays: list[np.ndarray]) -> object:
    """Return JSON of a value, its arrays replaced by their numbers in a list that takes them."""
    if isinstance(value, np.ndarray):
        arrays.append(value)
        return {_ARRAY: len(arrays) - 1}
    if isinstance(value, Mapping):
        return {str(key): _without_arrays(each, arrays) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_arrays(each, arrays) for each in value]
    return value.item() if isinstance(value, np.generic) else value


def _with_arrays(value: object, arrays: list[np.ndarray]) -> object:
    if isinstance(value, dict) and set(value) == {_ARRAY}:
        return arrays[value[_ARRAY]]
    if isinstance(value, dict):
        return {key: _with_arrays(each, arrays) for key, each in value.items()}
    return [_with_arrays(each, arrays) for each in value] if isinstance(value, list) else value
