"""Held-out error after each calculation, one panel for each material."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.training.runs import Run

_COLORS = {"trajectory": "C3", "paper": "C0", "per-step": "C2", "fixed": "0.5", "random": "C1"}


def plot_runs(path: Path, runs: list[Run]) -> None:
    """Draw medians over the seeds, and single trainings thinly."""
    materials = list(dict.fromkeys(run.material for run in runs))
    figure = Figure(figsize=(4.2 * len(materials), 3.6), layout="constrained")
    panels = figure.subplots(1, len(materials), squeeze=False)[0]
    for panel, material in zip(panels, materials, strict=True):
        for criterion in dict.fromkeys(run.criterion for run in runs):
            group = [run for run in runs if (run.material, run.criterion) == (material, criterion)]
            color = _COLORS.get(criterion, "k")
            for run in group:
                numbers = np.arange(1, len(run.errors) + 1)
                panel.plot(numbers, 100 * np.array(run.errors), color=color, lw=0.5, alpha=0.35)
            longest = max((len(run.errors) for run in group), default=0)
            table = np.full((len(group), longest), np.nan)
            for row, run in zip(table, group, strict=True):
                row[: len(run.errors)] = 100 * np.array(run.errors)
                row[len(run.errors) :] = 100 * run.errors[-1]
            if longest:
                panel.plot(
                    np.arange(1, longest + 1), np.median(table, axis=0), color=color, lw=2, label=criterion
                )
        panel.set(title=material, xlabel="Calculations", yscale="log")
    panels[0].set_ylabel("Held-out force error (%)")
    panels[0].legend(frameon=False)
    FigureCanvasAgg(figure).print_figure(path, dpi=150)
