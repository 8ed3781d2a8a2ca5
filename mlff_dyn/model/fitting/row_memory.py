"""What the fits of growing data have in common: rows, their sums, and where the searches ended.

Snapshots are added one after the other, and each fit sums the rows of all of them. Sums of groups of
snapshots, cut by their numbers alone, are therefore kept and added to in the order of the data, so that a fit
gives the same bytes whether its sums grew with the data or were made at once.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg.blas import dsyrk

from mlff_dyn.model.fitting.labelled_frame import stress_design

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mlff_dyn.model.fitting.labelled_frame import LabelledRows
    from mlff_dyn.regression.fit.evidence import Hyperparameters

_MOST_BYTES = 2**28
_ROWS_PER_COLUMN = 2

Key = tuple[int, int, int]


@dataclass
class ColumnSums:
    """Sums over rows that still grow.

    Attributes
    ----------
    gram : ndarray, shape (n_parameters, n_parameters)     on and below the diagonal, Fortran order
    moment : ndarray, shape (n_parameters,)
    target_sq : float
    n_targets : int
    """

    gram: NDArray[np.float64]
    moment: NDArray[np.float64]
    target_sq: float = 0.0
    n_targets: int = 0

    def copy(self) -> ColumnSums:
        """Return sums that grow on their own."""
        gram = self.gram.copy(order="F")
        return ColumnSums(gram, self.moment.copy(), self.target_sq, self.n_targets)

    def add(self, design: NDArray[np.float64], targets: NDArray[np.float64]) -> None:
        """Add rows."""
        self.gram = dsyrk(1.0, design.T, beta=1.0, c=self.gram, lower=1, overwrite_c=1)
        self.moment += targets @ design
        self.target_sq += float(targets @ targets)
        self.n_targets += len(targets)


@dataclass
class _Kept:
    """Sums over the first snapshots."""

    basis: tuple[bytes, tuple[float, float]]
    frames: list[LabelledRows] = field(default_factory=list)
    sums: dict[Key, ColumnSums] = field(default_factory=dict)


class RowMemory:
    """Rows of the snapshots used last, sums over all, and hyperparameters of fits to the first ones.

    Belongs to one basis and one kind of fit. Results do not depend on what it holds.

    Parameters
    ----------
    most_bytes : int
        Of the rows; a snapshot whose rows alone take more is not kept.
    is_for_one_fit : bool
        No more data will come, which spares a copy of the sums.
    """

    def __init__(self, most_bytes: int = _MOST_BYTES, *, is_for_one_fit: bool = False) -> None:
        self._most_bytes = most_bytes
        self._is_for_one_fit = is_for_one_fit
        self._bytes = 0
        self._rows: OrderedDict[int, tuple[LabelledRows, NDArray[np.float64]]] = OrderedDict()
        self._energies: dict[int, tuple[LabelledRows, NDArray[np.float64]]] = {}
        self._stresses: dict[int, tuple[LabelledRows, NDArray[np.float64]]] = {}
        self._kept: _Kept | None = None
        self._starts: dict[int, tuple[tuple[LabelledRows, ...], Hyperparameters]] = {}

    def force_rows(self, frame: LabelledRows) -> NDArray[np.float64]:
        """Rows of the forces, shape (3 * n_atoms, n_parameters); not to be changed."""
        found = self._rows.get(id(frame))
        if found is not None:
            self._rows.move_to_end(id(frame))
            return found[1]
        rows, energy = frame.supercell.rows(frame.displacements)
        self._energies[id(frame)] = (frame, energy)
        self._rows[id(frame)] = (frame, rows)
        self._bytes += rows.nbytes
        while self._bytes > self._most_bytes:
            self._bytes -= self._rows.popitem(last=False)[1][1].nbytes
        return rows

    def energy_row(self, frame: LabelledRows) -> NDArray[np.float64]:
        """Row of the energy, shape (n_parameters,)."""
        if id(frame) not in self._energies:
            self.force_rows(frame)
        return self._energies[id(frame)][1]

    def stress_rows(self, frame: LabelledRows) -> NDArray[np.float64]:
        """Rows of the stress, shape (6, n_parameters); see `stress_design`."""
        if id(frame) not in self._stresses:
            rows = stress_design(frame.supercell, frame.displacements, self.force_rows(frame))
            self._stresses[id(frame)] = (frame, rows)
        return self._stresses[id(frame)][1]

    def sums(
        self,
        frames: Sequence[LabelledRows],
        labels: Sequence[NDArray[np.int64]],
        keys: Sequence[Key],
        units: tuple[NDArray[np.float64], tuple[float, float]],
    ) -> dict[Key, ColumnSums]:
        """Sums over the rows of the forces by bin; not to be changed.

        Parameters
        ----------
        frames : sequence of LabelledRows
        labels : sequence of ndarray, each of shape (3 * n_atoms,)
            Bin of each row.
        keys : sequence
            What stands for a bin whatever the other data are.
        units : tuple
            What the columns are divided by, shape (n_parameters,), and the widths of the bins.
        """
        scale, widths = units
        basis = (scale.tobytes(), widths)
        kept = self._kept
        if kept is None or kept.basis != basis or not _begins_with(frames, kept.frames):
            kept = self._kept = _Kept(basis)
        n_together = max(1, -(-_ROWS_PER_COLUMN * len(scale) // len(frames[0].forces)))
        done = len(kept.frames)
        while done + n_together <= len(frames):
            here = slice(done, done + n_together)
            self._add(kept.sums, frames[here], labels[here], keys, scale)
            kept.frames += frames[here]
            done += n_together
        if done < len(frames) and self._is_for_one_fit:
            self._add(kept.sums, frames[done:], labels[done:], keys, scale)
            kept.frames += frames[done:]
        if len(kept.frames) == len(frames):
            return kept.sums
        used = np.unique(np.concatenate(labels[done:])).tolist()
        copies = {keys[k]: kept.sums[keys[k]].copy() for k in used if keys[k] in kept.sums}
        self._add(copies, frames[done:], labels[done:], keys, scale)
        return {**kept.sums, **copies}

    def _add(
        self,
        sums: dict[Key, ColumnSums],
        frames: Sequence[LabelledRows],
        labels: Sequence[NDArray[np.int64]],
        keys: Sequence[Key],
        scale: NDArray[np.float64],
    ) -> None:
        """Add the rows of snapshots together, bin by bin."""
        joined = np.concatenate(labels)
        order = np.argsort(joined, kind="stable")
        designs = [self.force_rows(frame) for frame in frames]
        rows = (designs[0] if len(designs) == 1 else np.concatenate(designs))[order]
        rows /= scale
        targets = np.concatenate([frame.targets.forces for frame in frames])[order]
        found, starts = np.unique(joined[order], return_index=True)
        n = len(scale)
        for label, start, stop in zip(found.tolist(), starts, [*starts[1:], len(rows)], strict=True):
            if keys[label] not in sums:
                sums[keys[label]] = ColumnSums(np.zeros((n, n), order="F"), np.zeros(n))
            sums[keys[label]].add(rows[start:stop], targets[start:stop])

    def start(self, frames: Sequence[LabelledRows]) -> Hyperparameters | None:
        """Hyperparameters of a fit to exactly these snapshots, if it is remembered."""
        found = self._starts.get(len(frames))
        if found is None or not _begins_with(frames, found[0]):
            return None
        return found[1]

    def remember(self, frames: Sequence[LabelledRows], hyperparameters: Hyperparameters) -> None:
        """Keep the hyperparameters of a fit."""
        self._starts[len(frames)] = (tuple(frames), hyperparameters)


def _begins_with(frames: Sequence[LabelledRows], first: Sequence[LabelledRows]) -> bool:
    return len(first) <= len(frames) and all(a is b for a, b in zip(first, frames, strict=False))
