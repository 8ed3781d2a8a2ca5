"""The state that a molecular dynamics run goes on from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.kernels.dynamics import MdState
from mlff_dyn.md.barostat import CellState
from mlff_dyn.store.sealed_file import SealedFormat, read_array, read_sealed, write_sealed

if TYPE_CHECKING:
    from pathlib import Path

    import h5py

_CELL_NUMBERS = ("step_size", "n_moves", "n_accepted")

FORMAT = SealedFormat("mlff-dyn checkpoint", version=2, sealed_since=2, fix="start again with --force")


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Where a run is.

    Attributes
    ----------
    identity : str       digest of all that the run depends on but its length
    step : int           steps made
    seconds : float      wall time spent in dynamics
    state : MdState
    cell : CellState or None     of a run at constant pressure
    """

    identity: str
    step: int
    seconds: float
    state: MdState
    cell: CellState | None = None


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Replace the checkpoint, whole or not at all.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    with write_sealed(path) as file:
        FORMAT.stamp(file)
        file.attrs["identity"] = checkpoint.identity
        file.attrs["step"] = checkpoint.step
        file.attrs["seconds"] = checkpoint.seconds
        file["displacements"] = checkpoint.state.displacements
        file["velocities"] = checkpoint.state.velocities
        file["rng"] = np.asarray(checkpoint.state.rng, np.uint64)
        if checkpoint.cell is not None:
            file["strain"] = checkpoint.cell.strain
            for name in _CELL_NUMBERS:
                file.attrs[name] = getattr(checkpoint.cell, name)


def read_checkpoint(path: Path) -> Checkpoint | None:
    """Read a checkpoint; None if there is none.

    Raises
    ------
    DataError
        If the file is damaged or of another format or version.
    """
    return read_sealed(path, FORMAT, _read_checkpoint) if path.exists() else None


def _read_checkpoint(file: h5py.File) -> Checkpoint:
    return Checkpoint(
        identity=str(file.attrs["identity"]),
        step=int(file.attrs["step"]),
        seconds=float(file.attrs["seconds"]),
        state=MdState(*(read_array(file[name]) for name in ("displacements", "velocities", "rng"))),
        cell=_read_cell(file),
    )


def _read_cell(file: h5py.File) -> CellState | None:
    if "strain" not in file:
        return None
    step_size, n_moves, n_accepted = (file.attrs[name] for name in _CELL_NUMBERS)
    return CellState(read_array(file["strain"]), float(step_size), int(n_moves), int(n_accepted))
