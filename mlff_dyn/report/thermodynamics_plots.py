"""Plots of elastic constants, thermal expansion and thermal functions over the temperature."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib import rc_context
from matplotlib.figure import Figure

from mlff_dyn.report.plots import STYLE, save_figure
from mlff_dyn.report.training_plots import COLORS, draw_band

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np

Curve = tuple["np.ndarray", "np.ndarray", "np.ndarray | None"]
"""Values, standard deviations of the data, and Monte Carlo errors where there are some."""


def plot_curves(path: Path, temperatures: np.ndarray, curves: Mapping[str, Curve], label: str) -> None:
    """Draw quantities over the temperature.

    A band is two standard deviations of the data on each side, a bar one Monte Carlo error.

    Parameters
    ----------
    path : Path
        PNG or SVG file.
    temperatures : ndarray, shape (n,), K
    curves : mapping of str to tuple of ndarray, shape (n,)
        By name.
    label : str
        Of the axis, with the unit.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(6.4, 3.6), layout="constrained")
        panel = figure.subplots()
        for k, (name, (values, sds, errors)) in enumerate(curves.items()):
            color = COLORS[k % len(COLORS)]
            draw_band(panel, temperatures, values, sds, color=color, label=name)
            panel.errorbar(temperatures, values, errors, fmt=".", ms=5, lw=0.9, capsize=2, color=color)
        panel.set(xlabel="Temperature (K)", ylabel=label)
        panel.legend()
        save_figure(figure, path)
