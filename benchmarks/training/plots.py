"""Held-out error after each calculation, one panel for each material."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from benchmarks.training.trainings import Run

_MOST_COLUMNS = 3
_COLORS = {
    "trajectory": "C3",
    "paper": "C0",
    "per-step": "C2",
    "fixed": "0.5",
    "random": "C1",
    "published": "C4",
}


def plot_runs(path: Path, runs: Sequence[Run]) -> None:
    """Draw medians over the seeds, single trainings thinly, and a dot where each of them ended."""
    materials = list(dict.fromkeys(run.material for run in runs))
    n_columns = min(_MOST_COLUMNS, len(materials))
    n_rows = -(-len(materials) // n_columns)
    figure = Figure(figsize=(3.4 * n_columns + 0.6, 3.1 * n_rows + 0.5), layout="constrained")
    grid = figure.subplots(n_rows, n_columns, squeeze=False)
    panels = grid.ravel()[: len(materials)]
    for panel in grid.ravel()[len(materials) :]:
        panel.set_axis_off()
    for panel, material in zip(panels, materials, strict=True):
        own = [run for run in runs if run.material == material]
        panel.axhline(100 * own[0].plateau, color="k", lw=0.8, ls=":")
        for criterion in dict.fromkeys(run.criterion for run in own):
            _draw(panel, [run for run in own if run.criterion == criterion], criterion)
        panel.set(title=material, xlabel="Calculations", xscale="log", yscale="log")
        panel.set_xticks([1, 2, 5, 10, 20, 30], ["1", "2", "5", "10", "20", "30"])
        panel.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        panel.yaxis.set_major_formatter(FormatStrFormatter("%g"))
        panel.minorticks_off()
    for panel in grid[:, 0]:
        panel.set_ylabel("Held-out force error (%)")
    handles = {line.get_label(): line for panel in panels for line in panel.get_lines()}
    shown = [name for name in _COLORS if name in handles]
    figure.legend([handles[name] for name in shown], shown, loc="outside lower center", ncols=len(shown))
    FigureCanvasAgg(figure).print_figure(path, dpi=120)


def _draw(panel: Axes, group: Sequence[Run], criterion: str) -> None:
    color = _COLORS[criterion]
    for run in group:
        panel.plot(run.numbers, 100 * np.array(run.errors), color=color, lw=0.5, alpha=0.35)
        panel.plot(run.numbers[-1], 100 * run.errors[-1], "o", color=color, ms=3)
    last = int(np.median([run.calculations for run in group]))
    first = max(run.numbers[0] for run in group)
    numbers = [n for n in sorted({n for run in group for n in run.numbers}) if first <= n <= max(last, first)]
    logs = [[np.interp(n, run.numbers, np.log(run.errors)) for n in numbers] for run in group]
    panel.plot(numbers, 100 * np.exp(np.median(logs, axis=0)), color=color, lw=2, label=criterion)
