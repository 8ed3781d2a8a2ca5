"""The evidence as a function of the noise variances and the prior, with derivatives; see `evidence`.

The grams of all groups lie packed in one array; an evaluation passes over it thrice: the weighted sum, the
products with the mean, and the traces.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg.lapack import dpotrs

from mlff_dyn.regression.fit.evidence_form import EvidenceForm, Fit, Solution
from mlff_dyn.regression.linalg.factorization import precision_factor
from mlff_dyn.regression.linalg.packed import (
    pack,
    packed_times,
    trace_weights,
    unpack_lower,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.regression.data.observations import Observations
    from mlff_dyn.regression.fit.priors import Prior


@dataclass(frozen=True, eq=False)
class _SolutionOfSums(Solution):
    """With X^T (y - X m) and X^T X of each group, the latter packed, and the weights of their traces."""

    rests: NDArray[np.float64]
    grams: NDArray[np.float64]
    trace_weights: NDArray[np.float64]

    def push(
        self, by_noise: NDArray[np.float64], covariance: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        traces = self.grams @ (self.trace_weights * pack(covariance))
        push = by_noise @ self.rests
        spread = covariance @ push.T
        return traces, spread, push @ spread


class Objective(EvidenceForm):
    """The evidence from sums.

    Parameters
    ----------
    observations : Observations
    prior : Prior
    may_shift : bool
        Whether a precision that rounding has robbed of eigenvalues is mended, see `precision_factor`.
    """

    def __init__(self, observations: Observations, prior: Prior, *, may_shift: bool = True) -> None:
        parts = observations.statistics
        super().__init__(prior, observations.n_free, np.array([part.n_targets for part in parts], float))
        self._may_shift = may_shift
        self._grams = observations.grams
        self._moments = np.array([part.moment for part in parts])
        self._target_sq = np.array([part.target_sq for part in parts])
        self._trace_weights = trace_weights(self._moments.shape[1])

    def solve(self, variances: NDArray[np.float64], prior_values: NDArray[np.float64]) -> Solution:
        """Posterior at given variances of the groups and values of the prior."""
        weights = 1.0 / variances
        precision = self._prior.precision(prior_values)
        matrix = unpack_lower(weights @ self._grams, self._moments.shape[1])
        matrix[self._n_free :, self._n_free :] += precision.matrix.T
        factor = precision_factor(matrix, "posterior", may_shift=self._may_shift)
        mean = dpotrs(factor, weights @ self._moments, lower=1)[0]
        rests = self._moments - np.array([packed_times(gram, mean) for gram in self._grams])
        residual_sq = np.maximum(self._target_sq - (self._moments + rests) @ mean, 0.0)
        own = mean[self._n_free :]
        log_evidence = self._log_evidence(
            variances,
            residual_sq,
            float(own @ precision.matrix @ own),
            np.diag(factor),
            precision.log_determinant,
        )
        fit = Fit(log_evidence, mean, factor)
        return _SolutionOfSums(fit, residual_sq, precision, rests, self._grams, self._trace_weights)
