"""Plots of plain arrays as PNG or SVG files, written whole or not at all."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from mlff_dyn.errors import check_shape
from mlff_dyn.store.atomic import atomic_write
from mlff_dyn.units import format_kelvin

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

_INK, _BLUE, _LIGHT_BLUE, _RED, _GRAY = "#222222", "#1f5fa8", "#9cc2e8", "#c8372d", "#8a8a8a"
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10.0,
    "legend.frameon": False,
    "xtick.color": _INK,
    "ytick.color": _INK,
}
SUFFIXES = ("png", "svg")
"""Kinds of files that every plot is drawn in."""
_DOTS_PER_INCH = 160
_MAX_COLUMNS = 3
_MAX_POINTS = 20000


@dataclass(frozen=True)
class ErrorTrace:
    """Predicted force error along the replicas of one temperature.

    Attributes
    ----------
    temperature_kelvin : float
    times_picosecond : ndarray, shape (n_samples,)
        Time of each sample.
    relative_errors : ndarray, shape (n_replicas, n_samples)
        Predicted force error over the root mean square force.
    """

    temperature_kelvin: float
    times_picosecond: np.ndarray
    relative_errors: np.ndarray

    def __post_init__(self) -> None:
        check_shape("times_picosecond", self.times_picosecond, (None,))
        check_shape("relative_errors", self.relative_errors, (None, len(self.times_picosecond)))

    @property
    def running_mean(self) -> np.ndarray:
        """Mean over all replicas and all times up to each sample, shape (n_samples,)."""
        counts = np.arange(1, len(self.times_picosecond) + 1)
        mean: np.ndarray = np.cumsum(self.relative_errors.mean(axis=0)) / counts
        return mean

    def binned(self, most: int) -> ErrorTrace:
        """Means over stretches of equal length, ``most`` of them at most; times are those of their ends."""
        length = -(-len(self.times_picosecond) // most)
        first = np.arange(0, len(self.times_picosecond), length)
        last = np.minimum(first + length, len(self.times_picosecond)) - 1
        sums = np.add.reduceat(self.relative_errors, first, axis=1)
        return ErrorTrace(self.temperature_kelvin, self.times_picosecond[last], sums / (last - first + 1))


def plot_convergence(path: Path, traces: Sequence[ErrorTrace], *, limit: float) -> None:
    """Draw the predicted force error over time, one panel per temperature.

    Parameters
    ----------
    path : Path
        PNG file.
    traces : sequence of ErrorTrace
        At least one.
    limit : float
        Limit of the relative force error.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    n_columns = 2 if len(traces) == 4 else min(len(traces), _MAX_COLUMNS)
    n_rows = math.ceil(len(traces) / n_columns)
    with rc_context(STYLE):
        figure = Figure(figsize=(1.0 + 3.4 * max(n_columns, 1.4), 0.6 + 2.7 * n_rows), layout="constrained")
        panels = figure.subplots(n_rows, n_columns, sharey=True, squeeze=False)
        for panel, trace in zip(panels.flat, traces, strict=False):
            _draw_trace(panel, trace, limit)
        for panel in panels.flat[len(traces) :]:
            panel.remove()
        _set_error_range([trace.relative_errors for trace in traces], limit, panels[0, 0])
        for row in panels:
            row[0].set_ylabel("Predicted force error / rms force")
        handles, labels = panels[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=3)
        save_figure(figure, path)


def plot_parity(path: Path, reference: np.ndarray, predicted: np.ndarray, sd: np.ndarray) -> None:
    """Draw predicted over reference forces, and how well the predicted errors fit.

    Parameters
    ----------
    path : Path
        PNG file.
    reference, predicted : ndarray, any shape, eV/Å
        Force components.
    sd : ndarray, same shape, eV/Å
        Predicted standard deviation of the error of each component.

    Raises
    ------
    DataError
        If the shapes differ or the file cannot be written.
    """
    check_shape("predicted forces", predicted, reference.shape)
    check_shape("force sd", sd, reference.shape)
    with rc_context(STYLE):
        figure = Figure(figsize=(8.6, 4.1), layout="constrained")
        left, right = figure.subplots(1, 2)
        _draw_parity(left, reference.ravel(), predicted.ravel())
        _draw_scores(right, (predicted - reference).ravel(), sd.ravel())
        save_figure(figure, path)


def _draw_trace(panel: Axes, trace: ErrorTrace, limit: float) -> None:
    replica_label: str | None = f"{len(trace.relative_errors)} replicas"
    for errors in trace.relative_errors:
        panel.plot(trace.times_picosecond, errors, color=_LIGHT_BLUE, lw=0.7, alpha=0.8, label=replica_label)
        replica_label = None
    mean = trace.running_mean
    panel.plot(trace.times_picosecond, mean, color=_BLUE, lw=2.0, label="running mean")
    panel.axhline(limit, color=_RED, lw=1.2, ls=(0, (5, 3)), label=f"limit {100.0 * limit:.3g} %")
    verdict = f"mean {100.0 * mean[-1]:.3g} %" if len(mean) else "no samples"
    panel.set_title(f"{format_kelvin(trace.temperature_kelvin)} K: {verdict}", color=_INK)
    panel.set_xlabel("Time (ps)")
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.margins(x=0.0)


def _set_error_range(errors: Sequence[np.ndarray], limit: float, panel: Axes) -> None:
    """Show zero, the limit, and all but the highest spikes; on a log axis where the limit is out of sight."""
    values = np.concatenate([array[np.isfinite(array)].ravel() for array in errors])
    values = values[values > 0.0]
    high = float(np.percentile(values, 99.9)) if len(values) else limit
    middle = float(np.median(values)) if len(values) else limit
    if max(limit / middle, high / limit) > 10.0:
        panel.set_yscale("log")
        panel.set_ylim(0.7 * min(limit, float(values.min())), 1.4 * max(limit, high))
        panel.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        panel.yaxis.set_minor_formatter(NullFormatter())
    else:
        panel.set_ylim(0.0, 1.15 * max(limit, high))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100.0 * value:.3g} %"))


def _draw_parity(panel: Axes, reference: np.ndarray, predicted: np.ndarray) -> None:
    error = float(np.sqrt(np.mean((predicted - reference) ** 2)))
    size = float(np.sqrt(np.mean(reference**2)))
    bound = 1.05 * float(max(np.abs(reference).max(), np.abs(predicted).max(), 1.0e-12))
    step = -(-len(reference) // _MAX_POINTS)
    panel.plot([-bound, bound], [-bound, bound], color=_GRAY, lw=0.8, zorder=1)
    panel.scatter(reference[::step], predicted[::step], s=7, color=_BLUE, alpha=0.35, lw=0, zorder=2)
    panel.set(
        xlim=(-bound, bound),
        ylim=(-bound, bound),
        aspect="equal",
        xlabel="Reference force (eV/Å)",
        ylabel="Predicted force (eV/Å)",
        title=f"{len(reference)} force components",
    )
    relative = f" ({100.0 * error / size:.3g} %)" if size > 0.0 else ""
    panel.text(0.04, 0.96, f"rmse {error:.3g} eV/Å{relative}", transform=panel.transAxes, va="top")


def _draw_scores(panel: Axes, errors: np.ndarray, sd: np.ndarray) -> None:
    known = sd > 0.0
    scores = errors[known] / sd[known]
    edges = np.linspace(-5.0, 5.0, 51)
    grid = np.linspace(-5.0, 5.0, 201)
    if len(scores):
        weights = np.full(len(scores), 1.0 / (len(scores) * (edges[1] - edges[0])))
        panel.hist(
            np.clip(scores, -5.0, 5.0), bins=edges.tolist(), weights=weights, color=_LIGHT_BLUE, label="found"
        )
    normal = np.exp(-0.5 * grid**2) / np.sqrt(2.0 * np.pi)
    panel.plot(grid, normal, color=_RED, lw=1.5, label="expected")
    panel.set(xlabel="Error / predicted sd", ylabel="Density", title="Calibration", xlim=(-5.0, 5.0))
    panel.set_ylim(0.0, 1.25 * panel.get_ylim()[1])
    panel.legend(loc="upper right")
    if len(scores):
        rms = float(np.sqrt(np.mean(scores**2)))
        within = float(np.mean(np.abs(scores) < 1.0))
        text = f"rms {rms:.2f} (1)\nwithin 1 sd: {100.0 * within:.0f} % (68 %)"
        panel.text(0.04, 0.96, text, transform=panel.transAxes, va="top")


def save_figure(figure: Figure, path: Path) -> None:
    """Write a PNG or SVG, by its name, without time or version, so that equal data give equal bytes."""
    is_svg = path.suffix == ".svg"
    canvas = FigureCanvasSVG(figure) if is_svg else FigureCanvasAgg(figure)
    metadata = {"Date": None, "Creator": None} if is_svg else {"Software": None}
    with atomic_write(path) as temporary, rc_context({"svg.hashsalt": path.stem}):
        canvas.print_figure(
            temporary, dpi=_DOTS_PER_INCH, format=path.suffix.removeprefix("."), metadata=metadata
        )
