"""Choose from a pool of frames those that teach a linear model most, before any of them is calculated.

Targets do not enter the posterior covariance S of a Gaussian linear model, so what a frame c with rows X_c
and noise variances V_c (a diagonal) is worth is known beforehand: it carries the information
G_c = X_c^T V_c^-1 X_c, and a set of frames turns the precision S^-1 into A = S^-1 + sum G_c. With the
importance M = <x x^T>, averaged over the rows x of the frames that the model is made for,

    i-optimal   tr[M A^-1] - tr[M (A + G_c)^-1] and the fall of b^2      fall of the mean square error
    d-optimal   log det (A + G_c) - log det A
    max-sd      v_c tr[G_c A^-1] / n_c                                   mean epistemic variance of the frame

The first is tr[(X S M S X^T)(X S X^T + V)^-1] without a matrix of the size of the rows, and the fall of the
bias b^2 of `regression.misfit`. Without the bias the frames of smallest amplitude, which are described best,
would be chosen again and again, and the others be described worse than by frames drawn at random.

Frames are chosen one after the other, each with the largest gain given those before. The gains by A are
concave in G_c, so the tangent at any G, one scalar product per frame, bounds them from above: frames are
tried in the order of their bounds, and most never need be. The choice is that of trying all.

| symbol | variable |
|---|---|
| G_c, v_c, n_c | FramePool.informations, .variances, .n_rows |
| A, M | precision, importance |
| b^2 | Misfit.biases |

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
from mlff_dyn.regression.linalg.factorization import precision_factor
from mlff_dyn.regression.linalg.packed import pack, symmetric, trace_weights, unpack_lower
from mlff_dyn.regression.planning.misfit import Misfit, no_misfit

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import ArrayLike, NDArray

_TANGENT_SCALES = (0.5, 1.0, 2.0)
_ROUNDING = 1e-10


@dataclass(frozen=True, eq=False)
class FramePool:
    """Frames by the information they carry.

    Attributes
    ----------
    precision : ndarray, shape (n_parameters, n_parameters)      that of the present posterior
    informations : ndarray, shape (n_frames, n_parameters (n_parameters + 1) / 2)      see `packed`
    importance : ndarray, shape (n_parameters, n_parameters)
        M of the frames; its trace with a covariance is their mean epistemic variance.
    variances : ndarray, shape (n_frames,)        mean noise variance of the rows of each frame
    n_rows : ndarray of int, shape (n_frames,)
    misfit : Misfit
    """

    precision: NDArray[np.float64]
    informations: NDArray[np.float64]
    importance: NDArray[np.float64]
    variances: NDArray[np.float64]
    n_rows: NDArray[np.int64]
    misfit: Misfit

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.informations)

    @property
    def n_parameters(self) -> int:
        """Number of parameters of the model."""
        return len(self.precision)

    @cached_property
    def mean_information(self) -> NDArray[np.float64]:
        """Information that a frame of this pool carries on average."""
        mean = np.full(len(self), 1.0 / len(self)) @ self.informations
        return symmetric(unpack_lower(mean, self.n_parameters))

    def with_frame(self, precision: NDArray[np.float64], frame: int) -> NDArray[np.float64]:
        """Lower triangle of the precision once a frame is known; what stands above it means nothing."""
        return np.asarray(precision + unpack_lower(self.informations[frame], self.n_parameters))

    def contract(self, matrices: NDArray[np.float64]) -> NDArray[np.float64]:
        """Trace of symmetric matrices (n, ...) with the information of frames, shape (n, n_frames)."""
        weights = trace_weights(self.n_parameters) * [pack(matrix) for matrix in matrices]
        return np.asarray(weights @ self.informations.T)


def frame_pool(
    designs: Iterable[NDArray[np.float64]],
    variances: Sequence[ArrayLike],
    covariance_factor: NDArray[np.float64],
    misfit: Misfit | None = None,
    counts: NDArray[np.float64] | None = None,
) -> FramePool:
    """Make a pool from the rows of its frames.

    Parameters
    ----------
    designs : iterable of ndarray, each of shape (n_rows, n_parameters)
        Taken one by one.
    variances : sequence of ndarray, each of shape (n_rows,), or of float
        Noise variance of the rows of each frame.
    covariance_factor : ndarray, shape (n_parameters, n_parameters)
        F with posterior covariance F Fᵀ.
    misfit : Misfit, optional
        Default: the model is exact.
    counts : ndarray, shape (n_frames,), optional
        How much each frame counts in the importance, their sum being one; default: all the same.

    Raises
    ------
    DataError
        If shapes do not fit.
    FitError
        If there are no frames or a variance is not positive.
    """
    n_frames, n_parameters = len(variances), len(covariance_factor)
    if not n_frames or not all((np.asarray(variance) > 0.0).all() for variance in variances):
        raise FitError(
            "a pool needs frames, and each a positive noise variance",
            fix="give at least one frame, with noise variances above zero",
        )
    informations = np.empty((n_frames, n_parameters * (n_parameters + 1) // 2))
    importance = np.zeros((n_parameters, n_parameters), order="F")
    n_rows: list[int] = []
    for design, variance, information in zip(designs, variances, informations, strict=True):
        check_shape("design", design, (None, n_parameters))
        noise = np.broadcast_to(np.asarray(variance, np.float64), len(design))
        share = 1.0 / (n_frames * len(design)) if counts is None else counts[len(n_rows)] / len(design)
        n_rows.append(len(design))
        importance = dsyrk(share, design.T, beta=1.0, c=importance, lower=1, overwrite_c=1)
        information[:] = pack(dsyrk(1.0, (design * np.sqrt(1.0 / noise)[:, None]).T, lower=1))
    inverse = np.asarray(np.linalg.inv(covariance_factor), np.float64)
    return FramePool(
        symmetric(dsyrk(1.0, inverse.T, lower=1)),
        informations,
        symmetric(importance),
        np.array([np.asarray(variance, np.float64).mean() for variance in variances]),
        np.array(n_rows),
        no_misfit(n_frames) if misfit is None else misfit,
    )


@dataclass(frozen=True, eq=False)
class Knowledge:
    """What counts, and what is known before the next choice.

    Attributes
    ----------
    importance : ndarray, shape (n_parameters, n_parameters)
    precision : ndarray, shape (n_parameters, n_parameters)
    misfit : Misfit
    """

    importance: NDArray[np.float64]
    precision: NDArray[np.float64]
    misfit: Misfit


class Design(Protocol):
    """What makes a frame worth choosing."""

    def best(self, pool: FramePool, candidates: NDArray[np.intp], known: Knowledge) -> int:
        """Frame of largest gain among the candidates."""


class ConcaveDesign(Protocol):
    """A utility of the precision A that is concave, so that its tangents bound it from above.

    Matrices A are read on and below the diagonal.
    """

    def value(self, importance: NDArray[np.float64], precision: NDArray[np.float64]) -> float:
        """Utility."""

    def slope(self, importance: NDArray[np.float64], precision: NDArray[np.float64]) -> NDArray[np.float64]:
        """Derivative by the precision."""


class MeanVariance:
    """Minus the mean epistemic variance."""

    def value(self, importance: NDArray[np.float64], precision: NDArray[np.float64]) -> float:
        """Minus tr[M A⁻¹]."""
        lower = _lower_inverse(precision)
        return float(np.diag(importance) @ np.diag(lower) - 2.0 * np.vdot(importance, lower.T))

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
    counts_bias : bool     whether the mean square bias is subtracted from it
    """

    utility: ConcaveDesign
    counts_bias: bool

    def best(self, pool: FramePool, candidates: NDArray[np.intp], known: Knowledge) -> int:
        """Frame of largest gain among the candidates; the first of equal ones."""
        loss = known.misfit.biases if self.counts_bias else np.zeros(len(pool))
        bounds = (self._bounds(pool, known.importance, known.precision) - loss)[candidates]
        best, most = int(candidates[0]), -np.inf
        for place in np.argsort(-bounds, kind="stable"):
            frame = int(candidates[place])
            if bounds[place] < most:
                break
            precision = pool.with_frame(known.precision, frame)
            found = self.utility.value(known.importance, precision) - loss[frame]
            if found > most or (found == most and frame < best):
                best, most = frame, found
        return best

    def _bounds(
        self, pool: FramePool, importance: NDArray[np.float64], precision: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Utility with each frame added, bounded by the tangents at some multiples of the mean frame."""
        shifts = [scale * pool.mean_information for scale in _TANGENT_SCALES]
        slopes = np.array([self.utility.slope(importance, precision + shift) for shift in shifts])
        here = [
            self.utility.value(importance, precision + shift) - float(np.vdot(slope, shift))
            for slope, shift in zip(slopes, shifts, strict=True)
        ]
        bounds = (np.array(here)[:, None] + pool.contract(slopes)).min(axis=0)
        return np.asarray(bounds + _ROUNDING * np.abs(bounds))


class LargestVariance:
    """Largest mean epistemic variance of the frame itself."""

    def best(self, pool: FramePool, candidates: NDArray[np.intp], known: Knowledge) -> int:
        """Frame of largest variance among the candidates; the first of equal ones."""
        per_row = pool.contract(_inverse(known.precision)[None])[0] * pool.variances / pool.n_rows
        return int(candidates[np.argmax(per_row[candidates])])


SELECTIONS: dict[str, Design] = {
    "i-optimal": LargestUtility(MeanVariance(), counts_bias=True),
    "d-optimal": LargestUtility(Determinant(), counts_bias=False),
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

    @property
    def covariance_factor(self) -> NDArray[np.float64]:
        """F with the posterior covariance F Fᵀ once all are known."""
        lower = precision_factor(self.precision, "posterior")
        inverse = solve_triangular(lower, np.eye(len(lower)), lower=True, check_finite=False)
        return np.asarray(inverse.T)


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
    known = Knowledge(target, pool.precision, pool.misfit)
    left = np.arange(len(pool))
    frames: list[int] = []
    mean_variances = [float(np.vdot(target, _inverse(pool.precision)))]
    for _ in range(n_frames):
        frame = design.best(pool, left, known)
        frames.append(frame)
        left = left[left != frame]
        precision = symmetric(pool.with_frame(known.precision, frame))
        known = Knowledge(target, precision, known.misfit.add(frame))
        mean_variances.append(float(np.vdot(target, _inverse(known.precision))))
    return Selection(tuple(frames), np.array(mean_variances), known.precision)


def _lower_inverse(precision: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lower triangle of the inverse of a precision, zeros above."""
    return np.asarray(dpotri(precision_factor(precision, "posterior"), lower=1)[0])


def _inverse(precision: NDArray[np.float64]) -> NDArray[np.float64]:
    """Symmetric inverse of a precision."""
    return symmetric(_lower_inverse(precision))
