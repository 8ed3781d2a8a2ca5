"""Rows whose noise is nearly the same, added up: few statistics that stand for many rows.

The noise of a row depends on the amplitude of its frame and of its neighborhood. Both are sorted into bins on
logarithmic scales; where the bins would take too much memory, wider ones are used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.regression.data.conditions import Conditions

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FRAME_WIDTH = 0.05
_RATIO_WIDTH = 0.15
_WIDENING = 1.3
_MOST_BYTES = 2**28
_MOST_BINS = 100


@dataclass(frozen=True, eq=False)
class Binning:
    """Rows sorted into bins.

    Attributes
    ----------
    labels : ndarray of int, shape (n_rows,)     bin of each row
    centers : Conditions                         of each bin
    keys : ndarray of int, shape (n_bins, 3)     places of amplitude and ratio on their scales, and the kind
    widths : tuple of float                      of the bins on the two logarithmic scales
    """

    labels: NDArray[np.int64]
    centers: Conditions
    keys: NDArray[np.int64]
    widths: tuple[float, float]

    def __len__(self) -> int:
        """Number of bins."""
        return len(self.centers.amplitudes)


def bin_rows(conditions: Conditions, n_parameters: int) -> Binning:
    """Sort rows into bins.

    Parameters
    ----------
    conditions : Conditions, of n_rows
    n_parameters : int
        Columns of the rows, whose square each bin holds in memory.
    """
    most = max(1, min(_MOST_BINS, _MOST_BYTES // (8 * n_parameters**2)))
    logs = np.log(np.maximum([conditions.amplitudes, conditions.ratios], 1e-12))
    widths = np.array([_FRAME_WIDTH, _RATIO_WIDTH])
    floor = len(np.unique(conditions.kinds))
    while True:
        keys = np.vstack([np.rint(logs / widths[:, None]), conditions.kinds]).astype(np.int64)
        low = keys.min(axis=1, keepdims=True)
        spans = keys.max(axis=1, keepdims=True) - low + 1
        codes = np.ravel_multi_index(tuple(keys - low), tuple(spans.ravel()))
        first, labels = np.unique(codes, return_index=True, return_inverse=True)[1:]
        if len(first) <= max(most, floor):
            break
        widths *= _WIDENING
    found = keys[:, first]
    counts = np.bincount(labels)
    amplitudes, ratios = (np.exp(np.bincount(labels, weights=log) / counts) for log in logs)
    return Binning(
        labels.astype(np.int64),
        Conditions(amplitudes, ratios, found[2]),
        found.T,
        (float(widths[0]), float(widths[1])),
    )
