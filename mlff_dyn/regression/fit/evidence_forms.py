"""Which form of the data the evidence is evaluated from: sums of products, or triangles of the rows.

Sums of products are faster, but rounding moves their posterior by about eps (signal / noise)^2 standard
deviations. Beyond a limit of that ratio, and where a precision made of them is not positive definite, the
square-root form takes over. Both are the same function, so that a search may pass from one to the other.
At the limit, 3e4, the mean is right to 1e-5 standard deviations and the log evidence to 1e-7 per row.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np

from mlff_dyn.errors import FitError
from mlff_dyn.regression.fit.evidence_from_sums import Objective
from mlff_dyn.regression.fit.evidence_from_triangles import SquareRootObjective

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mlff_dyn.regression.data.observations import Observations
    from mlff_dyn.regression.fit.evidence_from_sums import Fit
    from mlff_dyn.regression.fit.priors import Prior

_LARGEST_SIGNAL_TO_NOISE = 3e4

_Found = TypeVar("_Found")


class EvidenceObjective(Protocol):
    """Log evidence and its gradients as functions of the group variances and the prior values."""

    def fit(self, variances: NDArray[np.float64], prior_values: NDArray[np.float64]) -> Fit:
        """Posterior at given variances of the groups and values of the prior."""

    def expand(
        self,
        variances: NDArray[np.float64],
        prior_values: NDArray[np.float64],
        by_noise: NDArray[np.float64],
    ) -> tuple[float, NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Log evidence, its derivatives by variances and prior values, and the average information.

        ``by_noise``, shape (n_noise, n_groups), holds derivatives of the variances by the noise values.
        """


class _Adaptive:
    """Either form, chosen at every evaluation; the triangles are made when they are first needed."""

    def __init__(self, observations: Observations, prior: Prior) -> None:
        self._observations = observations
        self._prior = prior
        self._sums = Objective(observations, prior, may_shift=False)

    @cached_property
    def _roots(self) -> SquareRootObjective:
        return SquareRootObjective(self._observations.roots, self._prior, n_free=self._observations.n_free)

    def fit(self, variances: NDArray[np.float64], prior_values: NDArray[np.float64]) -> Fit:
        return self._by_right_form(variances, lambda form: form.fit(variances, prior_values))

    def expand(
        self,
        variances: NDArray[np.float64],
        prior_values: NDArray[np.float64],
        by_noise: NDArray[np.float64],
    ) -> tuple[float, NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        return self._by_right_form(variances, lambda form: form.expand(variances, prior_values, by_noise))

    def _by_right_form(
        self, variances: NDArray[np.float64], evaluate: Callable[[EvidenceObjective], _Found]
    ) -> _Found:
        if signal_to_noise(self._observations, variances) <= _LARGEST_SIGNAL_TO_NOISE:
            try:
                return evaluate(self._sums)
            except FitError:
                pass
        return evaluate(self._roots)


def signal_to_noise(observations: Observations, variances: NDArray[np.float64]) -> float:
    """Root mean square of all targets over their noise sd.

    Parameters
    ----------
    observations : Observations
    variances : ndarray, shape (n_groups,)
    """
    return float(np.sqrt(observations.signal_sq @ (1.0 / variances) / observations.n_targets))


def objective_of(observations: Observations, prior: Prior) -> EvidenceObjective:
    """Return the evidence in the form that suits the noise; sums alone where the rows are not at hand."""
    if observations.rows is None:
        return Objective(observations, prior)
    return _Adaptive(observations, prior)
