"""Parts of a conductivity that are done, on disk until the whole is: the next command goes on from them."""

from __future__ import annotations

import shutil
import zipfile
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from mlff_dyn.observables.conductivity.solver import Conductivity
from mlff_dyn.store.atomic import atomic_write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray


class Unfinished:
    """Folder of the parts of one task.

    Parameters
    ----------
    folder : Path
        Of the unfinished parts of all tasks; those of other tasks are removed.
    inputs : str
        Digest of what the task depends on.
    """

    def __init__(self, folder: Path, inputs: str) -> None:
        self._all, self._mine = folder, folder / inputs

    def begin(self) -> None:
        """Make the folder, and remove what is of other tasks."""
        for other in self._all.glob("*"):
            if other != self._mine:
                shutil.rmtree(other, ignore_errors=True)
        self._mine.mkdir(parents=True, exist_ok=True)

    def part(self, name: str, solve: Callable[[], Conductivity]) -> Conductivity:
        """Return a part: read if it is there, else calculated and written."""
        names = [each.name for each in fields(Conductivity)]
        path = self._mine / f"{name}.npz"
        known = _read(path)
        if known is not None and set(known) <= set(names):
            values: dict[str, Any] = {**dict.fromkeys(names), **known}
            return Conductivity(**{**values, "mesh": tuple(known["mesh"].tolist())})
        found = solve()
        arrays = {each: getattr(found, each) for each in names if getattr(found, each) is not None}
        with atomic_write(path) as temporary, temporary.open("wb") as stream:
            np.savez(stream, **arrays)
        return found

    def end(self) -> None:
        """Remove all."""
        shutil.rmtree(self._all, ignore_errors=True)


def _read(path: Path) -> dict[str, NDArray[np.float64]] | None:
    try:
        with np.load(path) as found:
            return dict(found)
    except (OSError, ValueError, zipfile.BadZipFile):
        return None
