"""Layout of the trajectory file: its data sets, how they grow, and what makes a file whole."""

from __future__ import annotations

import os
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import h5py
import numpy as np

from mlff_dyn.errors import DataError
from mlff_dyn.store.atomic import reading_fix, refuse_device
from mlff_dyn.store.compression import FILTERS, append_compressed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

FORMAT = "mlff-dyn trajectory"
VERSION = 4
_CHECKED_SINCE = 3

HEADER = ("numbers", "lattice", "ideal_positions", "masses", "periodic")
PER_ATOM = {"displacements": "angstrom", "velocities": "angstrom/femtosecond"}
PER_SAMPLE = {"potential_energies": "electronvolt", "kinetic_energies": "electronvolt"}
PER_CELL = "strains"
SAMPLES = (*PER_ATOM, *PER_SAMPLE, PER_CELL, "steps")
CHECKS = "crc32"
DAMAGE = (OSError, RuntimeError, KeyError, ValueError)
_COPY_BYTES = 2**26
_SUPERBLOCKS = (b"\x89HDF\r\n\x1a\n\x02", b"\x89HDF\r\n\x1a\n\x03")
_END_OF_FILE = slice(28, 36)
"""Where these say how long the file is."""
_CHUNK_BYTES = 2**14
"""Of values before compression. A chunk that is not full is written again, elsewhere, when samples are added,
and its place is lost: the smaller, the less; but small ones take more time.
"""
_DTYPES: dict[str, np.dtype[Any]] = {"double": np.dtype("<f8"), "single": np.dtype("<f4")}


@dataclass(frozen=True)
class Storage:
    """What is kept of each sample.

    Attributes
    ----------
    velocities : bool
        Besides the displacements.
    precision : {'double', 'single'}
        Of displacements and velocities in the file.
    """

    velocities: bool = True
    precision: Literal["double", "single"] = "double"

    def bytes_per_sample(self, n_atoms: int) -> int:
        """Size of displacements and velocities before compression."""
        return (1 + self.velocities) * 3 * n_atoms * _DTYPES[self.precision].itemsize


EVERYTHING = Storage()


@contextmanager
def damage_told(path: Path | str) -> Iterator[None]:
    """Name the file where HDF5, or a sample that is not what was written, ends the block.

    Raises
    ------
    DataError
    """
    try:
        yield
    except DAMAGE as error:
        raise DataError(f"{path} is damaged: {error}", fix="run the MD again") from error


def storage_of(file: h5py.File) -> Storage:
    """Return what a file keeps."""
    is_single = file["displacements"].dtype == _DTYPES["single"]
    return Storage("velocities" in file, "single" if is_single else "double")


def create_layout(
    file: h5py.File, header: Mapping[str, np.ndarray], attributes: Mapping[str, Any], storage: Storage
) -> None:
    """Create the empty data sets of a new file; ``header`` has values by the names of `HEADER`."""
    file.attrs["format"] = FORMAT
    file.attrs["version"] = VERSION
    group = file.create_group("attributes")
    for name, value in attributes.items():
        group.attrs[name] = value
    for name, values in header.items():
        file[name] = values
    n_atoms, dtype = len(header["numbers"]), _DTYPES[storage.precision]
    rows = max(1, _CHUNK_BYTES // (3 * dtype.itemsize * n_atoms))
    for name, unit in PER_ATOM.items():
        if name == "velocities" and not storage.velocities:
            continue
        shape: dict[str, Any] = {
            "shape": (0, n_atoms, 3),
            "maxshape": (None, n_atoms, 3),
            "chunks": (rows, n_atoms, 3),
        }
        dataset = file.create_dataset(name, dtype=dtype, **shape, **FILTERS)
        dataset.attrs["unit"] = unit
    for name, unit in PER_SAMPLE.items():
        dataset = file.create_dataset(name, (0,), float, maxshape=(None,), chunks=(1024,))
        dataset.attrs["unit"] = unit
    file.create_dataset(PER_CELL, (0, 3, 3), float, maxshape=(None, 3, 3), chunks=(113, 3, 3))
    file.create_dataset(CHECKS, (0,), np.uint32, maxshape=(None,), chunks=(1024,))
    file.attrs[CHECKS] = _checksum(read_header(file).values())
    file.create_dataset("steps", (0,), np.int64, maxshape=(None,), chunks=(1024,), fillvalue=-1)


def read_header(file: h5py.File) -> dict[str, np.ndarray]:
    """Return what there is of the crystal, by name."""
    return {name: np.asarray(file[name][()]) for name in HEADER if name in file}


def extend(dataset: h5py.Dataset, values: np.ndarray) -> None:
    """Add rows to a data set."""
    start = dataset.shape[0]
    dataset.resize(start + len(values), axis=0)
    dataset[start:] = values


def copy_samples(old: h5py.File, new: h5py.File, n_samples: int) -> None:
    """Copy the first samples of one file to the end of another, block by block."""
    block = block_length(old)
    for start in range(0, n_samples, block):
        rows = slice(start, min(start + block, n_samples))
        add_samples(new, read_samples(old, rows))


def block_length(file: h5py.File) -> int:
    """Samples that are held in memory together."""
    return max(1, _COPY_BYTES // (48 * len(file["numbers"])))


def add_samples(file: h5py.File, samples: Mapping[str, np.ndarray]) -> None:
    """Add samples with their checksums, the steps last."""
    names = [name for name in SAMPLES if name in file]
    values = {name: np.ascontiguousarray(samples[name], file[name].dtype) for name in names}
    for name in names[:-1]:
        add = append_compressed if name in PER_ATOM else extend
        add(file[name], values[name])
    extend(file[CHECKS], _checksums(values))
    file.flush()
    extend(file["steps"], values["steps"])
    file.flush()


def read_samples(file: h5py.File, rows: slice) -> dict[str, np.ndarray]:
    """Return what there is of some samples, by name.

    Raises
    ------
    ValueError
        If a sample is not what was written.
    """
    samples = {name: np.asarray(file[name][rows]) for name in SAMPLES if name in file}
    if PER_CELL not in samples:
        samples[PER_CELL] = np.zeros((len(samples["steps"]), 3, 3))
    if CHECKS in file:
        wrong = np.flatnonzero(file[CHECKS][rows] != _checksums(samples))
        if len(wrong):
            raise ValueError(f"the sample of step {samples['steps'][wrong[0]]} is not what was written")
    return samples


def read_strains(file: h5py.File, rows: slice) -> np.ndarray:
    """Return the strains of some samples, shape (n_samples, 3, 3); without looking at their checksums.

    Raises
    ------
    ValueError
        If one is beyond all reason.
    """
    if PER_CELL not in file:
        return np.zeros((len(file["steps"][rows]), 3, 3))
    strains = np.asarray(file[PER_CELL][rows])
    if not (np.abs(strains) < 1.0).all():
        raise ValueError("a strain is not what was written")
    return strains


def _checksums(samples: Mapping[str, np.ndarray]) -> np.ndarray:
    """CRC-32 of each sample."""
    columns = [samples[name] for name in SAMPLES if name in samples]
    return np.array([_checksum(each) for each in zip(*columns, strict=True)], np.uint32)


def _checksum(arrays: Iterable[np.ndarray]) -> int:
    found = 0
    for array in arrays:
        found = zlib.crc32(array.tobytes(), found)
    return found


def open_trajectory(path: Path) -> h5py.File:
    """Open a finished file, one that is being written, or one that a killed process left, for reading.

    Raises
    ------
    DataError
        If the file is missing, cut, damaged, of another format, or newer than this program.
    """
    if not path.exists():
        raise DataError(f"trajectory {path} does not exist", fix="run mlff-dyn run-md first")
    refuse_device(path)
    try:
        file = _open_checked(path)
    except DAMAGE as error:
        raise DataError(f"{path} is damaged or not HDF5: {error}", fix="run the MD again") from error
    with damage_told(path):
        found, version = file.attrs.get("format"), file.attrs.get("version")
    problem, fix = None, "run the MD again with this program"
    if found != FORMAT:
        fix = "give a trajectory.h5 of mlff-dyn run-md"
        problem = f"{path} has format {found!r}, expected {FORMAT!r}"
    elif version is None or version > VERSION:
        problem = f"{path} has version {version}, this program reads up to {VERSION}"
    elif version >= _CHECKED_SINCE and not _is_header_sound(file):
        problem = f"{path} is damaged: its crystal is not what was written"
    if problem is not None:
        file.close()
        raise DataError(problem, fix=fix)
    return file


def _is_header_sound(file: h5py.File) -> bool:
    try:
        return CHECKS in file and int(file.attrs[CHECKS]) == _checksum(read_header(file).values())
    except DAMAGE:
        return False


def _open_checked(path: Path) -> h5py.File:
    """Open a file that is whole: HDF5 reads zeros, or waits for ever, where a file was cut."""
    try:
        with path.open("rb") as file:
            start, size = file.read(_END_OF_FILE.stop), file.seek(0, os.SEEK_END)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}", fix=reading_fix(error)) from None
    end = int.from_bytes(start[_END_OF_FILE], "little")
    if start.startswith(_SUPERBLOCKS) and size < end:
        raise OSError(f"it ends after {size} bytes of {end}")
    try:
        return h5py.File(path, "r", libver="latest", locking="best-effort")
    except OSError:
        return h5py.File(path, "r", swmr=True, libver="latest", locking="best-effort")


def read_valid_steps(file: h5py.File) -> np.ndarray:
    """Return the steps of the samples that are complete in every data set."""
    with damage_told(file.filename):
        steps: np.ndarray = file["steps"][()]
        needed = ("displacements", *PER_SAMPLE, "steps")
        names = [name for name in (*SAMPLES, CHECKS) if name in needed or name in file]
        n_samples = min(file[name].shape[0] for name in names)
    unwritten = np.flatnonzero(steps[:n_samples] < 0)
    return steps[: unwritten[0] if len(unwritten) else n_samples]


def read_attributes(file: h5py.File) -> dict[str, Any]:
    """Return what describes the run, as plain values."""
    stored = dict(file["attributes"].attrs)
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in stored.items()}
