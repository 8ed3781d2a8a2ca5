"""Means of correlated samples with their statistical error.

The integrated autocorrelation time tau = 1 + 2 sum_k rho_k of a series makes n samples worth n / tau
independent ones. The sum is cut at the first lag M >= 5 tau(M) (Sokal's window).

References
----------
Sokal, in Functional Integration, NATO ASI B 361, 131 (1997); Goodman and Weare, CAMCoS 5, 65 (2010).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.md.dynamics_limits import DYNAMICS_LIMITS, DynamicsLimits

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class CorrelatedMean:
    """Mean of correlated samples.

    Attributes
    ----------
    mean : float
    statistical_error : float or None
        Standard deviation of the mean; None where there are too few samples to know it.
    autocorrelation_time : float   in samples
    n_effective : float            independent samples

    Examples
    --------
    Every value is there ten times, so about one sample in ten is independent.

    >>> series = np.repeat(np.random.default_rng(1).standard_normal((1, 1000)), 10, axis=1)
    >>> found = correlated_mean(series)
    >>> print(f"{found.autocorrelation_time:.0f}, {found.n_effective:.0f} of {series.size}")
    9, 1072 of 10000
    """

    mean: float
    statistical_error: float | None
    autocorrelation_time: float
    n_effective: float

    @property
    def upper(self) -> float:
        """Mean plus statistical error, where that is known."""
        return self.mean + (self.statistical_error or 0.0)


def autocorrelation_time(series: NDArray[np.float64], window: float = DYNAMICS_LIMITS.window) -> float:
    """Integrated autocorrelation time in samples, averaged over independent chains.

    Parameters
    ----------
    series : ndarray, shape (n_chains, n_samples)
    window : float
        See `DynamicsLimits`.
    """
    n_samples = series.shape[1]
    centered = series - series.mean()
    transform = np.fft.rfft(centered, n=2 * n_samples, axis=1)
    products = np.fft.irfft(np.abs(transform) ** 2, axis=1)[:, :n_samples].mean(axis=0)
    products /= np.arange(n_samples, 0, -1)
    if products[0] <= 0.0:
        return 1.0
    partial = 2.0 * np.cumsum(products / products[0]) - 1.0
    inside = np.arange(n_samples) < window * partial
    cut = int(np.argmin(inside)) if not inside.all() else n_samples - 1
    return float(max(1.0, partial[cut]))


def correlated_mean(series: NDArray[np.float64], limits: DynamicsLimits = DYNAMICS_LIMITS) -> CorrelatedMean:
    """Mean over all chains and samples.

    Parameters
    ----------
    series : ndarray, shape (n_chains, n_samples)
    limits : DynamicsLimits
    """
    time = autocorrelation_time(series, limits.window)
    n_effective = max(1.0, series.size / time)
    is_known = series.size >= limits.least_samples
    error = float(series.std()) / np.sqrt(n_effective) if is_known else None
    return CorrelatedMean(float(series.mean()), error, time, n_effective)
