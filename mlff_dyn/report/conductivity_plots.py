"""Plots of a lattice thermal conductivity."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from mlff_dyn.report.plots import STYLE, save_figure
from mlff_dyn.report.training_plots import COLORS, draw_band

if TYPE_CHECKING:
    from pathlib import Path

_INK = "#222222"
_LEAST = 1e-9


def plot_conductivity(path: Path, kelvin: np.ndarray, kappa: np.ndarray, sds: np.ndarray) -> None:
    """Draw conductivities over temperature, with one standard deviation.

    Parameters
    ----------
    path : Path
        PNG or SVG file.
    kelvin : ndarray, shape (n,)
    kappa, sds : ndarray, shape (n,), W/mK

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(5.0, 3.6), layout="constrained")
        panel = figure.subplots()
        panel.errorbar(kelvin, kappa, sds, fmt="o-", ms=4, lw=1.0, capsize=3, color=COLORS[0])
        panel.set(xlabel="Temperature (K)", ylabel="Conductivity (W/mK)", ylim=(0.0, None))
        save_figure(figure, path)


def plot_cumulative(
    path: Path, paths: np.ndarray, frequencies: np.ndarray, parts: np.ndarray, *, relative_sd: float
) -> None:
    """Draw the conductivity of modes up to a mean free path, and up to a frequency.

    Parameters
    ----------
    path : Path
        PNG or SVG file.
    paths : ndarray, shape (n_modes,)
        Mean free paths, Å.
    frequencies : ndarray, shape (n_modes,), THz
    parts : ndarray, shape (n_modes,), W/mK
        Of each mode.
    relative_sd : float
        Of the whole; the band is two of them on each side.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(8.0, 3.6), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        moving = (paths > 0.0) & (parts > _LEAST * parts.sum())
        for panel, x in ((left, 0.1 * paths), (right, frequencies)):
            order = np.argsort(x[moving])
            sums = np.cumsum(parts[moving][order])
            draw_band(panel, x[moving][order], sums, relative_sd * sums, color=COLORS[0])
            panel.axhline(float(parts.sum()), color=_INK, lw=0.6, ls=":")
        left.set(
            xscale="log",
            xlabel="Mean free path (nm)",
            ylabel="Conductivity up to it (W/mK)",
            ylim=(0.0, None),
        )
        right.set(xlabel="Frequency (THz)", xlim=(0.0, None))
        save_figure(figure, path)
