"""Frames of XDATCAR one after the other, with one cell or a cell each, also of a run that still goes on."""

from __future__ import annotations

from itertools import islice
from typing import IO, TYPE_CHECKING

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers

from mlff_dyn.errors import DataError, reason_of
from mlff_dyn.store.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

_N_HEADER = 7
_MARK = b"configuration="


def read_xdatcar(path: Path) -> Iterator[Atoms]:
    """Read one frame after the other; the file may be compressed.

    Raises
    ------
    DataError
        If the file is cut or damaged, after the frames before that; or if it names no elements.
    """
    with Source(path).open() as file:
        crystal: Atoms | None = None
        number = 0
        while line := _next_line(file):
            number += 1
            try:
                if crystal is None or not _begins_frame(line):
                    crystal = _crystal([line, *islice(file, _N_HEADER - 1)])
                    line = _next_line(file)
                rows = [] if _MARK in line else [line]
                points = _points([*rows, *islice(file, len(crystal) - len(rows))], len(crystal))
            except (ValueError, KeyError, IndexError) as error:
                raise DataError(
                    f"{path}, frame {number} is cut or damaged: {reason_of(error)}",
                    fix="wait until VASP has written it, or copy the file again",
                ) from error
            frame = crystal.copy()
            frame.set_scaled_positions(points)
            yield frame


def _next_line(file: IO[bytes]) -> bytes:
    """Next line that is not blank; blank ones separate the frames of old versions."""
    return next((line for line in file if line.strip()), b"")


def _begins_frame(line: bytes) -> bool:
    """Whether it is the mark of a frame, or in old versions its first atom, and no comment before a cell."""
    if _MARK in line:
        return True
    try:
        return len([float(word) for word in line.split()]) == 3
    except ValueError:
        return False


def _points(rows: list[bytes], n_atoms: int) -> NDArray[np.float64]:
    points = np.array([row.split()[:3] for row in rows if row.endswith(b"\n")], float)
    if points.shape != (n_atoms, 3):
        raise ValueError(f"it has {len(points)} of {n_atoms} atoms")
    return points


def _crystal(header: list[bytes]) -> Atoms:
    """Elements and cell of the seven lines: comment, scale, three vectors, symbols, numbers of atoms."""
    _, scale_text, *vectors, names, counts = [line.decode(errors="replace") for line in header]
    cell = np.array([row.split() for row in vectors], float)
    scale = float(scale_text)
    if scale < 0.0:
        scale = float((-scale / abs(np.linalg.det(cell))) ** (1 / 3))
    symbols = [name.partition("/")[0].partition("_")[0] for name in names.split()]
    if not symbols or not all(symbol in atomic_numbers for symbol in symbols):
        raise ValueError(f"{names.strip()!r} names no elements, as VASP writes them since 5.1")
    numbers = np.repeat([atomic_numbers[symbol] for symbol in symbols], [int(n) for n in counts.split()])
    return Atoms(numbers=numbers, positions=np.zeros((len(numbers), 3)), cell=scale * cell, pbc=True)
