"""Sums over the rows of data that grow, bin by bin.

Rows are added in pieces whose ends depend on the number of rows alone, so that sums that grew with the data
have the same bytes as sums that were made at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg.blas import dsyrk

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

BinKey = tuple[int, int, int]
"""What stands for a bin whatever the other data are: its places on both scales, and the kind of its rows."""

_ROWS_PER_COLUMN = 2


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

    @classmethod
    def zero(cls, n_parameters: int) -> ColumnSums:
        """Sums over no rows."""
        return cls(np.zeros((n_parameters, n_parameters), order="F"), np.zeros(n_parameters))

    def copy(self) -> ColumnSums:
        """Return sums that grow on their own."""
        return ColumnSums(self.gram.copy(order="F"), self.moment.copy(), self.target_sq, self.n_targets)

    def add(self, design: NDArray[np.float64], targets: NDArray[np.float64]) -> None:
        """Add rows."""
        self.gram = dsyrk(1.0, design.T, beta=1.0, c=self.gram, lower=1, overwrite_c=1)
        self.moment += targets @ design
        self.target_sq += float(targets @ targets)
        self.n_targets += len(targets)


class GrowingSums:
    """Sums over the rows of the first frames, one for each bin.

    Parameters
    ----------
    scale : ndarray, shape (n_parameters,)
        What the columns are divided by.
    widths : tuple of float
        Of the bins; other widths, and another scale, need other sums.
    """

    def __init__(self, scale: NDArray[np.float64], widths: tuple[float, float]) -> None:
        self._scale = scale
        self._widths = widths
        self._sums: dict[BinKey, ColumnSums] = {}
        self._n_frames = 0

    def serves(self, scale: NDArray[np.float64], widths: tuple[float, float], n_frames: int) -> bool:
        """Whether the sums are of columns and bins like these, and of no more frames."""
        has_units = self._widths == widths and np.array_equal(self._scale, scale)
        return has_units and self._n_frames <= n_frames

    def up_to(
        self,
        rows_of: Callable[[int], tuple[NDArray[np.float64], NDArray[np.float64]]],
        labels: Sequence[NDArray[np.int64]],
        keys: Sequence[BinKey],
    ) -> dict[BinKey, ColumnSums]:
        """Sums over the rows of all frames that have labels; not to be changed.

        Parameters
        ----------
        rows_of : callable
            Design and targets of a frame by its number, called once for each frame that is not in the sums
            yet, or is at the end of the data.
        labels : sequence of ndarray, each of shape (n_rows,)
            Bin of each row of each frame.
        keys : sequence of BinKey
        """
        n_together = max(1, -(-_ROWS_PER_COLUMN * len(self._scale) // len(labels[0])))
        while self._n_frames + n_together <= len(labels):
            here = range(self._n_frames, self._n_frames + n_together)
            self._add(self._sums, here, rows_of, labels, keys)
            self._n_frames = here.stop
        rest = range(self._n_frames, len(labels))
        if not rest:
            return dict(self._sums)
        used = np.unique(np.concatenate([labels[k] for k in rest])).tolist()
        copies = {keys[k]: self._sums[keys[k]].copy() for k in used if keys[k] in self._sums}
        self._add(copies, rest, rows_of, labels, keys)
        return {**self._sums, **copies}

    def _add(
        self,
        sums: dict[BinKey, ColumnSums],
        frames: range,
        rows_of: Callable[[int], tuple[NDArray[np.float64], NDArray[np.float64]]],
        labels: Sequence[NDArray[np.int64]],
        keys: Sequence[BinKey],
    ) -> None:
        """Add the rows of frames together, bin by bin."""
        designs, targets = zip(*(rows_of(k) for k in frames), strict=True)
        joined = np.concatenate([labels[k] for k in frames])
        order = np.argsort(joined, kind="stable")
        places = np.empty_like(order)
        places[order] = np.arange(len(order))
        rows = np.empty((len(order), len(self._scale)))
        for design, here in zip(
            designs, np.split(places, np.cumsum([len(d) for d in designs])[:-1]), strict=True
        ):
            rows[here] = design / self._scale
        wanted = np.concatenate(targets)[order]
        found, starts = np.unique(joined[order], return_index=True)
        for label, start, stop in zip(found.tolist(), starts, [*starts[1:], len(rows)], strict=True):
            key = keys[label]
            if key not in sums:
                sums[key] = ColumnSums.zero(len(self._scale))
            sums[key].add(rows[start:stop], wanted[start:stop])
