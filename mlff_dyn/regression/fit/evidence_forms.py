"""Which form of the data the evidence is evaluated from: sums of products, or triangles of the rows.

Sums of products are faster, but rounding moves their posterior by about eps (signal / noise)^2 standard
deviations. Beyond a limit of that ratio, and where a precision made of them is not positive definite, the
square-root form takes over. Both are the same function, so that a search may pass from one to the other.
At the limit, 3e4, the mean is right to 1e-5 standard deviations and the log evidence to 1e-7 per row.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import FitError
from mlff_dyn.regression.fit.evidence_form import EvidenceForm, Solution
from mlff_dyn.regression.fit.evidence_from_sums import Objective
from mlff_dyn.regression.fit.evidence_from_triangles import SquareRootObjective

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.regression.data.observations import Observations
    from mlff_dyn.regression.fit.priors import Prior

_LARGEST_SIGNAL_TO_NOISE = 3e4


class _Adaptive(EvidenceForm):
    """Either form, chosen at every evaluation; the triangles are made when they are first needed."""

    def __init__(self, observations: Observations, prior: Prior) -> None:
        self._observations = observations
        self._sums = Objective(observations, prior, may_shift=False)
        super().__init__(prior, observations.n_free, self._sums.n_targets)

    @cached_property
    def _roots(self) -> SquareRootObjective:
        return SquareRootObjective(self._observations.roots, self._prior, n_free=self._n_free)

    def solve(self, variances: NDArray[np.float64], prior_values: NDArray[np.float64]) -> Solution:
        if signal_to_noise(self._observations, variances) <= _LARGEST_SIGNAL_TO_NOISE:
            try:
                return self._sums.solve(variances, prior_values)
            except FitError:
                pass
        return self._roots.solve(variances, prior_values)


def signal_to_noise(observations: Observations, variances: NDArray[np.float64]) -> float:
    """Root mean square of all targets over their noise sd.

    Parameters
    ----------
    observations : Observations
    variances : ndarray, shape (n_groups,)
    """
    return float(np.sqrt(observations.signal_sq @ (1.0 / variances) / observations.n_targets))


def objective_of(observations: Observations, prior: Prior) -> EvidenceForm:
    """Return the evidence in the form that suits the noise; sums alone where the rows are not at hand."""
    if observations.rows is None:
        return Objective(observations, prior)
    return _Adaptive(observations, prior)
