"""Plots of what phonons say beyond their dispersion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from mlff_dyn.report.plots import STYLE, save_figure
from mlff_dyn.report.training_plots import COLORS, draw_band

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def plot_dos(
    path: Path, frequencies: np.ndarray, densities: np.ndarray, sds: np.ndarray, species: Sequence[str]
) -> None:
    """Draw the density of states, total and by species, with a band of two standard deviations on each side.

    Parameters
    ----------
    path : Path
        PNG or SVG file.
    frequencies : ndarray, shape (n,), THz
    densities, sds : ndarray, shape (n_species, n), 1/THz
    species : sequence of str

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(6.4, 3.6), layout="constrained")
        panel = figure.subplots()
        if len(species) > 1:
            panel.plot(frequencies, densities.sum(axis=0), color="#222222", lw=1.2, label="total")
        for k, name in enumerate(species):
            color = COLORS[k % len(COLORS)]
            draw_band(panel, frequencies, densities[k], sds[k], color=color, label=name)
        panel.set(xlabel="Frequency (THz)", ylabel="Density of states (1/THz)", ylim=(0.0, None))
        panel.set_xlim(frequencies[0], frequencies[-1])
        panel.legend()
        save_figure(figure, path)


def plot_gruneisen(path: Path, frequencies: np.ndarray, values: np.ndarray, sds: np.ndarray) -> None:
    """Draw Grüneisen parameters over frequencies, with error bars of one standard deviation.

    Parameters
    ----------
    path : Path
        PNG or SVG file.
    frequencies : ndarray, shape (n,), THz
    values, sds : ndarray, shape (n,)
        Those that are not known are left out.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(6.4, 3.6), layout="constrained")
        panel = figure.subplots()
        panel.errorbar(frequencies, values, sds, fmt=".", ms=3, lw=0.6, color=COLORS[0])
        panel.axhline(0.0, color="#8a8a8a", lw=0.8, zorder=0)
        panel.set(xlabel="Frequency (THz)", ylabel="Grüneisen parameter")
        save_figure(figure, path)


def plot_spectra(path: Path, curves: Mapping[str, Mapping[str, Any]]) -> None:
    """Draw linewidths over frequencies, and the power spectrum of all modes.

    Parameters
    ----------
    path : Path
        PNG or SVG file.
    curves : mapping
        By label: ``lines`` with ``frequency_thz``, ``linewidth_thz`` and their errors, of the data and
        statistical, which are drawn together; ``frequencies_thz`` and ``power_per_mode``.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(6.4, 5.6), layout="constrained")
        widths, powers = figure.subplots(2, 1, sharex=True)
        highest, broadest = 0.0, 0.0
        for k, (label, each) in enumerate(curves.items()):
            color = COLORS[k % len(COLORS)]
            names = ("frequency", "linewidth")
            x, y = (np.array([line[f"{name}_thz"] for line in each["lines"]], float) for name in names)
            across, sd = (_both_errors(each["lines"], name) for name in names)
            widths.errorbar(x, y, sd, across, fmt=".", ms=4, lw=0.8, color=color, label=label)
            powers.plot(each["frequencies_thz"], each["power_per_mode"], lw=0.9, color=color)
            highest, broadest = max(highest, float((x + 2.0 * y).max())), max(broadest, float(y.max()))
        widths.set(ylabel="Full width at half maximum (THz)", ylim=(0.0, 1.3 * broadest))
        powers.set(xlabel="Frequency (THz)", ylabel="Power per mode", ylim=(0.0, None), xlim=(0.0, highest))
        widths.legend()
        save_figure(figure, path)


def _both_errors(lines: Sequence[Mapping[str, Any]], name: str) -> np.ndarray:
    kinds = (f"{name}_sd_thz", f"{name}_statistical_error_thz")
    return np.asarray(np.hypot(*(np.array([line[kind] or 0.0 for line in lines]) for kind in kinds)))
