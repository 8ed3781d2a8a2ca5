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


@dataclass(frozen=True)
class BinWidths:
    """How finely rows are sorted, by convention: noise within a bin differs by less than it can be known.

    Attributes
    ----------
    amplitude, ratio : float
        Widths of the bins, natural logarithm of the amplitude of a frame and of the neighborhood's ratio.
    widening : float
        Factor on both where there are too many bins.
    most_bins : int
    most_bytes : int
        Memory that the sums of all bins may take.
    """

    amplitude: float = 0.05
    ratio: float = 0.15
    widening: float = 1.3
    most_bins: int = 100
    most_bytes: int = 2**28


BIN_WIDTHS = BinWidths()


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


def bin_rows(conditions: Conditions, n_parameters: int, limits: BinWidths = BIN_WIDTHS) -> Binning:
    """Sort rows into bins.

    Parameters
    ----------
    conditions : Conditions, of n_rows
    n_parameters : int
        Columns of the rows, whose square each bin holds in memory.
    limits : BinWidths
    """
    most = max(1, min(limits.most_bins, limits.most_bytes // (8 * n_parameters**2)))
    logs = np.log(np.maximum([conditions.amplitudes, conditions.ratios], 1e-12))
    widths = np.array([limits.amplitude, limits.ratio])
    floor = len(np.unique(conditions.kinds))
    while True:
        keys = np.vstack([np.rint(logs / widths[:, None]), conditions.kinds]).astype(np.int64)
        low = keys.min(axis=1, keepdims=True)
        spans = keys.max(axis=1, keepdims=True) - low + 1
        codes = np.ravel_multi_index(tuple(keys - low), tuple(spans.ravel()))
        first, labels = np.unique(codes, return_index=True, return_inverse=True)[1:]
        if len(first) <= max(most, floor):
            break
        widths *= limits.widening
    found = keys[:, first]
    counts = np.bincount(labels)
    amplitudes, ratios = (np.exp(np.bincount(labels, weights=log) / counts) for log in logs)
    return Binning(
        labels.astype(np.int64),
        Conditions(amplitudes, ratios, found[2]),
        found.T,
        (float(widths[0]), float(widths[1])),
    )
