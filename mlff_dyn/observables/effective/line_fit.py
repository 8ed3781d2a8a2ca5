"""Frequency and width of a line from the power spectra of short series.

A line of frequency f and full width w at half maximum is that of the velocity of a damped oscillator,
x'' + g x' + (2 pi f)^2 x = noise with g = 2 pi w, which has the correlations and the power

    C(t) = (z+ exp(z+ t) - z- exp(z- t)) / (z+ - z-),    z+- = -g / 2 +- sqrt(g^2 / 4 - (2 pi f)^2)
    S(v) ~ w v^2 / ((f^2 - v^2)^2 + w^2 v^2)

whatever the damping, the maximum at f, and half of it at places exactly w apart. A series of n samples sees
correlations up to its length only; its mean power is the Fourier transform of (1 - |t| / n) C(t), exactly.
Powers of a random series are distributed exponentially around that, so the most likely line minimizes
sum_v [ln S(v) + P(v) / S(v)] (debiased Whittle likelihood). No width is added by the length of the series.

References
----------
Sykulski, Olhede, Guillaumin, Lilly and Early, Biometrika 106, 251 (2019).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import minimize

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class FitLimits:
    """Numbers that decide a fit.

    Attributes
    ----------
    least_width : float
        Width over the resolution of the series below which a line is taken for sharp.
    largest_width : float
        Width over the frequency above which there is no line.
    widths : tuple of float
        Widths over the resolution that fits begin with; the most likely result is taken.
    window : float
        Frequencies within so many times the largest of them around the line are fitted.
    nearness : float
        Distance over the frequency at which the line is looked for.
    least_power : float
        Share of the power within that distance below which it is looked for everywhere.
    background : float
        First guess of a flat background over the mean power.
    steps, further_steps : int
        Of the search, and where a line is known beforehand.
    """

    least_width: float = 1e-3
    largest_width: float = 8.0
    widths: tuple[float, ...] = (0.1, 2.0, 10.0)
    window: float = 3.0
    nearness: float = 0.3
    least_power: float = 0.5
    background: float = 1e-3
    steps: int = 400
    further_steps: int = 120


_LIMITS = FitLimits()


@dataclass(frozen=True)
class Line:
    """A line.

    Attributes
    ----------
    frequency, width : float
        In the unit of the frequencies; of the oscillator without damping, and full width at half maximum.
    """

    frequency: float
    width: float


def power_spectrum(series: NDArray[np.complex128]) -> NDArray[np.float64]:
    """Power at the frequencies k / n, k = 0 ... n // 2, of both signs together.

    Parameters
    ----------
    series : ndarray, shape (..., n)

    Returns
    -------
    ndarray, shape (..., n // 2 + 1)
    """
    n_samples = series.shape[-1]
    powers = np.abs(np.fft.fft(series, axis=-1)) ** 2 / n_samples
    half = n_samples // 2 + 1
    opposite = np.roll(powers[..., ::-1], 1, axis=-1)
    return np.asarray(0.5 * (powers + opposite)[..., :half])


def mean_power(line: Line, n_samples: int, numbers: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean power of a line of unit variance, frequencies and widths in units of the sampling rate.

    Parameters
    ----------
    line : Line
    n_samples : int
    numbers : ndarray of int
        Of the frequencies k / n_samples.
    """
    half = np.pi * line.width
    square = complex(half**2 - (2.0 * np.pi * line.frequency) ** 2)
    root = np.sqrt(square if abs(square) > _ALIKE * half**2 else _ALIKE * half**2)
    turns = np.asarray(2j * np.pi * numbers / n_samples, np.complex128)
    parts = [(z / (2.0 * sign * root), z) for sign in (1.0, -1.0) for z in [sign * root - half]]
    sums = [factor * _weighted_sum(z, turns, n_samples) for factor, z in parts]
    return np.asarray(np.maximum(2.0 * (sums[0] + sums[1]).real - 1.0, 0.0))


def _weighted_sum(exponent: complex, turns: NDArray[np.complex128], n_samples: int) -> NDArray[np.complex128]:
    """Sum of (1 - t / n) exp(t (exponent - turn)) over t = 0 ... n - 1, where n turns are whole ones."""
    less = np.expm1(exponent - turns)
    return np.asarray(-1.0 / less + (1.0 + less) * np.expm1(exponent * n_samples) / (n_samples * less**2))


def fit_line(
    powers: NDArray[np.float64], n_samples: int, frequency: float, known: Line | None = None
) -> Line:
    """Most likely line, with a flat background below it.

    Parameters
    ----------
    powers : ndarray, shape (n_samples // 2 + 1,)
        Mean of power spectra; see `power_spectrum`.
    n_samples : int
        Of each series.
    frequency : float
        Where the line is expected, in units of the sampling rate.
    known : Line, optional
        Of nearly the same powers, to begin with.
    """
    resolution = 1.0 / n_samples
    least = max(_LIMITS.widths) * resolution
    if known is not None:
        return _fitted(powers, n_samples, known, max(least, known.width), _LIMITS.further_steps)[1]
    center = _center(powers, frequency, resolution)
    broad = max(least, 2.0 * _half_power(powers, center, resolution))
    widths = {*(width * resolution for width in _LIMITS.widths), broad}
    tried = [
        _fitted(powers, n_samples, Line(center, width), broad, _LIMITS.steps) for width in sorted(widths)
    ]
    return min(tried, key=lambda each: each[0])[1]


def _fitted(
    powers: NDArray[np.float64], n_samples: int, first: Line, broad: float, steps: int
) -> tuple[float, Line]:
    """Cost of all frequencies that a line of such a width is expected at, and the line."""
    resolution, scale = 1.0 / n_samples, float(powers.mean())
    places = np.arange(len(powers)) * resolution
    chosen = np.flatnonzero(np.abs(places - first.frequency) < _LIMITS.window * broad)
    own = powers[chosen]

    def cost(values: NDArray[np.float64]) -> float:
        height, background = np.exp(np.clip(values[2:], -_LARGEST, _LARGEST))
        found = height * mean_power(_line_of(values, first, resolution), n_samples, chosen)
        found += scale * (background + _FLOOR)
        return float(np.sum(np.log(found) + own / found))

    peak = float(mean_power(first, n_samples, chosen).max())
    start = np.array([0.0, 0.0, np.log(max(own.max() / peak, _FLOOR * scale)), np.log(_LIMITS.background)])
    simplex = start + np.vstack([np.zeros(4), np.diag(_FIRST_STEPS)])
    options: Any = {"maxiter": steps, "xatol": 1e-3, "fatol": 1e-4, "initial_simplex": simplex}
    found = minimize(cost, start, method="Nelder-Mead", options=options)
    return float(found.fun), _line_of(found.x, first, resolution)


_ALIKE = 1e-10
"""Square of the difference of both exponents over that of their mean, which critical damping makes zero."""
_FLOOR = 1e-9
_LARGEST = 40.0
_FIRST_STEPS = (0.5, 0.7, 0.5, 1.0)


def _line_of(values: NDArray[np.float64], first: Line, resolution: float) -> Line:
    """Line of a shift in widths and resolutions, and of the logarithm of a width."""
    step = 0.1 * first.width + 0.3 * resolution
    width = (first.width + 0.1 * resolution) * float(np.exp(np.clip(values[1], -20.0, 5.0)))
    least, most = _LIMITS.least_width * resolution, _LIMITS.largest_width * first.frequency
    return Line(abs(first.frequency + step * float(values[0])), min(max(width, least), most))


def _center(powers: NDArray[np.float64], frequency: float, resolution: float) -> float:
    """Largest power, averaged over a few frequencies, around where the line is expected."""
    places = np.arange(len(powers)) * resolution
    near = np.abs(places - frequency) <= max(_LIMITS.nearness * frequency, 3.0 * resolution)
    if powers[near].sum() < _LIMITS.least_power * powers.sum():
        near[:] = True
    smooth = np.convolve(powers, np.ones(3) / 3.0, mode="same")
    return max(float(places[near][np.argmax(smooth[near])]), resolution)


def _half_power(powers: NDArray[np.float64], center: float, resolution: float) -> float:
    """Distance from a place within which half of the power is."""
    distances = np.abs(np.arange(len(powers)) * resolution - center)
    order = np.argsort(distances, kind="stable")
    sums = np.cumsum(powers[order])
    return float(distances[order][np.searchsorted(sums, 0.5 * sums[-1])])
