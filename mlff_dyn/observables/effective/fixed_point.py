"""Fixed points z = g(z) of smooth maps, by Anderson mixing with damped steps.

References
----------
Walker and Ni, SIAM J. Numer. Anal. 49, 1715 (2011).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


class AndersonMixing:
    """Proposes steps from the last points and residuals.

    Parameters
    ----------
    damping : float
        Share of the residual that is taken as a step.
    n_history : int
        Steps that are looked back at.
    """

    def __init__(self, damping: float, n_history: int) -> None:
        self._damping, self._n_history = damping, n_history
        self._points: list[NDArray[np.float64]] = []
        self._residuals: list[NDArray[np.float64]] = []

    def step(self, point: NDArray[np.float64], residual: NDArray[np.float64]) -> NDArray[np.float64]:
        """Step from a point whose residual g(z) - z is known.

        Parameters
        ----------
        point, residual : ndarray, shape (n,)
            In coordinates whose length measures how far off a point is.
        """
        self._points = [*self._points[-self._n_history :], point]
        self._residuals = [*self._residuals[-self._n_history :], residual]
        plain = self._damping * residual
        if len(self._points) == 1:
            return plain
        points, residuals = (np.diff(np.array(each), axis=0).T for each in (self._points, self._residuals))
        shares = np.linalg.lstsq(residuals, residual, rcond=_RCOND)[0]
        return np.asarray(plain - (points + self._damping * residuals) @ shares)

    def forget(self) -> None:
        """Begin anew, where a step was not taken as proposed."""
        self._points, self._residuals = [], []


_RCOND = 1e-8
_NONE = 1e-13
"""Eigenvalue over the largest that is rounding."""


class Metric:
    """Length of a step, sqrt(x M x), as that of a step in other coordinates.

    Parameters
    ----------
    matrix : ndarray, shape (n, n)
        M; directions without a length are left out.
    """

    def __init__(self, matrix: NDArray[np.float64]) -> None:
        values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.T))
        kept = values > _NONE * max(float(values.max(initial=0.0)), np.finfo(float).tiny)
        roots = np.sqrt(values[kept])
        self._forward, self._back = vectors[:, kept] * roots, (vectors[:, kept] / roots).T

    def forward(self, steps: NDArray[np.float64]) -> NDArray[np.float64]:
        """Coordinates whose length is that of the steps, shape (..., n_kept), of steps, shape (..., n)."""
        return np.asarray(steps @ self._forward)

    def back(self, coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
        """Steps of such coordinates."""
        return np.asarray(coordinates @ self._back)

    def length(self, steps: NDArray[np.float64]) -> float:
        """Root of the sum of the squared lengths of steps, shape (n_steps, n)."""
        return float(np.linalg.norm(self.forward(steps)))


def propagated(
    vectors: NDArray[np.float64],
    slope: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    least: float = 1e-6,
) -> NDArray[np.float64]:
    """(1 - J)^-1 times vectors, with J seen in the space that they span.

    Parameters
    ----------
    vectors : ndarray, shape (n_vectors, n)
    slope : callable
        J times a vector of unit length.
    least : float
        Singular value over the largest below which vectors do not add a direction.
    """
    _, sizes, directions = np.linalg.svd(vectors, full_matrices=False)
    directions = directions[sizes > least * max(float(sizes.max(initial=0.0)), np.finfo(float).tiny)]
    if not len(directions):
        return vectors
    images = np.array([slope(each) for each in directions])
    matrix = np.eye(len(directions)) - directions @ images.T
    return np.asarray(np.linalg.solve(matrix, directions @ vectors.T).T @ directions)
