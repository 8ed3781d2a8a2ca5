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

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg import solve_triangular
from scipy.linalg.blas import dtrsm
from scipy.linalg.lapack import dpotri

from mlff_dyn.errors import FitError
from mlff_dyn.regression.fit.evidence_from_sums import Fit, average_information
from mlff_dyn.regression.linalg.triangles import add_to_triangle, positive_diagonal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mlff_dyn.regression.fit.priors import Prior
    from mlff_dyn.regression.linalg.triangles import RootStatistics


class SquareRootObjective:
    """Log evidence and its gradients as functions of the group variances and the prior values.

    Parameters
    ----------
    roots : sequence of RootStatistics
        Of the groups. Columns: free parameters, then those of the prior.
    prior : Prior
    n_free : int
        Parameters with a flat prior.
    """

    def __init__(self, roots: Sequence[RootStatistics], prior: Prior, *, n_free: int = 0) -> None:
        self._roots = tuple(roots)
        self._prior = prior
        self._n_free = n_free
        self._n_targets = np.array([part.n_targets for part in roots], float)

    def fit(self, variances: NDArray[np.float64], prior_values: NDArray[np.float64]) -> Fit:
        """Posterior at given variances of the groups and values of the prior.

        Raises
        ------
        FitError
            If a precision is not positive definite.
        """
        return self._fit(variances, prior_values)[0]

    def _fit(
        self, variances: NDArray[np.float64], prior_values: NDArray[np.float64]
    ) -> tuple[Fit, list[NDArray[np.float64]], NDArray[np.float64], Any]:
        """Posterior, what it leaves of each group, as vectors and as squares, and the prior precision."""
        precision, prior_root = self._prior.rooted(prior_values)
        n = self._n_free + len(prior_root)
        triangle = np.zeros((n + 1, n + 1), order="F")
        triangle[self._n_free : n, self._n_free : n] = prior_root
        for part, variance in zip(self._roots, variances, strict=True):
            triangle = add_to_triangle(triangle, part.root / np.sqrt(variance))
        triangle = positive_diagonal(triangle)
        upper = triangle[:n, :n]
        if not np.all(np.diag(upper) > 0.0):
            raise FitError(
                "the posterior precision is not positive definite",
                fix="look for duplicate or non-finite snapshots in the data set",
            )
        mean = solve_triangular(upper, triangle[:n, n], check_finite=False)
        rests = [part.rest(mean) for part in self._roots]
        residual_sq = np.array([rest @ rest for rest in rests])
        from_prior = prior_root @ mean[self._n_free :]
        log_evidence = -0.5 * (
            self._n_targets @ np.log(2 * np.pi * variances)
            + residual_sq @ (1.0 / variances)
            + from_prior @ from_prior
            + 2 * np.log(np.diag(upper)).sum()
            - precision.log_determinant
        )
        return Fit(float(log_evidence), mean, np.asfortranarray(upper.T)), rests, residual_sq, precision

    def expand(
        self,
        variances: NDArray[np.float64],
        prior_values: NDArray[np.float64],
        by_noise: NDArray[np.float64],
    ) -> tuple[float, NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Log evidence, its derivatives by variances and prior values, and the average information.

        ``by_noise``, shape (n_noise, n_groups), holds derivatives of the variances by the noise values.
        """
        fit, rests, residual_sq, precision = self._fit(variances, prior_values)
        n = len(fit.mean)
        upper = np.asfortranarray(fit.factor.T)
        traces = np.zeros(len(variances))
        push = np.zeros((n, len(by_noise)))
        for k, (part, rest) in enumerate(zip(self._roots, rests, strict=True)):
            projected = dtrsm(1.0, upper, part.root[:, :n], side=1)
            traces[k] = np.einsum("ij,ij->", projected, projected)
            push += np.outer(rest @ projected, by_noise[:, k] / variances[k] ** 2)
        by_variance = 0.5 * ((residual_sq + traces) / variances**2 - self._n_targets / variances)
        half = np.tril(dpotri(fit.factor, lower=1)[0])
        covariance = half + np.tril(half, -1).T
        own = slice(self._n_free, None)
        pull, carried = self._prior.sensitivity(precision, fit.mean[own])
        spread = solve_triangular(upper, push, check_finite=False)
        noise_noise = (by_noise * (residual_sq / variances**3)) @ by_noise.T - push.T @ push
        information = average_information(noise_noise, spread[own], pull, carried, covariance[own, own])
        by_prior = self._prior.gradient(precision, fit.mean[own], covariance[own, own])
        return fit.log_evidence, by_variance, by_prior, information
