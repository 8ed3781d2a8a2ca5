"""MD trajectories in HDF5, appended chunk by chunk and readable after a kill at any moment.

The file grows under the name ``trajectory.part.h5`` in HDF5's single-writer mode, in which the file on disk
is valid after every flush, and gets its final name when the run is complete. ``steps`` is written last, with
-1 standing for "not yet": a sample counts when its step is there. A file left by a killed process is not
opened for writing again; resuming copies its samples up to the wanted step into a new file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from mlff_dyn.errors import DataError, check_shape
from mlff_dyn.store.atomic import atomic_write, fix_of, require_space, sync_path
from mlff_dyn.store.trajectory_layout import (
    DAMAGE,
    EVERYTHING,
    PER_ATOM,
    PER_CELL,
    Storage,
    add_samples,
    block_length,
    copy_samples,
    create_layout,
    damage_told,
    open_trajectory,
    read_attributes,
    read_header,
    read_samples,
    read_valid_steps,
    storage_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

_METADATA_BYTES = 1 << 14
"""Room before the samples for the indices of all data sets: HDF5 waits for ever for one that a cut took."""


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Samples of one MD run.

    Parameters
    ----------
    numbers : ndarray of int, shape (n_atoms,)
    lattice : ndarray, shape (3, 3), Å
        Supercell vectors as rows.
    ideal_positions : ndarray, shape (n_atoms, 3), Å
    attributes : dict
        What the writer was given: seed, temperature, time step.
    steps : ndarray of int, shape (n_samples,)
        MD step of each sample, ascending.
    displacements : ndarray, shape (n_samples, n_atoms, 3), Å
    velocities : ndarray, shape (n_samples, n_atoms, 3), Å/fs; or None
        None where they are not stored.
    potential_energies, kinetic_energies : ndarray, shape (n_samples,), eV
    strains : ndarray, shape (n_samples, 3, 3)
        Symmetric; zeros at constant volume. Atoms are at (1 + strain) ideal position + displacement.
    masses : ndarray, shape (n_atoms,), amu; or None
    periodic : ndarray of bool, shape (3,); or None
        False along vectors with vacuum. Files of versions before 4 have neither.
    """

    numbers: np.ndarray
    lattice: np.ndarray
    ideal_positions: np.ndarray
    attributes: dict[str, Any]
    steps: np.ndarray
    displacements: np.ndarray
    velocities: np.ndarray | None
    potential_energies: np.ndarray
    kinetic_energies: np.ndarray
    strains: np.ndarray
    masses: np.ndarray | None = None
    periodic: np.ndarray | None = None

    @property
    def lattices(self) -> np.ndarray:
        """Supercell vectors (rows) of each sample, shape (n_samples, 3, 3), Å."""
        return np.asarray(self.lattice + self.lattice @ self.strains)

    @property
    def positions(self) -> np.ndarray:
        """Positions of the atoms in each sample, shape (n_samples, n_atoms, 3), Å."""
        return np.asarray(self.ideal_positions + self.ideal_positions @ self.strains + self.displacements)


class TrajectoryWriter:
    """Open an unfinished trajectory for appending; `create` begins one, `resume` goes on with one.

    Parameters
    ----------
    path : Path
        Final name. Until ``finish`` the samples are in ``part_path(path)``, which must exist.

    Raises
    ------
    DataError
        If the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        part = part_path(path)
        try:
            options = {"libver": "latest", "locking": "best-effort", "meta_block_size": _METADATA_BYTES}
            self._file = h5py.File(part, "r+", **options)
            self._file.swmr_mode = True
        except OSError as error:
            raise DataError(f"cannot write {part}: {error}", fix=fix_of(error)) from error

    @classmethod
    def create(
        cls,
        path: Path,
        numbers: np.ndarray,
        lattice: np.ndarray,
        ideal_positions: np.ndarray,
        attributes: Mapping[str, Any],
        *,
        masses: np.ndarray | None = None,
        periodic: np.ndarray | None = None,
        storage: Storage = EVERYTHING,
    ) -> Self:
        """Begin a new trajectory; an unfinished one of this name is replaced.

        Parameters
        ----------
        path : Path
            Final name.
        numbers : ndarray of int, shape (n_atoms,)
        lattice : ndarray, shape (3, 3), Å
        ideal_positions : ndarray, shape (n_atoms, 3), Å
        attributes : mapping
            Numbers and strings that describe the run.
        masses : ndarray, shape (n_atoms,), amu, optional
        periodic : ndarray of bool, shape (3,), optional
        storage : Storage

        Raises
        ------
        DataError
            If a shape is wrong or the file cannot be written.
        """
        check_shape("lattice", lattice, (3, 3))
        check_shape("ideal_positions", ideal_positions, (len(numbers), 3))
        header = {
            "numbers": np.asarray(numbers, np.int64),
            "lattice": np.asarray(lattice, float),
            "ideal_positions": np.asarray(ideal_positions, float),
        }
        if masses is not None:
            header["masses"] = np.asarray(masses, float)
        if periodic is not None:
            header["periodic"] = np.asarray(periodic, bool)
        part = part_path(path)
        try:
            with atomic_write(part) as temporary:
                require_space(part.parent, 0)
                with h5py.File(temporary, "w", libver="latest") as file:
                    create_layout(file, header, attributes, storage)
        except OSError as error:
            raise DataError(f"cannot write {part}: {error}", fix=fix_of(error)) from error
        return cls(path)

    @classmethod
    def resume(cls, path: Path, *, last_step: int) -> Self:
        """Continue an unfinished (or finished) trajectory, dropping the samples after ``last_step``.

        Parameters
        ----------
        path : Path
            Final name, as given to the first writer.
        last_step : int
            MD step of the checkpoint that the run goes on from.

        Raises
        ------
        DataError
            If there is nothing to resume, the file is damaged, or the disk is full.
        """
        part = part_path(path)
        with open_trajectory(part if part.exists() else path) as old:
            require_space(part.parent, old.id.get_filesize())
            n_keep = int(np.searchsorted(read_valid_steps(old), last_step, side="right"))
            try:
                with atomic_write(part) as temporary, h5py.File(temporary, "w", libver="latest") as new:
                    create_layout(new, read_header(old), read_attributes(old), storage_of(old))
                    copy_samples(old, new, n_keep)
            except DAMAGE as error:
                raise DataError(f"cannot resume {part}: {error}", fix="start again with --force") from error
        return cls(path)

    def append(
        self,
        *,
        displacements: np.ndarray,
        velocities: np.ndarray,
        potential_energies: np.ndarray,
        kinetic_energies: np.ndarray,
        steps: np.ndarray,
        strains: np.ndarray | None = None,
    ) -> None:
        """Add samples and flush them to the file.

        Parameters
        ----------
        displacements : ndarray, shape (n_samples, n_atoms, 3), Å
        velocities : ndarray, shape (n_samples, n_atoms, 3), Å/fs
            Left out where they are not to be kept.
        potential_energies, kinetic_energies : ndarray, shape (n_samples,), eV
        steps : ndarray of int, shape (n_samples,)
        strains : ndarray, shape (n_samples, 3, 3), optional
            None: zeros.

        Raises
        ------
        DataError
            If a shape is wrong or the disk is full.
        """
        samples = {
            "displacements": displacements,
            "velocities": velocities,
            "potential_energies": potential_energies,
            "kinetic_energies": kinetic_energies,
            PER_CELL: np.zeros((len(steps), 3, 3)) if strains is None else strains,
        }
        for name, values in samples.items():
            if name not in self._file:
                continue
            check_shape(name, values, (len(steps), *self._file[name].shape[1:]))
        require_space(self.path.parent, sum(np.asarray(values).nbytes for values in samples.values()))
        try:
            add_samples(self._file, {**samples, "steps": np.asarray(steps)})
        except OSError as error:
            raise DataError(
                f"cannot write {part_path(self.path)}: {error}", fix="free some disk space"
            ) from error

    def finish(self) -> None:
        """Close the file and give it its final name."""
        self.close()
        part = part_path(self.path)
        sync_path(part)
        part.replace(self.path)
        sync_path(self.path.parent)

    def close(self) -> None:
        """Close the file and leave it under its part name, to be resumed."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def check_trajectory(path: Path) -> np.ndarray:
    """Read a trajectory through and return the steps of its samples.

    Raises
    ------
    DataError
        If the file is missing or damaged.
    """
    with open_trajectory(path) as file, damage_told(path):
        steps, rows = read_valid_steps(file), block_length(file)
        for start in range(0, len(steps), rows):
            read_samples(file, slice(start, min(start + rows, len(steps))))
    return steps


def part_path(path: Path) -> Path:
    """Return the name that the unfinished trajectory ``path`` has: ``trajectory.part.h5``."""
    return path.with_name(f"{path.stem}.part{path.suffix}")


def read_trajectory(path: Path, *, samples: slice = slice(None)) -> Trajectory:
    """Read a finished or unfinished trajectory.

    Parameters
    ----------
    path : Path
        The file itself, also a part file that is being written.
    samples : slice
        Which samples to read, with a positive step; negative bounds count from the end.

    Raises
    ------
    DataError
        If the file is missing, damaged, of another format, or newer than this program.
    """
    with open_trajectory(path) as file, damage_told(path):
        steps = read_valid_steps(file)
        start, stop, stride = samples.indices(len(steps))
        return _read(file, slice(start, max(start, stop), stride))


def read_blocks(path: Path, *, stride: int = 1) -> Iterator[Trajectory]:
    """Read a trajectory piece by piece, each of about 64 MB or one sample.

    Parameters
    ----------
    path : Path
        As that of `read_trajectory`.
    stride : int
        Every so many samples one is read, beginning with the first.

    Raises
    ------
    DataError
        As `read_trajectory`; where a sample is damaged, after those before it.
    """
    with open_trajectory(path) as file, damage_told(path):
        n_samples, length = len(read_valid_steps(file)), stride * block_length(file)
        for start in range(0, n_samples, length):
            yield _read(file, slice(start, min(start + length, n_samples), stride))


def _read(file: h5py.File, rows: slice) -> Trajectory:
    samples = read_samples(file, rows)
    kept: dict[str, Any] = {"velocities": None, **samples}
    for name in PER_ATOM:
        if name in samples:
            kept[name] = samples[name].astype(float)
    return Trajectory(**read_header(file), attributes=read_attributes(file), **kept)
