"""Data of a linear model in square-root form: the triangle R of a QR decomposition of the rows [X y].

RᵀR = [X y]ᵀ[X y], so R holds what XᵀX, Xᵀy and yᵀy hold, with the condition of X instead of its square and
without differences of large sums: |y - X w|² = |R [w; -1]|². Triangles of two data sets are merged by the QR
decomposition of one on top of the other.

References
----------
Golub and Van Loan, Matrix Computations, 4th ed. (2013), sections 5.2 and 6.5: QR decomposition, adding rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg.lapack import dgeqrf, dtpqrt

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

_BLOCK = 32


@dataclass(frozen=True, eq=False)
class RootStatistics:
    """Rows [X y], or as few that stand for them.

    Attributes
    ----------
    root : ndarray, shape (n_rows, n_parameters + 1)
        Upper triangular if there are as many rows as columns, else the data themselves.
    n_targets : int
        Rows of the data.
    """

    root: NDArray[np.float64]
    n_targets: int

    @property
    def n_parameters(self) -> int:
        """Number of columns of X."""
        return int(self.root.shape[1]) - 1

    def __add__(self, other: RootStatistics) -> RootStatistics:
        """Both data sets together."""
        return RootStatistics(_joined(self.root, other.root), self.n_targets + other.n_targets)

    def rest(self, parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return a vector e, shape (n_rows,), that stands for the residuals y - X w.

        |e| = |y - X w| and Rᵀe = Xᵀ(y - X w), R without its last column.
        """
        return self.root[:, -1] - self.root[:, :-1] @ parameters

    def shifted(self, center: NDArray[np.float64]) -> RootStatistics:
        """Return the same rows with what given parameters leave of the targets."""
        root = np.column_stack([self.root[:, :-1], self.rest(center)])
        return RootStatistics(root, self.n_targets)


def collect_roots(
    blocks: Iterable[tuple[int, NDArray[np.float64], NDArray[np.float64]]], n_groups: int, n_parameters: int
) -> tuple[RootStatistics, ...]:
    """Square-root form of groups of rows that come block by block.

    Parameters
    ----------
    blocks : iterable of (group, design, targets)
        Design of shape (n_rows, n_parameters), targets of shape (n_rows,).
    n_groups, n_parameters : int
    """
    streams = [_Stream(n_parameters + 1) for _ in range(n_groups)]
    for group, design, targets in blocks:
        streams[group].add(np.column_stack([design, targets]))
    return tuple(stream.finish() for stream in streams)


class _Stream:
    """Rows of one group, made a triangle whenever there are as many new ones as columns."""

    def __init__(self, n_columns: int) -> None:
        self._root = np.zeros((0, n_columns))
        self._new: list[NDArray[np.float64]] = []
        self._n_targets = 0

    def add(self, rows: NDArray[np.float64]) -> None:
        self._new.append(rows)
        self._n_targets += len(rows)
        if sum(map(len, self._new)) >= rows.shape[1]:
            self._merge()

    def finish(self) -> RootStatistics:
        self._merge()
        return RootStatistics(self._root, self._n_targets)

    def _merge(self) -> None:
        if self._new:
            self._root = _joined(self._root, np.concatenate(self._new))
            self._new = []


def _joined(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Few rows that stand for two sets of rows."""
    if _is_triangle(first):
        return add_to_triangle(first, second)
    if _is_triangle(second):
        return add_to_triangle(second, first)
    return _reduced(np.concatenate([first, second]))


def _is_triangle(rows: NDArray[np.float64]) -> bool:
    return len(rows) == rows.shape[1] and not np.tril(rows, -1).any()


def _reduced(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return triangle_of(rows) if len(rows) >= rows.shape[1] else rows


def triangle_of(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Upper triangle R, shape (n, n) in Fortran order, with RᵀR = rowsᵀ rows; of at least n rows."""
    n = rows.shape[1]
    if n == 0:
        return np.zeros((0, 0))
    return np.asfortranarray(np.triu(dgeqrf(rows, lwork=_BLOCK * n)[0][:n]))


def add_to_triangle(triangle: NDArray[np.float64], rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Upper triangle of a triangle with further rows below.

    Parameters
    ----------
    triangle : ndarray, shape (n, n)
    rows : ndarray, shape (any, n)
    """
    n = len(triangle)
    if not len(rows):
        return triangle
    n_triangular = n if _is_triangle(rows) else 0
    return np.asarray(dtpqrt(n_triangular, min(_BLOCK, n), triangle, rows)[0])


def positive_diagonal(triangle: NDArray[np.float64]) -> NDArray[np.float64]:
    """Upper triangle with the signs of its rows chosen so that no element of the diagonal is negative."""
    return np.asarray(triangle * np.where(np.diag(triangle) < 0.0, -1.0, 1.0)[:, None])
