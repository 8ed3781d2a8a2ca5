"""The state that a molecular dynamics run goes on from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import h5py
import numpy as np

from mlff_dyn.errors import DataError
from mlff_dyn.kernels.dynamics import MdState
from mlff_dyn.md.barostat import CellState
from mlff_dyn.store.atomic import atomic_write

if TYPE_CHECKING:
    from pathlib import Path

_CELL_NUMBERS = ("step_size", "n_moves", "n_accepted")

FORMAT, VERSION = "mlff-dyn checkpoint", 1


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
    with atomic_write(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs["format"] = FORMAT
        file.attrs["version"] = VERSION
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
    if not path.exists():
        return None
    fix = "start again with --force"
    try:
        with h5py.File(path, "r") as file:
            found = (file.attrs.get("format"), file.attrs.get("version"))
            if found != (FORMAT, VERSION):
                raise DataError(f"{path} holds {found}, not {(FORMAT, VERSION)}", fix=fix)
            return Checkpoint(
                identity=str(file.attrs["identity"]),
                step=int(file.attrs["step"]),
                seconds=float(file.attrs["seconds"]),
                state=MdState(file["displacements"][()], file["velocities"][()], file["rng"][()]),
                cell=_read_cell(file),
            )
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        raise DataError(f"{path} is damaged or not HDF5: {error}", fix=fix) from None


def _read_cell(file: h5py.File) -> CellState | None:
    if "strain" not in file:
        return None
    step_size, n_moves, n_accepted = (file.attrs[name] for name in _CELL_NUMBERS)
    return CellState(file["strain"][()], float(step_size), int(n_moves), int(n_accepted))
