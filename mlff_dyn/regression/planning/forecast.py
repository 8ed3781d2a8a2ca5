"""How many more calculations does a limit need? Foretold from the posterior alone, without labels.

Each calculation of a frame like some given ones adds, on average, the information G to the precision, which
is one in coordinates in which the posterior covariance is one. The n rows of a frame are few, so that the
first calculations leave directions open that the average would fill. For rows drawn independently the mean
epistemic variance after k calculations is, in the limit of many rows and parameters,

    e_k^2 = c^2 sum_i m_i / (1 + k g_i / (1 + d)),      d = (1 / n) sum_i g_i / (1 + k g_i / (1 + d))

with g_i the eigenvalues of G, m_i the diagonal of the importance M in its eigenvectors, and the calibration c
of the standard deviations. It falls steeply while calculations fill unknown directions, in the end as 1 / k.
The truncation part t^2 stays. A calibration on N configurations widens all errors for their small number, by
1 + 1 / 2 N in variance, which goes away as well. The limit L is reached by the first k with

    (e_k^2 + t^2) (1 + 1 / 2 (N + k)) / (1 + 1 / 2 N) <= L^2

The scale of the errors is known only up to a factor. A forecast is therefore made for the errors as they are,
and for all of them divided and multiplied by that factor. Where data are too few to tell truncation from what
is not known yet, the range holds both readings of it; with fewer rows than parameters the forecast itself
takes all of the error for epistemic.

| symbol | variable |
|---|---|
| G, M | mean_information, importance |
| g_i, m_i, n | rates, weights, n_rows |
| d | crowding |

References
----------
Bai and Silverstein, Spectral Analysis of Large Dimensional Random Matrices (2010): deterministic equivalents.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg.blas import dsyrk

from mlff_dyn.errors import FitError
from mlff_dyn.regression.errors.held_out import small_number_factor

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import ArrayLike, NDArray

_MOST = 10**6
_BISECTIONS = 60
_SMALLEST_VARIANCE = 1e-300


@dataclass(frozen=True, eq=False)
class LearningCurve:
    """Mean epistemic variance as a function of the number of further calculations.

    Attributes
    ----------
    rates : ndarray, shape (n_parameters,)       growth of the precision of each direction per calculation
    weights : ndarray, shape (n_parameters,)     its share of the present variance
    n_rows : float                               rows of a calculation; infinite: as if it had the mean effect
    n_calibrated : int or None                   configurations N of the calibration; None: it is exact
    """

    rates: NDArray[np.float64]
    weights: NDArray[np.float64]
    n_rows: float
    n_calibrated: int | None = None

    def variance(self, n_calculations: int) -> float:
        """Mean epistemic variance after further calculations."""
        rates = n_calculations * self.rates / (1.0 + self._crowding(n_calculations))
        return float((self.weights / (1.0 + rates)).sum())

    def _crowding(self, n_calculations: int) -> float:
        """Solution d, found by bisection between nothing and its value before any calculation."""
        low, high = 0.0, float(self.rates.sum()) / self.n_rows
        for _ in range(_BISECTIONS):
            middle = 0.5 * (low + high)
            rates = self.rates / (1.0 + n_calculations * self.rates / (1.0 + middle))
            low, high = (middle, high) if rates.sum() / self.n_rows > middle else (low, middle)
        return 0.5 * (low + high)

    def error(self, epistemic: float, truncation: float, n_calculations: int) -> float:
        """Error after further calculations, given the present parts of it, in their unit."""
        fall = self.variance(n_calculations) / max(self.variance(0), _SMALLEST_VARIANCE)
        known = self.n_calibrated
        margin = 1.0
        if known is not None:
            margin = small_number_factor(known + n_calculations) / small_number_factor(known)
        return math.sqrt(margin * (epistemic**2 * fall + truncation**2))

    def needed(self, epistemic: float, truncation: float, limit: float) -> int | None:
        """First number of calculations whose error is within the limit.

        Parameters
        ----------
        epistemic, truncation, limit : float
            Present standard deviations and the limit of both together, in one unit.

        Returns
        -------
        int or None
            None if truncation alone exceeds the limit, or a million calculations do not suffice.
        """
        if self.error(epistemic, truncation, 0) <= limit:
            return 0
        if self.error(0.0, truncation, _MOST) >= limit:
            return None
        low, high = 0, 1
        while self.error(epistemic, truncation, high) > limit:
            low, high = high, 2 * high
            if high > _MOST:
                return None
        while high - low > 1:
            middle = (low + high) // 2
            is_reached = self.error(epistemic, truncation, middle) <= limit
            low, high = (low, middle) if is_reached else (middle, high)
        return high


def learning_curve(
    designs: Iterable[NDArray[np.float64]],
    variances: Sequence[ArrayLike],
    covariance_factor: NDArray[np.float64],
    n_calibrated: int | None = None,
    slopes: NDArray[np.float64] | None = None,
) -> LearningCurve:
    """Curve for calculations of frames like the given ones, and the error averaged over these.

    Parameters
    ----------
    designs : iterable of ndarray, each of shape (n_rows, n_parameters)
        Taken one by one; none is kept.
    variances : sequence of ndarray, each of shape (n_rows,), or of float
        Noise variance of the rows of each frame.
    covariance_factor : ndarray, shape (n_parameters, n_parameters)
        F with posterior covariance F Fᵀ.
    n_calibrated : int, optional
        Configurations that the calibration of the errors rests on; default: it is exact.
    slopes : ndarray, shape (n_parameters,), optional
        Of another quantity by the parameters, whose error is meant instead.

    Raises
    ------
    FitError
        If there are no frames.
    """
    if not len(variances):
        raise FitError(
            "a forecast needs frames of the trajectories that the model is made for",
            fix="give the variances of at least one frame",
        )
    information = np.zeros((len(covariance_factor), len(covariance_factor)))
    importance = np.zeros_like(information)
    n_rows = 0
    for design, variance in zip(designs, variances, strict=True):
        n_rows += len(design)
        noise = np.broadcast_to(np.asarray(variance, np.float64), len(design))
        information += dsyrk(1.0, (design * noise[:, None] ** -0.5).T, lower=1)
        importance += dsyrk(1.0 / len(design), design.T, lower=1)
    mean_information, mean_importance = (
        covariance_factor.T @ (lower + np.tril(lower, -1).T) @ covariance_factor / len(variances)
        for lower in (information, importance)
    )
    if slopes is not None:
        mean_importance = np.outer(along := slopes @ covariance_factor, along)
    rates, vectors = np.linalg.eigh(mean_information)
    weights = np.einsum("ij,ij->j", vectors, mean_importance @ vectors)
    rows_each = n_rows / len(variances)
    return LearningCurve(np.maximum(rates, 0.0), np.maximum(weights, 0.0), rows_each, n_calibrated)


@dataclass(frozen=True)
class Forecast:
    """Number of calculations that a limit still needs.

    Attributes
    ----------
    n_calculations : int or None     None: never, truncation alone exceeds the limit
    low, high : int or None          range of the number by the uncertainty of the errors; None: no bound
    """

    n_calculations: int | None
    low: int | None
    high: int | None

    def to_json(self) -> dict[str, int | None]:
        """Return plain values."""
        return {
            "forecast_calculations": self.n_calculations,
            "forecast_calculations_low": self.low,
            "forecast_calculations_high": self.high,
        }

    def after(self, n_calculations: int) -> Forecast:
        """What remains of it once some calculations are made."""
        counts = (self.n_calculations, self.low, self.high)
        return Forecast(*(None if count is None else max(0, count - n_calculations) for count in counts))

    def __str__(self) -> str:
        """For people."""
        if self.n_calculations is None:
            return "out of reach" if self.low is None else f"at least {self.low}, perhaps out of reach"
        if (self.low, self.high) == (self.n_calculations, self.n_calculations):
            return f"about {self.n_calculations}"
        high = "more" if self.high is None else str(self.high)
        return f"about {self.n_calculations} ({self.low} to {high})"


@dataclass(frozen=True, eq=False)
class Outlook:
    """What a forecast rests on.

    Attributes
    ----------
    curve : LearningCurve
    scale_uncertainty : float      relative, of all standard deviations
    truncation_is_known : bool     whether the data suffice to tell truncation from lack of data
    truncation_is_likely : bool    whether what they tell is more likely than that all is lack of data
    """

    curve: LearningCurve
    scale_uncertainty: float
    truncation_is_known: bool
    truncation_is_likely: bool = False

    def untested(self) -> Outlook:
        """Return the outlook where no calculation has shown how much the expansion leaves out."""
        return replace(self, truncation_is_known=False)

    def forecast(self, epistemic: float, truncation: float, limit: float) -> Forecast:
        """Calculations still needed.

        Parameters
        ----------
        epistemic, truncation, limit : float
            Present standard deviations, calibrated, and the limit of both together, in one unit.
        """
        factor = 1.0 + self.scale_uncertainty
        scaled = [(scale * epistemic, scale * truncation) for scale in (1.0, 1.0 / factor, factor)]
        split = [self.curve.needed(e, t, limit) for e, t in scaled]
        if self.truncation_is_known:
            return Forecast(*split)
        joint = [self.curve.needed(math.hypot(e, t), 0.0, limit) for e, t in scaled]
        counts = [joint[0], *split, *joint]
        least = min((count for count in counts if count is not None), default=None)
        most = None if None in counts else max(count for count in counts if count is not None)
        middle = split[0] if self.truncation_is_likely and split[0] is not None else joint[0]
        return Forecast(middle, least, most)


@dataclass(frozen=True)
class TypicalSpread:
    """Scores of single configurations before there are any, by convention.

    Attributes
    ----------
    log_sd : float
        Spread of true over expected errors, natural logarithm.
    n_scores : float
        How many scores that knowledge is worth.
    """

    log_sd: float = 0.25
    n_scores: float = 2.0


TYPICAL_SPREAD = TypicalSpread()


def scale_uncertainty(
    n_configurations: int, scores: Sequence[float] = (), typical: TypicalSpread = TYPICAL_SPREAD
) -> float:
    """Relative uncertainty of a calibration.

    Parameters
    ----------
    n_configurations : int
        That it rests on.
    scores : sequence of float
        True over expected errors of single configurations; their spread is joined with a typical one.
    typical : TypicalSpread
    """
    logs = np.log(np.maximum(np.asarray(scores, float), 1e-3))
    total = typical.n_scores * typical.log_sd**2 + float(logs @ logs)
    return math.expm1(math.sqrt(total / (typical.n_scores + len(logs)) / max(1, n_configurations)))
