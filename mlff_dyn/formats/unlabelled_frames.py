"""Frames of a trajectory without labels, one after the other: own trajectories and all that ASE reads."""

from __future__ import annotations

import warnings
from itertools import count
from typing import TYPE_CHECKING

import ase.io
from ase import Atoms

from mlff_dyn.errors import DataError, reason_of
from mlff_dyn.formats.trajectory_frames import read_frames, read_outline
from mlff_dyn.formats.xdatcar_frames import read_xdatcar
from mlff_dyn.store.atomic import reading_fix

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_HDF5 = b"\x89HDF\r\n\x1a\n"


def read_unlabelled(path: Path, *, stride: int = 1) -> Iterator[tuple[int, Atoms]]:
    """Read frames with their numbers in the file, counted from 1.

    Parameters
    ----------
    path : Path
        ``trajectory.h5`` of this program, or anything that ASE reads: XDATCAR, extended XYZ, ``.traj``,
        vasprun.xml, outputs of pw.x; also compressed by gzip, bzip2 or xz.
    stride : int
        Every so many frames one is read, beginning with the first.

    Raises
    ------
    DataError
        If the file is missing, holds no frame, or cannot be read to its end; after the frames before the
        damage.
    """
    try:
        with path.open("rb") as file:
            is_hdf5 = file.read(len(_HDF5)) == _HDF5
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}", fix=reading_fix(error)) from error
    found = 0
    for number, atoms in _own_frames(path, stride) if is_hdf5 else _other_frames(path, stride):
        found = number
        yield number, atoms
    if not found:
        raise DataError(f"{path} holds no frame", fix="give a file with at least one frame")


def _own_frames(path: Path, stride: int) -> Iterator[tuple[int, Atoms]]:
    outline = read_outline(path, stride=stride)
    for k, frame in enumerate(read_frames(path, stride=stride)):
        atoms = Atoms(
            numbers=outline.numbers, positions=frame.positions, cell=frame.lattice, pbc=outline.periodic
        )
        yield 1 + k * stride, atoms


def _other_frames(path: Path, stride: int) -> Iterator[tuple[int, Atoms]]:
    if "XDATCAR" in path.name:
        frames = read_xdatcar(path)
    else:
        frames = ase.io.iread(path, index=":", do_not_split_by_at_sign=True)
    for number in count(1):
        atoms = _next_frame(path, frames, number)
        if atoms is None:
            return
        if (number - 1) % stride == 0:
            yield number, atoms


def _next_frame(path: Path, frames: Iterator[Atoms], number: int) -> Atoms | None:
    """Read one frame with ASE, whose many readers raise nearly anything on a damaged file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return next(frames, None)
    except DataError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {reason_of(error)}"
        raise DataError(
            f"{path}, frame {number} cannot be read: {reason}",
            fix="give a complete file in a format that ASE knows by name, such as XDATCAR or frames.extxyz",
        ) from error
