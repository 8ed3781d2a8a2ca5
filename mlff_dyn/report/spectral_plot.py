"""The spectral function along a path of wave vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import rc_context
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from mlff_dyn.report.plots import STYLE, save_figure

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_N_PLACES = 300
_N_BETWEEN = 6
"""Steps that those along the path are divided into."""
_LEAST_PIXELS = 2.0
"""Narrower lines are drawn with such a width, in steps between frequencies."""
_SHARPEST = 2.0
"""Width of the line whose maximum has the brightest color, over that."""
_LEAST_SHARE = 1e-3
"""Of its power, which has the darkest color."""


def line_power(frequencies_thz: np.ndarray, widths_thz: np.ndarray, places_thz: np.ndarray) -> np.ndarray:
    """Power of lines at places, 1/THz, the integral over them being one; places along the last axis.

    Parameters
    ----------
    frequencies_thz, widths_thz : ndarray
        Of one shape: of the oscillators without damping, and full widths at half maximum.
    places_thz : ndarray, shape (n,)
    """
    f, w, v = frequencies_thz[..., None], widths_thz[..., None], places_thz
    return np.asarray(2.0 / np.pi * w * v**2 / ((f**2 - v**2) ** 2 + (w * v) ** 2))


def plot_spectral_function(path: Path, curves: Mapping[str, Mapping[str, Any]]) -> None:
    """Draw the power spectrum of all modes along a path of wave vectors as a map of colors.

    Parameters
    ----------
    path : Path
        PNG or SVG file.
    curves : mapping
        By label: ``path`` with ``distances_per_angstrom``, ``ticks``, ``frequencies_thz`` and
        ``linewidths_thz``.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    parts = {label: each["path"] for label, each in curves.items()}
    names = ("frequencies_thz", "linewidths_thz")
    values = [[np.maximum(np.array(part[name], float), 0.0) for name in names] for part in parts.values()]
    highest = max(float((f + 2.0 * np.minimum(w, 0.1 * f)).max()) for f, w in values)
    places = np.linspace(0.0, 1.03 * highest, _N_PLACES)
    places[0] = 1e-3 * places[1]
    largest = 2.0 / (np.pi * _LEAST_PIXELS * _SHARPEST * places[1])
    scale = LogNorm(_LEAST_SHARE * largest, largest, clip=True)
    settings: dict[str, Any] = {"norm": scale, "cmap": "magma", "shading": "gouraud"}
    with rc_context(STYLE):
        figure = Figure(figsize=(8.6, 0.6 + 3.6 * len(parts)), layout="constrained")
        panels = figure.subplots(len(parts), 1, squeeze=False)[:, 0]
        for panel, (label, part), (frequencies, widths) in zip(panels, parts.items(), values, strict=True):
            distances = np.array(part["distances_per_angstrom"], float)
            for piece in np.split(np.arange(len(distances)), np.flatnonzero(np.diff(distances) <= 0.0) + 1):
                if len(piece) > 1:
                    fine, f, w = _finer(distances[piece], frequencies[piece], widths[piece])
                    power = line_power(f, np.maximum(w, _LEAST_PIXELS * places[1]), places).sum(axis=1)
                    mesh = panel.pcolormesh(fine, places, power.T, rasterized=True, **settings)
            ticks = part["ticks"]
            panel.set_xticks(
                [each["distance_per_angstrom"] for each in ticks], [each["name"] for each in ticks]
            )
            panel.set(xlim=(distances[0], distances[-1]), ylim=(0.0, places[-1]))
            panel.set(ylabel="Frequency (THz)", title=label)
            figure.colorbar(mesh, ax=panel, label="Power (1/THz)", pad=0.01)
        save_figure(figure, path)


def _finer(
    distances: np.ndarray, frequencies: np.ndarray, widths: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """More points along a piece of the path."""
    n = len(distances)
    steps = np.linspace(0.0, n - 1.0, _N_BETWEEN * (n - 1) + 1)
    first = np.minimum(steps.astype(int), n - 2)
    share = steps - first
    values = (each.reshape(n, -1) for each in (distances, frequencies, widths))
    fine = [each[first] + share[:, None] * (each[first + 1] - each[first]) for each in values]
    return fine[0][:, 0], fine[1], fine[2]
