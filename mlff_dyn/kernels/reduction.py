"""From columns of the design matrix (orbit parameters) to fewer, independent ones, as a sparse matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import check_shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Reduction:
    """Sparse matrix by columns: reduced column q = sum of weights * full columns.

    Attributes
    ----------
    n_rows : int
        Full columns.
    starts : ndarray, shape (n_columns + 1,), int32
        Entries of each reduced column.
    rows : ndarray, shape (n_entries,), int32
    weights : ndarray, shape (n_entries,)
    """

    n_rows: int
    starts: NDArray[np.int32]
    rows: NDArray[np.int32]
    weights: NDArray[np.float64]

    @property
    def n_columns(self) -> int:
        """Reduced columns."""
        return len(self.starts) - 1

    @property
    def arrays(self) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]:
        """Starts, rows and weights."""
        return self.starts, self.rows, self.weights

    def dense(self) -> NDArray[np.float64]:
        """The matrix, shape (n_rows, n_columns)."""
        matrix = np.zeros((self.n_rows, self.n_columns))
        matrix[self.rows, np.repeat(np.arange(self.n_columns), np.diff(self.starts))] = self.weights
        return matrix


def block_reduction(blocks: Sequence[NDArray[np.float64]]) -> Reduction:
    """Reduction with dense blocks along its diagonal; zeros inside the blocks are left out.

    Parameters
    ----------
    blocks : sequence of ndarray, shapes (n_rows_k, n_columns_k)

    Returns
    -------
    Reduction
    """
    rows, counts, weights = [], [], []
    first = 0
    for block in blocks:
        columns, own_rows = np.nonzero(block.T)
        rows.append(first + own_rows)
        counts.append(np.bincount(columns, minlength=block.shape[1]))
        weights.append(block.T[columns, own_rows])
        first += len(block)
    ends = np.cumsum(np.concatenate([np.empty(0, np.int64), *counts]))
    return Reduction(
        n_rows=first,
        starts=np.concatenate([[0], ends]).astype(np.int32),
        rows=np.concatenate([np.empty(0, np.int64), *rows]).astype(np.int32),
        weights=np.concatenate([np.empty(0), *weights]),
    )


def check_rows(n_parameters: int, reduction: Reduction, factor: NDArray[np.float64] | None = None) -> None:
    """Refuse a reduction that does not fit the tables, or a factor that does not fit the reduction.

    Parameters
    ----------
    n_parameters : int
        Columns of the design matrix.
    reduction : Reduction
    factor : ndarray, shape (reduction.n_columns, any), optional

    Raises
    ------
    DataError
    """
    check_shape("reduction", np.empty((reduction.n_rows, 0)), (n_parameters, 0))
    if factor is not None:
        check_shape("factor", factor, (reduction.n_columns, None))
