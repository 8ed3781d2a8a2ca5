"""Distances of atoms from their sites, beside those of a harmonic crystal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from mlff_dyn.report.plots import STYLE, save_figure
from mlff_dyn.units import format_kelvin

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

_COLORS = ("#1f5fa8", "#c8372d", "#2d8a4e", "#8a5fb0", "#8a8a8a", "#b0802d")
_MOST_COLUMNS = 3


@dataclass(frozen=True)
class DistanceCounts:
    """Distances from sites at one temperature.

    Attributes
    ----------
    temperature_kelvin : float
    bin_angstrom : float
    counts : mapping of str to sequence of int
        Atoms of an element over all frames, by their distance, from 0 on.
    """

    temperature_kelvin: float
    bin_angstrom: float
    counts: Mapping[str, Sequence[int]]


def plot_distances(path: Path, found: Sequence[DistanceCounts]) -> None:
    """Draw the histograms, one panel per temperature; dashed lines are normal displacements of equal size.

    Parameters
    ----------
    path : Path
        PNG or SVG file.
    found : sequence of DistanceCounts
        At least one.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    n_columns = min(len(found), _MOST_COLUMNS)
    n_rows = -(-len(found) // n_columns)
    with rc_context(STYLE):
        figure = Figure(figsize=(1.0 + 3.4 * max(n_columns, 1.4), 0.4 + 2.6 * n_rows), layout="constrained")
        panels = figure.subplots(n_rows, n_columns, squeeze=False)
        for panel, each in zip(panels.flat, found, strict=False):
            _draw(panel, each)
        for panel in panels.flat[len(found) :]:
            panel.remove()
        save_figure(figure, path)


def _draw(panel: Axes, found: DistanceCounts) -> None:
    for place, (element, counts) in enumerate(found.counts.items()):
        color = _COLORS[place % len(_COLORS)]
        distances = found.bin_angstrom * (0.5 + np.arange(len(counts)))
        density = np.array(counts) / (max(sum(counts), 1) * found.bin_angstrom)
        panel.plot(distances, density, color=color, lw=1.6, label=element)
        square = float(np.average(distances**2, weights=counts)) / 3.0 if sum(counts) else 1.0
        shape = distances**2 * np.exp(-0.5 * distances**2 / square)
        panel.plot(
            distances, np.sqrt(2.0 / np.pi) * square**-1.5 * shape, color=color, lw=1.0, ls=(0, (3, 2))
        )
    panel.set_title(f"{format_kelvin(found.temperature_kelvin)} K")
    panel.set(xlabel="Distance from the site (Å)", ylabel="Density (1/Å)")
    panel.set(xlim=(0.0, None), ylim=(0.0, None))
    panel.legend()
