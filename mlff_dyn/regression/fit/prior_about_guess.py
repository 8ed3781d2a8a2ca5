"""Prior with a mean: what is known of the parameters from a similar, cheaper source.

With a guess m_n of the parameters of each group n (an order of the expansion), the parameters are

    w = sum_n s_n m_n + d,     s_n ~ N(1, tau^2),     d ~ N(0, L^-1)

with one unknown scale s_n per group and a structured prior of the deviation d, whose hyperparameters the
evidence finds. Scales are integrated out: with M = [m_1 m_2 ...] the shifted parameters w' = w - M 1 have

    w' ~ N(0, C),    C = L^-1 + tau^2 M M^T,    C^-1 = L - L M K M^T L,    K = (tau^-2 + M^T L M)^-1

    log det C^-1 = log det L - log det(tau^2 K^-1)

and given w' the deviation is T w' + N(0, M K M^T) with T = 1 - M K M^T L. The derivative of the log evidence
by a hyperparameter of L is that of the prior of d, averaged over the posterior of d (Fisher's identity).

A useless guess costs little: its scale goes to zero, 1 / tau standard deviations off.

| symbol | variable |
|---|---|
| m_n, M | guesses (rows), directions (columns) |
| s_n, tau | scales, scale_sd |
| L, L M, K | deviation, loaded, coupling |

References
----------
Rasmussen and Williams, Gaussian Processes for Machine Learning (2006), section 2.7: Gaussian priors of the
coefficients of explicit basis functions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import cho_solve

from mlff_dyn.errors import check_shape
from mlff_dyn.regression.fit.posterior import Posterior, fit_posterior
from mlff_dyn.regression.linalg.factorization import precision_factor
from mlff_dyn.regression.linalg.packed import packed_times
from mlff_dyn.regression.linalg.triangles import positive_diagonal, triangle_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.regression.data.observations import Observations
    from mlff_dyn.regression.fit.noise import NoiseFamily
    from mlff_dyn.regression.fit.priors import PriorPrecision, StructuredPrior

_SMALLEST_REST = 1e-14


@dataclass(frozen=True, eq=False)
class PrecisionAboutGuess:
    """A prior about a mean at given hyperparameters.

    Attributes
    ----------
    matrix : ndarray, shape (n_parameters, n_parameters)      C^-1
    log_determinant : float
    deviation : PriorPrecision                                L
    loaded : ndarray, shape (n_parameters, n_groups)          L M
    coupling : ndarray, shape (n_groups, n_groups)            K
    """

    matrix: NDArray[np.float64]
    log_determinant: float
    deviation: PriorPrecision
    loaded: NDArray[np.float64]
    coupling: NDArray[np.float64]


class PriorAboutGuess:
    """Prior of parameters about a guess of unknown scales, as a zero-mean prior of their difference.

    Parameters
    ----------
    deviation : StructuredPrior
        Prior of what the scaled guess leaves.
    directions : ndarray, shape (n_parameters, n_groups)
        The guess, one column per group; independent columns.
    scale_sd : float
        Prior standard deviation of each scale about 1.
    """

    def __init__(
        self, deviation: StructuredPrior, directions: NDArray[np.float64], scale_sd: float | None = None
    ) -> None:
        check_shape("directions", directions, (deviation.n_parameters, None))
        self._deviation = deviation
        self._directions = directions
        self._scale_sd = deviation.hyperpriors.guess_scale_sd if scale_sd is None else scale_sd

    def start(self, column_power: NDArray[np.float64], target_rms: float) -> NDArray[np.float64]:
        """First guess of the values, those of the deviation."""
        return self._deviation.start(column_power, target_rms)

    def other_starts(self, start: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        """Further guesses, those of the deviation."""
        return self._deviation.other_starts(start)

    def bounds(self, start: NDArray[np.float64]) -> list[tuple[float, float]]:
        """Range of each value."""
        return self._deviation.bounds(start)

    def precision(self, values: NDArray[np.float64]) -> PrecisionAboutGuess:
        """Evaluate the prior.

        Raises
        ------
        FitError
            If the precision is not positive definite.
        """
        deviation = self._deviation.precision(values)
        loaded = deviation.matrix @ self._directions
        n_groups = loaded.shape[1]
        inverse = self._directions.T @ loaded + np.eye(n_groups) / self._scale_sd**2
        factor = precision_factor(inverse, "prior about the guess")
        coupling = np.asarray(cho_solve((factor, True), np.eye(n_groups), check_finite=False))
        spread = 2 * float(np.log(np.diag(factor) * self._scale_sd).sum())
        return PrecisionAboutGuess(
            matrix=deviation.matrix - loaded @ coupling @ loaded.T,
            log_determinant=deviation.log_determinant - spread,
            deviation=deviation,
            loaded=loaded,
            coupling=coupling,
        )

    def rooted(self, values: NDArray[np.float64]) -> tuple[PrecisionAboutGuess, NDArray[np.float64]]:
        """Evaluate the prior by QR decompositions.

        With P^T P = L the scales s - 1 are taken out of |P (w' - M (s - 1))|^2 + |s - 1|^2 / tau^2.

        Returns
        -------
        precision : PrecisionAboutGuess
        root : ndarray, shape (n_parameters, n_parameters)
            Upper triangle whose square is the precision.
        """
        deviation, own = self._deviation.rooted(values)
        carried = own @ self._directions
        n_groups = carried.shape[1]
        rows = np.block(
            [
                [np.eye(n_groups) / self._scale_sd, np.zeros((n_groups, len(own)))],
                [-carried, own],
            ]
        )
        triangle = positive_diagonal(triangle_of(rows))
        of_scales = triangle[:n_groups, :n_groups]
        coupling = np.asarray(cho_solve((of_scales, False), np.eye(n_groups), check_finite=False))
        spread = 2 * float(np.log(np.diag(of_scales) * self._scale_sd).sum())
        loaded = own.T @ carried
        precision = PrecisionAboutGuess(
            matrix=deviation.matrix - loaded @ coupling @ loaded.T,
            log_determinant=deviation.log_determinant - spread,
            deviation=deviation,
            loaded=loaded,
            coupling=coupling,
        )
        return precision, triangle[n_groups:, n_groups:]

    def gradient(
        self, precision: PrecisionAboutGuess, mean: NDArray[np.float64], covariance: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Derivative of the log evidence by the values, given the posterior of the difference."""
        share = self._directions @ precision.coupling
        carried = covariance @ precision.loaded
        cross = share @ carried.T
        within = share @ (precision.loaded.T @ carried + np.linalg.inv(precision.coupling)) @ share.T
        return self._deviation.gradient(
            precision.deviation,
            mean - share @ (precision.loaded.T @ mean),
            covariance - cross - cross.T + within,
        )

    def sensitivity(
        self, precision: PrecisionAboutGuess, mean: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Minus the derivatives of the precision times the mean, and the prior covariance times them."""
        share = self._directions @ precision.coupling
        rest = mean - share @ (precision.loaded.T @ mean)
        of_rest, carried = self._deviation.sensitivity(precision.deviation, rest)
        back = precision.coupling @ (self._directions.T @ of_rest)
        return of_rest - precision.loaded @ back, carried

    def scales(
        self, precision: PrecisionAboutGuess, posterior: Posterior
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Posterior mean and standard deviation of the scales, each of shape (n_groups,)."""
        reading = precision.coupling @ precision.loaded.T
        spread = reading @ posterior.covariance_factor
        variances = np.diag(precision.coupling) + np.einsum("ij,ij->i", spread, spread)
        return 1.0 + reading @ posterior.mean, np.sqrt(variances)


@dataclass(frozen=True, eq=False)
class FitAboutGuess:
    """A fit about a guess.

    Attributes
    ----------
    posterior : Posterior                           of the parameters themselves
    scales : ndarray, shape (n_groups,)             1 where the guess of a group is zero
    scale_sds : ndarray, shape (n_groups,)
    """

    posterior: Posterior
    scales: NDArray[np.float64]
    scale_sds: NDArray[np.float64]


def fit_about_guess(
    observations: Observations,
    prior: StructuredPrior,
    noise: NoiseFamily,
    guesses: NDArray[np.float64],
    *,
    noise_hint: float,
) -> FitAboutGuess:
    """Posterior at the hyperparameters of largest evidence, with a prior about a guess.

    Parameters
    ----------
    observations : Observations
    prior : StructuredPrior
        Of the deviation from the guess.
    noise : NoiseFamily
    guesses : ndarray, shape (n_groups, n_parameters)
        One row per group of parameters that have a scale in common, zero elsewhere.
    noise_hint : float
        See `maximize_evidence`.

    Raises
    ------
    FitError
        If there is nothing to fit.
    """
    known = np.flatnonzero(np.abs(guesses).max(axis=1, initial=0.0) > 0.0)
    about = PriorAboutGuess(prior, guesses[known].T)
    center = guesses.sum(axis=0)
    shifted = fit_posterior(
        shift_targets(observations, center),
        about,
        noise,
        noise_hint=noise_hint,
        hyperpriors=prior.hyperpriors,
    )
    precision = about.precision(shifted.hyperparameters.prior_values)
    scales, scale_sds = np.ones(len(guesses)), np.full(len(guesses), prior.hyperpriors.guess_scale_sd)
    scales[known], scale_sds[known] = about.scales(precision, shifted)
    return FitAboutGuess(replace(shifted, mean=center + shifted.mean), scales, scale_sds)


def shift_targets(observations: Observations, center: NDArray[np.float64]) -> Observations:
    """Observations of what given parameters leave of the targets.

    Parameters
    ----------
    observations : Observations
    center : ndarray, shape (n_parameters,)
        Of the parameters that have a prior.
    """
    parts = []
    padded = np.concatenate([np.zeros(observations.n_free), center])
    for part in observations.statistics:
        carried = packed_times(part.packed, padded)
        rest = part.target_sq - padded @ (2 * part.moment - carried)
        target_sq = max(float(rest), _SMALLEST_REST * part.target_sq)
        parts.append(replace(part, moment=part.moment - carried, target_sq=target_sq))
    rows = None if observations.rows is None else lambda: [r.shifted(padded) for r in observations.roots]
    return replace(observations, statistics=tuple(parts), rows=rows, rounding_sq=observations.signal_sq)
