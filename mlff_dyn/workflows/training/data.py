"""Labelled snapshots of a run: the file, and the same snapshots as rows of the linear model."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import DataError
from mlff_dyn.store.dataset import Snapshot, read_snapshots, write_snapshots
from mlff_dyn.workflows.snapshots import frames_of_snapshots
from mlff_dyn.workflows.training.data_checks import check_frames
from mlff_dyn.workflows.training.outliers import ENERGY, FORCES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from mlff_dyn.model.expansion import Expansion
    from mlff_dyn.model.fitting.labelled_frame import FitOptions, LabelledFrame
    from mlff_dyn.store.provenance import Provenance
    from mlff_dyn.workflows.training.data_checks import DataFindings

OUTGROWN = "outgrown"
"""Mark of first structures that are not trained on any more, see `mlff_dyn.workflows.training.outgrown`."""


class TrainingData:
    """The snapshots of a dataset file, in its order.

    The file holds every bit of a number, so a resumed run sees the same frames as one that was never
    interrupted.

    Parameters
    ----------
    path : Path
        Dataset file; it may be missing.
    expansion : Expansion
    options : FitOptions
        What is fitted besides forces.

    Raises
    ------
    DataError
        If the file is damaged or a frame does not belong to the crystal; the message has its number.
    """

    def __init__(self, path: Path, expansion: Expansion, options: FitOptions) -> None:
        self._path = path
        self.options = options
        self._expansion = expansion
        self.snapshots: list[Snapshot] = list(read_snapshots(path)) if path.exists() else []
        self.rows: list[LabelledFrame] = frames_of_snapshots(path, self.snapshots, expansion)
        self.fitted: list[int] = []
        self._drop_energies()

    def __len__(self) -> int:
        """Number of snapshots."""
        return len(self.snapshots)

    @property
    def provenances(self) -> list[Provenance]:
        """Where each snapshot comes from."""
        return [snapshot.provenance for snapshot in self.snapshots]

    @property
    def n_calculations(self) -> int:
        """Snapshots that an engine labelled for this run."""
        return sum(snapshot.provenance.is_calculation for snapshot in self.snapshots)

    def findings(self) -> DataFindings:
        """Check the snapshots.

        Raises
        ------
        DataError
            If one cannot be right.
        """
        return check_frames(self._path, self.snapshots, self.rows, uses_stress=self.options.stress)

    def fit_rows(self) -> list[LabelledFrame]:
        """Rows to fit: none twice or set aside, and energies of several zeros told apart.

        Their numbers are in ``fitted`` then.

        Raises
        ------
        DataError
            If a snapshot cannot be right.
        """
        found = self.findings()
        self.rows = found.with_origins(self.rows)
        marks = [snapshot.provenance.set_aside for snapshot in self.snapshots]
        aside = {k for k, mark in enumerate(marks) if mark in (FORCES, OUTGROWN)}
        self.fitted = [k for k in range(len(self.rows)) if k not in found.repeated and k not in aside]
        return [self.rows[k] for k in self.fitted]

    def set_aside(self, labels: Mapping[int, tuple[str, str]]) -> None:
        """Mark labels of snapshots, in the file too, that are not to be trained on: which, and why."""
        for k, (label, because) in labels.items():
            marked = replace(self.snapshots[k].provenance, set_aside=label, set_aside_because=because)
            self.snapshots[k] = replace(self.snapshots[k], provenance=marked)
        write_snapshots(self._path, self.snapshots)
        self._drop_energies()

    def _drop_energies(self) -> None:
        for k, snapshot in enumerate(self.snapshots):
            if snapshot.provenance.set_aside == ENERGY and self.rows[k].energy_ev is not None:
                self.rows[k] = replace(self.rows[k], energy_ev=None)

    def frames_of(self, snapshots: Sequence[Snapshot]) -> list[LabelledFrame]:
        """Labelled frames of snapshots that may be appended.

        Raises
        ------
        DataError
            If one does not belong to the crystal.
        """
        return frames_of_snapshots(self._path, snapshots, self._expansion, first=len(self.snapshots))

    def append(self, snapshots: Sequence[Snapshot], frames: Sequence[LabelledFrame]) -> None:
        """Add snapshots to the file, all or none, and their frames."""
        write_snapshots(self._path, [*self.snapshots, *snapshots])
        self.rows += frames
        self.snapshots += read_snapshots(self._path)[len(self.snapshots) :]

    def start_from(self, snapshots: Sequence[Snapshot], frames: Sequence[LabelledFrame]) -> None:
        """Put labelled snapshots of the user at the beginning; new ones may follow those of an earlier call.

        They are not calculations of this run, whoever labelled them.

        Raises
        ------
        DataError
            If the file begins with other snapshots, or calculations follow that would come before new ones.
        """
        given = [replace(snapshot, provenance=snapshot.provenance.as_given()) for snapshot in snapshots]
        n_common = min(len(given), len(self.snapshots))
        same = all(map(_same_structure, self.snapshots[:n_common], given[:n_common]))
        if not same or (self.n_calculations and len(given) > len(self.snapshots)):
            raise DataError(
                f"{self._path} already holds other snapshots than the ones of --dataset",
                fix="leave --dataset out to go on, or choose another --run-dir",
            )
        if len(given) > len(self.snapshots):
            self.append(given[n_common:], frames[n_common:])


def _same_structure(a: Snapshot, b: Snapshot) -> bool:
    return (
        np.array_equal(a.numbers, b.numbers)
        and np.allclose(a.positions, b.positions, atol=1e-6)
        and np.allclose(a.cell, b.cell, atol=1e-6)
    )
