"""Symmetric matrices stored once: the lower triangle, column after column, as LAPACK packs it.

A stack of them is one array, shape (n_matrices, n (n + 1) / 2), so that sums over matrices and scalar
products with them are single passes over half the memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg.blas import dspmv
from scipy.linalg.lapack import dtpttr, dtrttp

if TYPE_CHECKING:
    from numpy.typing import NDArray


def pack(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pack a symmetric matrix, shape (n, n); one in Fortran order is read below its diagonal only."""
    columns = matrix if matrix.flags.f_contiguous else matrix.T
    return np.asarray(dtrttp(columns, uplo="L")[0])


def unpack_lower(packed: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Lower triangle in Fortran order, shape (n, n); what stands above it means nothing."""
    return np.asarray(dtpttr(n, packed, uplo="L")[0])


def symmetric(lower: NDArray[np.float64]) -> NDArray[np.float64]:
    """Symmetric matrix from what stands on and below the diagonal."""
    kept = np.tril(lower)
    return np.asarray(kept + np.tril(kept, -1).T)


def packed_times(packed: NDArray[np.float64], vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """Packed matrix times a vector."""
    return np.asarray(dspmv(len(vector), 1.0, packed, vector, lower=1))


def trace_weights(n: int) -> NDArray[np.float64]:
    """Factors w with trace(A B) = sum of w * packed A * packed B: 2, and 1 on the diagonal."""
    weights = np.full(n * (n + 1) // 2, 2.0)
    weights[diagonal_places(n)] = 1.0
    return weights


def diagonal_places(n: int) -> NDArray[np.int64]:
    """Places of the diagonal of a packed matrix, shape (n,)."""
    return np.cumsum([0, *range(n, 1, -1)])[:n]
