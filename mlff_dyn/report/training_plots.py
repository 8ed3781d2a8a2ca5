"""Plots of a training: errors along its dynamics, its calculations, its species, its phonons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from mlff_dyn.report.plots import STYLE, save_figure
from mlff_dyn.units import format_kelvin

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from mlff_dyn.regression.planning.forecast import Forecast

COLORS = ("#1f5fa8", "#c8372d", "#3f8f4f", "#b07d1a", "#6d4ba3", "#2a8f93")
_INK, _GRAY, _LIGHT = "#222222", "#8a8a8a", "#dddddd"


@dataclass(frozen=True, eq=False)
class ErrorSpan:
    """Predicted force error along a piece of dynamics.

    Attributes
    ----------
    temperature_kelvin : float or None        of the thermostat; None: a ramp
    steps : ndarray, shape (n,)
    errors_relative : ndarray, shape (n,)     over the root mean square force
    temperatures_kelvin : ndarray, shape (n,) of the atoms; not a number where it is not known
    """

    temperature_kelvin: float | None
    steps: np.ndarray
    errors_relative: np.ndarray
    temperatures_kelvin: np.ndarray


@dataclass(frozen=True)
class FoundError:
    """Force error of a calculation before it was trained on, over the root mean square force.

    Attributes
    ----------
    number : int            of the calculation, from 1
    step : int              of the dynamics before it
    expected, found : float
        Not a number where it was not predicted.
    """

    number: int
    step: int
    expected: float
    found: float


def plot_errors_over_steps(
    path: Path, spans: Sequence[ErrorSpan], calculations: Sequence[FoundError], *, limit: float
) -> None:
    """Draw predicted errors along all exploring dynamics, with the calculations between them.

    Parameters
    ----------
    path : Path
        PNG or SVG file.
    spans : sequence of ErrorSpan
        At least one.
    calculations : sequence of FoundError
    limit : float
        Of the relative force error.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(8.6, 4.8), layout="constrained")
        panel, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
        temperatures = list(dict.fromkeys(span.temperature_kelvin for span in spans))
        for temperature, color in zip(temperatures, _cycled(len(temperatures)), strict=True):
            label: str | None = "ramp" if temperature is None else f"{format_kelvin(temperature)} K"
            if temperature is not None:
                below.axhline(temperature, color=color, lw=0.8, ls=(0, (2, 2)))
            for span in spans:
                if span.temperature_kelvin == temperature:
                    panel.plot(span.steps, span.errors_relative, color=color, lw=1.6, label=label)
                    below.plot(span.steps, span.temperatures_kelvin, color=color, lw=1.0)
                    label = None
        for calculation in calculations:
            for each in (panel, below):
                each.axvline(calculation.step, color=_LIGHT, lw=1.0, zorder=0)
        panel.axhline(limit, color=_INK, lw=1.0, ls=(0, (5, 3)), label=f"limit {100 * limit:.3g} %")
        panel.plot(
            [each.step for each in calculations],
            [each.found for each in calculations],
            "o", ms=4.5, mfc="white", mec=_INK, label="found by a calculation",
        )  # fmt: skip
        panel.set(ylabel="Force error / rms force", ylim=(0.0, None))
        panel.yaxis.set_major_formatter(PercentFormatter(1.0))
        below.set(xlabel="Steps of molecular dynamics", ylabel="Temperature (K)")
        figure.legend(loc="outside upper center", ncols=4)
        save_figure(figure, path)


def plot_ramps(path: Path, ramps: Sequence[ErrorSpan], *, limit: float, asked_kelvin: float) -> None:
    """Draw predicted errors over the temperature of the thermostat, of one ramp after the other.

    Parameters
    ----------
    path : Path
        PNG or SVG file.
    ramps : sequence of ErrorSpan
        At least one.
    limit : float
        Of the relative force error.
    asked_kelvin : float
        Highest temperature that the limit is for.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(5.4, 3.4), layout="constrained")
        panel = figure.subplots()
        for number, ramp in enumerate(ramps, start=1):
            x, y = ramp.temperatures_kelvin, ramp.errors_relative
            is_last = number == len(ramps)
            label = "last ramp" if is_last else None
            panel.plot(x, y, "o-", ms=2.5, color=COLORS[0] if is_last else _GRAY, lw=1.0, label=label)
        panel.axhline(limit, color=_INK, lw=1.0, ls=(0, (5, 3)), label=f"limit {100 * limit:.3g} %")
        panel.axvline(asked_kelvin, color=_INK, lw=1.0, ls=(0, (1, 2)))
        panel.set(xlabel="Temperature (K)", ylabel="Force error / rms force", ylim=(0.0, None))
        panel.yaxis.set_major_formatter(PercentFormatter(1.0))
        panel.legend()
        save_figure(figure, path)


def plot_learning(
    path: Path, calculations: Sequence[FoundError], *, limit: float, ahead: Forecast | None = None
) -> None:
    """Draw expected and found error of each calculation before it was trained on.

    Parameters
    ----------
    path : Path
        PNG or SVG file.
    calculations : sequence of FoundError
    limit : float
        Of the relative force error.
    ahead : Forecast, optional
        Calculations after these until the limit is reached.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    numbers = [each.number for each in calculations]
    with rc_context(STYLE):
        figure = Figure(figsize=(5.4, 3.4), layout="constrained")
        panel = figure.subplots()
        expected = [each.expected for each in calculations]
        panel.plot(numbers, expected, "s-", ms=3.5, color=COLORS[0], lw=1.6, label="expected")
        panel.plot(numbers, [each.found for each in calculations], "o", ms=5, color=COLORS[1], label="found")
        panel.axhline(limit, color=_INK, lw=1.0, ls=(0, (5, 3)), label=f"limit {100 * limit:.3g} %")
        panel.set(xlabel="Calculation", ylabel="Force error / rms force", ylim=(0.0, None))
        last = max(numbers, default=1)
        if ahead is not None and ahead.n_calculations:
            last += _draw_forecast(panel, last, expected[-1], ahead, limit)
        panel.set_xlim(0.5, last + 0.5)
        panel.set_ylim(0.0, 1.1 * panel.get_ylim()[1])
        panel.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        panel.yaxis.set_major_formatter(PercentFormatter(1.0))
        panel.legend()
        save_figure(figure, path)


def _draw_forecast(panel: Axes, last: int, error: float, ahead: Forecast, limit: float) -> int:
    """Draw the way to the limit with its range; return how many calculations it takes at most."""
    needed = ahead.n_calculations or 0
    panel.plot(
        [last, last + needed], [error, limit], color=COLORS[0], lw=1.2, ls=(0, (3, 2)), label="forecast"
    )
    ends = (needed if ahead.low is None else ahead.low, needed if ahead.high is None else ahead.high)
    panel.plot([last + ends[0], last + ends[1]], [limit, limit], color=COLORS[0], lw=4.0, alpha=0.4)
    return max(needed, min(ends[1], 3 * needed))


def plot_species_errors(path: Path, errors: Mapping[str, tuple[float, float]]) -> None:
    """Draw found and predicted force error of each species.

    Parameters
    ----------
    path : Path
        PNG or SVG file.
    errors : mapping of str to (float, float)
        Species to found and predicted root mean square error, eV/Å.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(1.8 + 1.1 * len(errors), 3.0), layout="constrained")
        panel = figure.subplots()
        places = np.arange(len(errors))
        for shift, (name, color) in enumerate((("found", COLORS[1]), ("predicted", COLORS[0]))):
            heights = [pair[shift] for pair in errors.values()]
            panel.bar(places + 0.38 * (shift - 0.5), heights, 0.36, color=color, label=name)
        panel.set_xticks(places, list(errors))
        panel.set_ylabel("Force error (eV/Å)")
        panel.set_ylim(0.0, 1.35 * panel.get_ylim()[1])
        panel.legend(ncols=2, loc="upper center")
        save_figure(figure, path)


def plot_dispersion(
    path: Path,
    distances: np.ndarray,
    frequencies: np.ndarray,
    sds: np.ndarray,
    ticks: Sequence[tuple[float, str]],
    *,
    others: Mapping[str, tuple[np.ndarray, np.ndarray]] | None = None,
) -> None:
    """Draw phonon frequencies along a path, with a band of two standard deviations on each side.

    Parameters
    ----------
    path : Path
        PNG or SVG file.
    distances : ndarray, shape (n,)
    frequencies, sds : ndarray, shape (n, n_modes), THz
        Imaginary frequencies are negative.
    ticks : sequence of (float, str)
        Places and names of special points.
    others : mapping, optional
        Frequencies and standard deviations of further curves by their labels; the first ones are then
        labelled as harmonic, and gray.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(8.6, 4.2), layout="constrained")
        panel = figure.subplots()
        curves = {"harmonic": (frequencies, sds), **(others or {})}
        colors = _cycled(1) if others is None else [_GRAY, *_cycled(len(others))]
        for color, (label, (values, spread)) in zip(colors, curves.items(), strict=True):
            _draw_bands(panel, distances, values, spread, color=color, label=label)
        for place, _ in ticks:
            panel.axvline(place, color=_LIGHT, lw=0.8, zorder=0)
        panel.axhline(0.0, color=_GRAY, lw=0.8, zorder=0)
        panel.set_xticks([place for place, _ in ticks], [name for _, name in ticks])
        panel.set(xlim=(distances[0], distances[-1]), ylabel="Frequency (THz)")
        every = np.concatenate([values for values, _ in curves.values()])
        panel.set_ylim(min(0.0, 1.1 * float(every.min())), 1.06 * float(every.max()))
        if others is not None:
            panel.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(curves))
        save_figure(figure, path)


def _draw_bands(
    panel: Axes, distances: np.ndarray, frequencies: np.ndarray, sds: np.ndarray, *, color: str, label: str
) -> None:
    """Lines of all modes; a path that jumps is drawn in pieces."""
    jumps = np.flatnonzero(np.diff(distances) <= 0.0) + 1
    for piece in np.split(np.arange(len(distances)), jumps):
        for mode in range(frequencies.shape[1]):
            line, spread = frequencies[piece, mode], sds[piece, mode]
            name = label if piece[0] == mode == 0 else None
            draw_band(panel, distances[piece], line, spread, color=color, label=name)


def draw_band(
    panel: Axes, x: np.ndarray, values: np.ndarray, sds: np.ndarray, *, color: str, label: str | None = None
) -> None:
    """Draw a line with two standard deviations on each side."""
    panel.fill_between(x, values - 2.0 * sds, values + 2.0 * sds, color=color, alpha=0.2, lw=0)
    panel.plot(x, values, color=color, lw=1.1, label=label)


def _cycled(count: int) -> list[str]:
    return [COLORS[k % len(COLORS)] for k in range(count)]
