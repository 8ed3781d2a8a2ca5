"""Projection onto the range of orthonormal columns whose rows are divided by scales.

With the columns N, their orthogonal complement C and the scales s on a diagonal S, the range of S^-1 N is all
that is orthogonal to S C, and

    det(N^T S^-2 N) = det(S^-2) det(C^T S^2 C)

so that the thinner of N and C tells both by a QR decomposition.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Projector:
    """Orthogonal projection onto a range, or onto all that is orthogonal to it.

    Attributes
    ----------
    vectors : ndarray, shape (n, n_vectors)     orthonormal columns that span it
    is_complement : bool
    """

    vectors: NDArray[np.float64]
    is_complement: bool

    @property
    def diagonal(self) -> NDArray[np.float64]:
        """Diagonal of the matrix, shape (n,)."""
        own = np.einsum("ij,ij->i", self.vectors, self.vectors)
        return np.asarray(1.0 - own if self.is_complement else own)

    def __matmul__(self, others: NDArray[np.float64]) -> NDArray[np.float64]:
        """Project the columns of an array, shape (n, any)."""
        own = self.vectors @ (self.vectors.T @ others)
        return np.asarray(others - own if self.is_complement else own)


class ScaledColumns:
    """Orthonormal columns to be divided by scales.

    Parameters
    ----------
    columns : ndarray, shape (n, n_columns)
    """

    def __init__(self, columns: NDArray[np.float64]) -> None:
        self._columns = columns

    @cached_property
    def _complement(self) -> NDArray[np.float64]:
        """Orthonormal columns orthogonal to the others: what these leave of any; twice, against rounding."""
        n, n_columns = self._columns.shape
        rest = np.random.default_rng(0).standard_normal((n, n - n_columns))
        for _ in range(2):
            rest = np.linalg.qr(rest - self._columns @ (self._columns.T @ rest))[0]
        return rest

    def projector(self, scales: NDArray[np.float64]) -> tuple[Projector, float]:
        """Projector onto the range of the columns over scales, and the log determinant of their gram.

        Parameters
        ----------
        scales : ndarray, shape (n,)
            What each row is divided by.
        """
        n, n_columns = self._columns.shape
        is_complement = n < 2 * n_columns
        log_determinant, by_row = 0.0, self._columns / scales[:, None]
        if is_complement:
            log_determinant, by_row = -2 * float(np.log(scales).sum()), self._complement * scales[:, None]
        vectors, triangle = np.linalg.qr(by_row)
        log_determinant += 2 * float(np.log(np.abs(np.diag(triangle))).sum())
        return Projector(vectors, is_complement), log_determinant
