"""From columns of the design matrix (orbit parameters) to fewer, independent ones, as a sparse matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import check_shape

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray


PANEL_WIDTH = 4
_MOST_FILL = 1.5


@dataclass(frozen=True, eq=False)
class Reduction:
    """Sparse matrix by panels of neighboring columns: reduced column = sum of weights * full columns.

    Columns of a panel have their entries in the same rows, so that each full column is read once for all.

    Attributes
    ----------
    n_rows : int
        Full columns.
    widths : ndarray, shape (n_panels,), int32
        Columns of each panel, `PANEL_WIDTH` or one.
    starts : ndarray, shape (n_panels + 1,), int32
        Rows of each panel.
    rows : ndarray, shape (starts[-1],), int32
    weights : ndarray, shape (n_entries,)
        Panel by panel, row by row.
    """

    n_rows: int
    widths: NDArray[np.int32]
    starts: NDArray[np.int32]
    rows: NDArray[np.int32]
    weights: NDArray[np.float64]

    @property
    def n_columns(self) -> int:
        """Reduced columns."""
        return int(self.widths.sum())

    @property
    def arrays(self) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]:
        """Widths, starts, rows and weights."""
        return self.widths, self.starts, self.rows, self.weights

    def dense(self) -> NDArray[np.float64]:
        """The matrix, shape (n_rows, n_columns)."""
        matrix = np.zeros((self.n_rows, self.n_columns))
        column = entry = 0
        for width, start, stop in zip(self.widths, self.starts[:-1], self.starts[1:], strict=True):
            end = entry + width * (stop - start)
            matrix[self.rows[start:stop], column : column + width] = self.weights[entry:end].reshape(
                -1, width
            )
            column, entry = column + width, end
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
    widths, rows, weights = [], [], []
    first = 0
    for block in blocks:
        for panel in _panels(block):
            own_rows = np.flatnonzero(panel.any(axis=1))
            widths.append(panel.shape[1])
            rows.append(first + own_rows)
            weights.append(panel[own_rows].ravel())
        first += len(block)
    return Reduction(
        n_rows=first,
        widths=np.array(widths, np.int32),
        starts=np.cumsum([0, *map(len, rows)]).astype(np.int32),
        rows=np.concatenate([np.empty(0, np.int64), *rows]).astype(np.int32),
        weights=np.concatenate([np.empty(0), *weights]),
    )


def _panels(block: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
    """Columns, side by side where that stores few zeros."""
    filled = block != 0.0
    column = 0
    while column < block.shape[1]:
        members = slice(column, column + PANEL_WIDTH)
        n_stored = PANEL_WIDTH * int(filled[:, members].any(axis=1).sum())
        is_wide = members.stop <= block.shape[1] and n_stored <= _MOST_FILL * filled[:, members].sum()
        width = PANEL_WIDTH if is_wide else 1
        yield block[:, column : column + width]
        column += width


def check_rows(
    n_parameters: int,
    reduction: Reduction,
    factor: NDArray[np.float64] | None = None,
    n_further: int = 0,
) -> None:
    """Refuse a reduction that does not fit the tables, or a factor that does not fit the reduction.

    Parameters
    ----------
    n_parameters : int
        Columns of the design matrix.
    reduction : Reduction
    factor : ndarray, shape (reduction.n_columns + n_further, any), optional
    n_further : int
        Parameters that the reduction does not know.

    Raises
    ------
    DataError
    """
    check_shape("reduction", np.empty((reduction.n_rows, 0)), (n_parameters, 0))
    if factor is not None:
        check_shape("factor", factor, (reduction.n_columns + n_further, None))
