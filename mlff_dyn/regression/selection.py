"""Choose from a pool of frames those that teach a linear model most, before any of them is calculated.

Targets do not enter the posterior covariance S of a Gaussian linear model, so what a frame c with rows X_c
and noise variance v_c is worth is known beforehand. In coordinates in which S = 1 (S = F F^T), a frame
carries the information G_c = F^T X_c^T X_c F / v_c, and a set of frames turns the precision 1 into
A = 1 + sum G_c. With the importance M = <F^T x x^T F>, averaged over the rows x of the frames that the model
is made for,

    i-optimal   tr[M A^-1] - tr[M (A + G_c)^-1]              fall of the mean epistemic variance
    d-optimal   log det (A + G_c) - log det A
    max-sd      tr[X_c F A^-1 F^T X_c^T] / n_c               mean epistemic variance of the frame itself

The first is tr[(X S M S X^T)(X S X^T + v)^-1] without a matrix of the size of the rows. Frames are chosen one
after the other, each with the largest gain given those before. Both first gains are concave in G_c, so the
tangent at any G, one scalar product per frame, bounds them from above: frames are tried in the order of
their bounds, and most never need be. The choice is that of trying all.

| symbol | variable |
|---|---|
| F | covariance_factor |
| G_c, v_c, n_c | FramePool.informations, .variances, .n_rows |
| A, M | precision, importance |

References
----------
Fedorov, Theory of Optimal Experiments (1972). Minoux, Optimization Techniques (1978): order of trying.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np
from scipy.linalg import solve_triangular
from scipy.linalg.blas import dsyrk
from scipy.linalg.lapack import dpotri

from mlff_dyn.errors import FitError, check_shape
from mlff_dyn.regression.factorization import precision_factor

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

_TANGENT_SCALES = (0.5, 1.0, 2.0)
_ROUNDING = 1e-10


@dataclass(frozen=True, eq=False)
class FramePool:
    """Frames by the information they carry, in coordinates in which the posterior covariance is one.

    Attributes
    ----------
    informations : ndarray, shape (n_frames, n_parameters, n_parameters)
    variances : ndarray, shape (n_frames,)        noise variance of the rows of each frame
    n_rows : ndarray of int, shape (n_frames,)
    """

    informations: NDArray[np.float64]
    variances: NDArray[np.float64]
    n_rows: NDArray[np.int64]

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.informations)

    @property
    def n_parameters(self) -> int:
        """Number of parameters of the model."""
        return int(self.informations.shape[1])

    @cached_property
    def importance(self) -> NDArray[np.float64]:
        """M of the frames of this pool; its trace with a covariance is their mean epistemic variance."""
        return self.combine(self.variances / self.n_rows) / len(self)

    @cached_property
    def mean_information(self) -> NDArray[np.float64]:
        """Information that a frame of this pool carries on average."""
        return self.combine(np.full(len(self), 1.0 / len(self)))

    def combine(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum of the informations with weights, shape (n_parameters, n_parameters)."""
        flat = weights @ self.informations.reshape(len(self), -1)
        return np.asarray(flat.reshape(self.n_parameters, self.n_parameters))

    def contract(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """Trace of a symmetric matrix with the information of every frame, shape (n_frames,)."""
        return np.asarray(self.informations.reshape(len(self), -1) @ matrix.ravel())


def frame_pool(
    designs: Iterable[NDArray[np.float64]],
    variances: NDArray[np.float64],
    covariance_factor: NDArray[np.float64],
) -> FramePool:
    """Make a pool from the rows of its frames.

    Parameters
    ----------
    designs : iterable of ndarray, each of shape (n_rows, n_parameters)
        Taken one by one.
    variances : ndarray, shape (n_frames,)
        Noise variance of the rows of each frame.
    covariance_factor : ndarray, shape (n_parameters, n_parameters)
        F with posterior covariance F Fᵀ.

    Raises
    ------
    DataError
        If shapes do not fit.
    FitError
        If there are no frames or a variance is not positive.
    """
    n_parameters = len(covariance_factor)
    if not len(variances) or not (np.asarray(variances) > 0.0).all():
        raise FitError("a pool needs frames, and each a positive noise variance")
    informations = np.empty((len(variances), n_parameters, n_parameters))
    n_rows = []
    for design, variance, information in zip(designs, variances, informations, strict=True):
        check_shape("design", design, (None, n_parameters))
        whitened = design @ covariance_factor
        lower = dsyrk(1.0 / variance, whitened.T, lower=1)
        np.add(lower, np.tril(lower, -1).T, out=information)
        n_rows.append(len(design))
    return FramePool(informations, np.asarray(variances, float), np.array(n_rows))


class Design(Protocol):
    """What makes a frame worth choosing."""

    def best(
        self,
        pool: FramePool,
        candidates: NDArray[np.intp],
        importance: NDArray[np.float64],
        precision: NDArray[np.float64],
    ) -> int:
        """Frame of largest gain among the candidates, given the precision A of what is known."""


class ConcaveDesign(Protocol):
    """A utility of the precision A that is concave, so that its tangents bound it from above."""

    def value(self, importance: NDArray[np.float64], precision: NDArray[np.float64]) -> float:
        """Utility."""

    def slope(self, importance: NDArray[np.float64], precision: NDArray[np.float64]) -> NDArray[np.float64]:
        """Derivative by the precision."""


class MeanVariance:
    """Minus the mean epistemic variance."""

    def value(self, importance: NDArray[np.float64], precision: NDArray[np.float64]) -> float:
        """Minus tr[M A⁻¹]."""
        lower = _lower_inverse(precision)
        return float(np.diag(importance) @ np.diag(lower) - 2.0 * np.vdot(importance, lower))

    def slope(self, importance: NDArray[np.float64], precision: NDArray[np.float64]) -> NDArray[np.float64]:
        """A⁻¹ M A⁻¹."""
        inverse = _inverse(precision)
        return np.asarray(inverse @ importance @ inverse)


class Determinant:
    """Logarithm of the determinant of the precision."""

    def value(
        self,
        importance: NDArray[np.float64],  # noqa: ARG002 (all parameters count)
        precision: NDArray[np.float64],
    ) -> float:
        """Twice the sum of the logarithms of the diagonal of the Cholesky factor."""
        return 2.0 * float(np.log(np.diag(precision_factor(precision, "posterior"))).sum())

    def slope(
        self,
        importance: NDArray[np.float64],  # noqa: ARG002 (all parameters count)
        precision: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """A⁻¹."""
        return _inverse(precision)


@dataclass(frozen=True)
class LargestUtility:
    """Largest gain of a concave utility.

    Attributes
    ----------
    utility : ConcaveDesign
    """

    utility: ConcaveDesign

    def best(
        self,
        pool: FramePool,
        candidates: NDArray[np.intp],
        importance: NDArray[np.float64],
        precision: NDArray[np.float64],
    ) -> int:
        """Frame of largest gain among the candidates; the first of equal ones."""
        bounds = self._bounds(pool, importance, precision)[candidates]
        best, most = int(candidates[0]), -np.inf
        for place in np.argsort(-bounds, kind="stable"):
            frame = int(candidates[place])
            if bounds[place] < most:
                break
            found = self.utility.value(importance, precision + pool.informations[frame])
            if found > most or (found == most and frame < best):
                best, most = frame, found
        return best

    def _bounds(
        self, pool: FramePool, importance: NDArray[np.float64], precision: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Utility with each frame added, bounded by the tangents at some multiples of the mean frame."""
        bounds = np.full(len(pool), np.inf)
        for scale in _TANGENT_SCALES:
            shift = scale * pool.mean_information
            slope = self.utility.slope(importance, precision + shift)
            here = self.utility.value(importance, precision + shift) - float(np.vdot(slope, shift))
            bounds = np.minimum(bounds, here + pool.contract(slope))
        return np.asarray(bounds + _ROUNDING * np.abs(bounds))


class LargestVariance:
    """Largest mean epistemic variance of the frame itself."""

    def best(
        self,
        pool: FramePool,
        candidates: NDArray[np.intp],
        importance: NDArray[np.float64],  # noqa: ARG002 (no other frame counts)
        precision: NDArray[np.float64],
    ) -> int:
        """Frame of largest variance among the candidates; the first of equal ones."""
        per_row = pool.contract(_inverse(precision)) * pool.variances / pool.n_rows
        return int(candidates[np.argmax(per_row[candidates])])


SELECTIONS: dict[str, Design] = {
    "i-optimal": LargestUtility(MeanVariance()),
    "d-optimal": LargestUtility(Determinant()),
    "max-sd": LargestVariance(),
}


@dataclass(frozen=True, eq=False)
class Selection:
    """Frames in the order in which they were chosen.

    Attributes
    ----------
    frames : tuple of int
    mean_variances : ndarray, shape (n_chosen + 1,)
        Mean epistemic variance before and after each of them.
    precision : ndarray, shape (n_parameters, n_parameters)
        A once all are known.
    """

    frames: tuple[int, ...]
    mean_variances: NDArray[np.float64]
    precision: NDArray[np.float64]

    def covariance_factor(self, factor: NDArray[np.float64]) -> NDArray[np.float64]:
        """Factor of the posterior covariance once all are known, from the one the pool was made with."""
        lower = precision_factor(self.precision, "posterior")
        return np.asarray(solve_triangular(lower, factor.T, lower=True, check_finite=False).T)


def select(
    pool: FramePool, design: Design, n_frames: int, importance: NDArray[np.float64] | None = None
) -> Selection:
    """Choose frames one after the other.

    Parameters
    ----------
    pool : FramePool
    design : Design
        See `SELECTIONS`.
    n_frames : int
        How many to choose.
    importance : ndarray, shape (n_parameters, n_parameters), optional
        M of the frames that the model is made for; default: those of the pool.

    Raises
    ------
    FitError
        If the pool holds fewer frames.
    """
    if not 0 <= n_frames <= len(pool):
        raise FitError(f"{n_frames} frames cannot be chosen from {len(pool)}", fix="give a larger pool")
    target = pool.importance if importance is None else importance
    precision = np.eye(pool.n_parameters)
    left = np.arange(len(pool))
    frames: list[int] = []
    mean_variances = [float(np.trace(target))]
    for _ in range(n_frames):
        frame = design.best(pool, left, target, precision)
        frames.append(frame)
        left = left[left != frame]
        precision = precision + pool.informations[frame]
        mean_variances.append(float(np.vdot(target, _inverse(precision))))
    return Selection(tuple(frames), np.array(mean_variances), precision)


def _lower_inverse(precision: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lower triangle of the inverse of a precision, zeros above."""
    return np.asarray(dpotri(precision_factor(precision, "posterior"), lower=1)[0])


def _inverse(precision: NDArray[np.float64]) -> NDArray[np.float64]:
    """Symmetric inverse of a precision."""
    lower = _lower_inverse(precision)
    return np.asarray(lower + np.tril(lower, -1).T)
