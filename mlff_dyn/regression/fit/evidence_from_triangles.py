"""The evidence from data in square-root form: right where the noise is a tiny share of the signal.

It is the function of `evidence`. With the triangles R_k of the rows [X_k y_k], see `triangles`, and a
triangle P of the prior precision, P^T P = L, one QR decomposition gives

    [P 0; R_1 / v_1^(1/2); R_2 / v_2^(1/2); ...]  =  Q [U q; 0 r],     U^T U = A,     m = U^-1 q
    e_k = R_k [m; -1],     Z_k = R_k U^-1,     |y_k - X_k m|^2 = |e_k|^2,     tr X_k S X_k^T = |Z_k|^2
    U^-T X_k^T (y_k - X_k m) = -Z_k^T e_k

(Z_k of the columns of X_k alone). Rounding moves the mean by about eps s / v^(1/2) posterior sds, s the size
of the targets; from sums of products it is eps s^2 / v.

| symbol | variable |
|---|---|
| R_k, P, U | roots, prior_root, upper |
| -e_k, Z_k | rests, projected |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import solve_triangular
from scipy.linalg.blas import dtrsm

from mlff_dyn.errors import FitError
from mlff_dyn.regression.fit.evidence_form import EvidenceForm, Fit, Solution
from mlff_dyn.regression.linalg.triangles import add_to_triangle, positive_diagonal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mlff_dyn.regression.fit.priors import Prior
    from mlff_dyn.regression.linalg.triangles import RootStatistics


@dataclass(frozen=True, eq=False)
class _SolutionOfTriangles(Solution):
    """With the triangle of each group and what the mean leaves of it."""

    roots: tuple[RootStatistics, ...]
    rests: list[NDArray[np.float64]]

    def push(
        self, by_noise: NDArray[np.float64], covariance: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        n, upper = len(covariance), np.asfortranarray(self.fit.factor.T)
        traces, push = np.zeros(len(self.roots)), np.zeros((n, len(by_noise)))
        for k, (part, rest) in enumerate(zip(self.roots, self.rests, strict=True)):
            projected = dtrsm(1.0, upper, part.root[:, :n], side=1)
            traces[k] = np.einsum("ij,ij->", projected, projected)
            push += np.outer(rest @ projected, by_noise[:, k])
        return traces, solve_triangular(upper, push, check_finite=False), push.T @ push


class SquareRootObjective(EvidenceForm):
    """The evidence from triangles.

    Parameters
    ----------
    roots : sequence of RootStatistics
        Of the groups. Columns: free parameters, then those of the prior.
    prior : Prior
    n_free : int
        Parameters with a flat prior.
    """

    def __init__(self, roots: Sequence[RootStatistics], prior: Prior, *, n_free: int = 0) -> None:
        super().__init__(prior, n_free, np.array([part.n_targets for part in roots], float))
        self._roots = tuple(roots)

    def solve(self, variances: NDArray[np.float64], prior_values: NDArray[np.float64]) -> Solution:
        """Posterior at given variances of the groups and values of the prior."""
        precision, prior_root = self._prior.rooted(prior_values)
        n = self._n_free + len(prior_root)
        triangle = np.zeros((n + 1, n + 1), order="F")
        triangle[self._n_free : n, self._n_free : n] = prior_root
        for part, variance in zip(self._roots, variances, strict=True):
            triangle = add_to_triangle(triangle, part.root / np.sqrt(variance))
        triangle = positive_diagonal(triangle)
        upper = np.triu(triangle[:n, :n])
        pivots = np.diag(upper)
        if not np.all(pivots > 0.0):
            raise FitError(
                "the posterior precision is not positive definite",
                fix="look for duplicate or non-finite snapshots in the data set",
            )
        mean = solve_triangular(upper, triangle[:n, n], check_finite=False)
        rests = [part.rest(mean) for part in self._roots]
        residual_sq = np.array([rest @ rest for rest in rests])
        from_prior = prior_root @ mean[self._n_free :]
        log_evidence = self._log_evidence(
            variances, residual_sq, float(from_prior @ from_prior), pivots, precision.log_determinant
        )
        fit = Fit(log_evidence, mean, np.asfortranarray(upper.T))
        return _SolutionOfTriangles(fit, residual_sq, precision, self._roots, rests)
