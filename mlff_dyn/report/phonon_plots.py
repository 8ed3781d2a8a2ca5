"""Plots of what phonons say beyond their dispersion."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib import rc_context
from matplotlib.figure import Figure

from mlff_dyn.report.plots import STYLE, save_figure
from mlff_dyn.report.training_plots import COLORS, draw_band

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np


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
