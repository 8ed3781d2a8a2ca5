"""Fits of a force field with what another source knows of the force constants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import check_shape
from mlff_dyn.regression.fit.posterior import fit_posterior
from mlff_dyn.regression.fit.prior_about_guess import fit_about_guess

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.regression.data.observations import Observations
    from mlff_dyn.regression.fit.noise import NoiseFamily
    from mlff_dyn.regression.fit.posterior import Posterior
    from mlff_dyn.regression.fit.priors import StructuredPrior


@dataclass(frozen=True, eq=False)
class PriorGuess:
    """Parameters that a source suggests.

    Attributes
    ----------
    source : str
        Name for people.
    parameters : ndarray, shape (n_parameters,)
        In the basis of the fit, eV/Å^order; zero where the source knows nothing.
    orders : ndarray of int, shape (n_parameters,)
        Order of each, 0 for the local part.
    """

    source: str
    parameters: NDArray[np.float64]
    orders: NDArray[np.int64]

    def of_orders(self, orders: NDArray[np.int64]) -> PriorGuess:
        """Return the guess for an expansion that has some of the orders alone; those of its parameters."""
        here = np.isin(self.orders, orders)
        return PriorGuess(self.source, self.parameters[here], self.orders[here])


@dataclass(frozen=True, eq=False)
class PriorGuessSummary:
    """How much of a guess the data support.

    Attributes
    ----------
    source : str
    is_used : bool
        False where the data are more probable without the guess; the fit is then one without it.
    log_evidence_gain : float
        Log evidence with the guess minus that without.
    orders : ndarray of int, shape (n_orders,)     orders that the guess holds something of, 0: the local part
    scales : ndarray, shape (n_orders,)            factors on the guess
    scale_sds : ndarray, shape (n_orders,)         their posterior standard deviations
    """

    source: str
    is_used: bool
    log_evidence_gain: float
    orders: NDArray[np.int64]
    scales: NDArray[np.float64]
    scale_sds: NDArray[np.float64]

    def to_json(self) -> dict[str, object]:
        """Return plain values."""
        names = [str(order) if order else "local" for order in self.orders.tolist()]
        return {
            "source": self.source,
            "used": self.is_used,
            "log_evidence_gain": self.log_evidence_gain,
            "scales": dict(zip(names, self.scales.tolist(), strict=True)),
            "scale_sds": dict(zip(names, self.scale_sds.tolist(), strict=True)),
        }


def fit_with_guess(
    observations: Observations,
    prior: StructuredPrior,
    noise: NoiseFamily,
    *,
    guess: PriorGuess,
    column_scale: NDArray[np.float64],
    noise_hint: float,
) -> tuple[Posterior, PriorGuessSummary]:
    """Fit with a guess and without, and keep what makes the data more probable.

    Parameters
    ----------
    observations : Observations
        With columns divided by ``column_scale``.
    prior : StructuredPrior
    noise : NoiseFamily
    guess : PriorGuess
    column_scale : ndarray, shape (n_parameters,)
    noise_hint : float
        See `maximize_evidence`.

    Returns
    -------
    posterior : Posterior
        Of the parameters times ``column_scale``.
    summary : PriorGuessSummary

    Raises
    ------
    FitError
        If there is nothing to fit.
    """
    check_shape("guess", guess.parameters, column_scale.shape)
    plain = fit_posterior(observations, prior, noise, noise_hint=noise_hint, hyperpriors=prior.hyperpriors)
    orders = np.unique(guess.orders[guess.parameters != 0.0])
    scaled = guess.parameters * column_scale
    guesses = np.where(guess.orders == orders[:, None], scaled, 0.0)
    found = fit_about_guess(observations, prior, noise, guesses, noise_hint=noise_hint)
    gain = found.posterior.log_evidence - plain.log_evidence
    summary = PriorGuessSummary(guess.source, gain > 0.0, gain, orders, found.scales, found.scale_sds)
    return (found.posterior if summary.is_used else plain), summary
