"""Trajectories that go on through refits: where they are, for each number of structures chosen so far.

What a command chooses next depends only on what has been chosen, so a file for each such number lets a killed
command go on from the very same states. Files that nothing can go back to any more are removed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.kernels.dynamics import MdState
from mlff_dyn.md.barostat import CellState
from mlff_dyn.store.sealed_file import SealedFormat, read_array, read_sealed, write_sealed
from mlff_dyn.training.exploration import TrajectoryState

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import h5py

FORMAT = SealedFormat(
    "mlff-dyn ongoing trajectories", version=1, sealed_since=1, fix="remove it; the trajectories start anew"
)
_MD = ("displacements", "velocities", "rng")
_CELL = ("step_size", "n_moves", "n_accepted")


class OngoingTrajectories:
    """States of trajectories in a folder, by name.

    Parameters
    ----------
    folder : Path
    identity : str
        Digest of what the trajectories belong to; those of another one do not count.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        self._folder = folder
        self._identity = identity

    def at(self, n_chosen: int) -> dict[str, TrajectoryState]:
        """States after a number of structures were chosen, by the names of their trajectories.

        Raises
        ------
        DataError
            If the file is damaged.
        """
        path = self._path(n_chosen)
        return read_sealed(path, FORMAT, self._read) if path.exists() else {}

    def keep(self, n_chosen: int, states: Mapping[str, TrajectoryState], *, oldest: int) -> None:
        """Write the states after a number of structures were chosen.

        Parameters
        ----------
        n_chosen : int
        states : mapping of str to TrajectoryState
        oldest : int
            Smallest number that a later command may have to go back to.

        Raises
        ------
        DataError
            If the file cannot be written.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with write_sealed(self._path(n_chosen)) as file:
            FORMAT.stamp(file)
            file.attrs["identity"] = self._identity
            for name, state in states.items():
                group = file.create_group(name)
                group.attrs["n_steps"] = state.n_steps
                for key in _MD:
                    group[key] = getattr(state.md, key)
                group["recent"] = np.array(state.recent, float)
                group["after_refits"] = np.array(state.after_refits, float)
                if state.cell is not None:
                    group["strain"] = state.cell.strain
                    for key in _CELL:
                        group.attrs[key] = getattr(state.cell, key)
        for path in self._folder.glob("*.h5"):
            if path.stem.isdecimal() and int(path.stem) < oldest:
                path.unlink(missing_ok=True)

    def _path(self, n_chosen: int) -> Path:
        return self._folder / f"{n_chosen:04d}.h5"

    def _read(self, file: h5py.File) -> dict[str, TrajectoryState]:
        if str(file.attrs["identity"]) != self._identity:
            return {}
        return {
            str(name): TrajectoryState(
                md=MdState(*(read_array(group[key]) for key in _MD)),
                n_steps=int(group.attrs["n_steps"]),
                recent=tuple(read_array(group["recent"]).tolist()),
                after_refits=tuple(read_array(group["after_refits"]).tolist()),
                cell=_read_cell(group) if "strain" in group else None,
            )
            for name, group in file.items()
        }


def _read_cell(group: h5py.Group) -> CellState:
    step_size, n_moves, n_accepted = (group.attrs[key] for key in _CELL)
    return CellState(read_array(group["strain"]), float(step_size), int(n_moves), int(n_accepted))
