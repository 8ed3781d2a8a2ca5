"""Curves and error bars in one picture, a row of panels per kind of measurement."""

from __future__ import annotations

from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.accuracy.measures import LATTICE, OWN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from matplotlib.axes import Axes

    from benchmarks.accuracy.conductivities import ConductivityPoint
    from benchmarks.accuracy.expansions import ExpansionPoint
    from benchmarks.accuracy.forecasts import ForecastScore
    from benchmarks.accuracy.measures import Point, Score
    from benchmarks.accuracy.selections import SelectionPoint
    from benchmarks.accuracy.transfers import TransferPoint

_SELECTION_STYLES = {
    "random": "o--",
    "i-optimal": "o-",
    "d-optimal": "s-",
    "max-sd": "^-",
    "i-optimal, no bias": ":",
    "i-optimal, noise of frames": "-.",
    "i-optimal, one noise": "--",
}
_PROGRAM_STYLES = {OWN: ("o-", "C3", 2.2), LATTICE: ("o-", "0.2", 1.2)}
_OTHER_COLORS = ("C0", "C1", "C2", "C4", "C5", "C6", "C7")
_COLUMNS = 4


def plot_learning(path: Path, points: list[Point]) -> None:
    """Relative force error against number of calculations."""
    with _picture(path, points, lambda p: p.system, lambda p: p.program) as panels:
        for axis, curves in panels:
            for program, curve in curves.items():
                style, color, width = _PROGRAM_STYLES.get(program, ("s--", None, 1.2))
                _plot_errors(axis, curve, style, label=program, color=color, linewidth=width, markersize=4)
            _use_decades(axis)
            axis.legend(fontsize=7)


def plot_scores(path: Path, scores: list[Score]) -> None:
    """Error over predicted error against number of calculations; dashed: force constants alone."""
    by = (lambda s: s.system, lambda s: (s.temperature_kelvin, s.program))
    with _picture(path, scores, *by, ylabel="error / predicted error") as panels:
        for axis, curves in panels:
            axis.axhspan(0.85, 1.2, color="0.92")
            axis.axhline(1.0, color="0.6", linewidth=0.8)
            temperatures = sorted({kelvin for kelvin, _ in curves})
            for (kelvin, program), curve in curves.items():
                counts = [s.n_calculations for s in curve]
                style, label = ("o-", f"{kelvin:g} K") if program == OWN else ("o--", None)
                looks = {"color": f"C{temperatures.index(kelvin)}", "label": label, "markersize": 4}
                axis.plot(counts, [s.calibration_z for s in curve], style, **looks)
            top = max(2.0, *(s.calibration_z for curve in curves.values() for s in curve))
            axis.set(ylim=(0, 1.1 * top))
            axis.legend(fontsize=7)


def plot_forecasts(path: Path, points: list[ForecastScore]) -> None:
    """Calculations foretold, with their range, against those found."""
    labels = {"xlabel": "calculations found", "ylabel": "calculations foretold"}
    by = (lambda p: f"{p.system}, {p.part}", lambda p: f"after {p.n_calculations}")
    with _picture(path, points, *by, **labels) as panels:
        for axis, curves in panels:
            top = 1.6 * max(p.found for curve in curves.values() for p in curve)
            axis.plot([0, top], [0, top], color="0.6", linewidth=0.8)
            for shift, (start, curve) in enumerate(curves.items()):
                place = np.array([p.found for p in curve]) + 0.15 * shift
                middle, low, high = (
                    np.array([1.04 * top if v is None else min(v, 1.04 * top) for v in values])
                    for values in zip(*((p.foretold, p.low, p.high) for p in curve), strict=True)
                )
                spread = [np.maximum(middle - low, 0), np.maximum(high - middle, 0)]
                axis.errorbar(place, middle, yerr=spread, fmt="o", markersize=4, linewidth=1, label=start)
            axis.set(xlim=(0, None), ylim=(0, 1.1 * top))
            axis.legend(fontsize=7, loc="upper left")


def plot_selections(path: Path, points: list[SelectionPoint]) -> None:
    """Relative force error against number of chosen frames."""
    with _picture(path, points, lambda p: f"{p.system}, {p.pool}", lambda p: p.selection) as panels:
        for axis, curves in panels:
            for selection, curve in curves.items():
                looks = {"color": "0.2" if selection == "random" else None, "markersize": 4}
                width = 2.2 if selection == "i-optimal" else 1.2
                style = _SELECTION_STYLES.get(selection, "-")
                _plot_errors(axis, curve, style, label=selection, linewidth=width, **looks)
            low, high = (
                f(100 * p.rmse_force_relative for c in curves.values() for p in c if p.n_calculations > 1)
                for f in (min, max)
            )
            margin = 0.08 * (high - low)
            axis.set(xlim=(1.7, None), ylim=(low - margin, high + margin))
            axis.title.set_size(9)
        most = max((axis for axis, _ in panels), key=lambda axis: len(axis.lines))
        legend = {"loc": "outside lower center", "ncols": len(most.lines), "fontsize": 8}
        most.figure.legend(handles=most.lines, **legend)


def plot_transfers(path: Path, points: list[TransferPoint]) -> None:
    """Relative force error with a cheap prior and without, a panel per temperature."""
    by = (lambda p: f"{p.system}, {p.temperature_kelvin:g} K", lambda p: p.prior)
    with _picture(path, points, *by) as panels:
        for axis, curves in panels:
            for prior, curve in curves.items():
                _plot_errors(axis, curve, "o-", "rmse_with_relative", color="C3", label=prior)
                _plot_errors(axis, curve, "s--", "rmse_without_relative", color="0.4", label="no prior")
            _use_decades(axis)
            axis.legend(fontsize=7)


def plot_expansions(path: Path, points: list[ExpansionPoint]) -> None:
    """Relative force error of expansions of different size."""
    by = (lambda p: p.system, _size_of_expansion)
    with _picture(path, points, *by) as panels:
        for axis, curves in panels:
            for name, curve in curves.items():
                _plot_errors(axis, curve, "o-", label=name, markersize=5)
            axis.set(ylim=(0, None))
            axis.legend(fontsize=6)


def plot_conductivities(path: Path, points: list[ConductivityPoint]) -> None:
    """Logarithm of conductivity over finite differences; bars from the lowest to the highest training."""
    labels = {"ylabel": "100 ln(conductivity / truth)"}
    with _picture(path, points, lambda p: p.system, lambda p: p.program, **labels) as panels:
        for panel, (axis, curves) in enumerate(panels):
            axis.axhline(0.0, color="0.6", linewidth=0.8)
            for place, (program, curve) in enumerate(curves.items()):
                style, color, width = _PROGRAM_STYLES.get(
                    program, ("s--", _OTHER_COLORS[place % len(_OTHER_COLORS)], 1.2)
                )
                counts = np.array([p.n_calculations for p in curve]) * 1.06 ** (place - len(curves) / 2)
                middle, low, high = (
                    100.0 * np.log([getattr(p, name) for p in curve])
                    for name in ("median_ratio", "lowest_ratio", "highest_ratio")
                )
                looks = {"color": color, "markersize": 4, "linewidth": width, "elinewidth": 1, "capsize": 2}
                spread = [middle - low, high - middle]
                axis.errorbar(counts, middle, spread, fmt=style, label=program, **looks)
                if program == OWN:
                    sd = 100.0 * np.array([p.median_sd for p in curve])
                    band = {"color": color, "alpha": 0.15, "linewidth": 0}
                    axis.fill_between(counts, -sd, sd, label="its error bar", **band)
            axis.set_xscale("log", base=2)
            axis.xaxis.set_major_formatter("{x:g}")
            axis.set_yscale("symlog", linthresh=5.0)
            ticks = np.array([1, 2, 5, 10, 30, 100, 300])
            axis.set_yticks([*-ticks[::-1], 0, *ticks])
            axis.yaxis.set_major_formatter("{x:g}")
            axis.minorticks_off()
            if panel == 0:
                axis.legend(fontsize=6)


def _size_of_expansion(point: ExpansionPoint) -> str:
    is_proposed = point.expansion.startswith("proposed")
    return f"{point.n_parameters} parameters" + (", proposed" if is_proposed else "")


@contextmanager
def _picture(
    path: Path,
    items: list[Any],
    panel: Callable[[Any], str],
    curve: Callable[[Any], Any],
    *,
    xlabel: str = "calculations",
    ylabel: str = "relative force error / %",
) -> Iterator[list[tuple[Axes, dict[Any, list[Any]]]]]:
    """Axes with the curves that belong there, grouped by the names of panel and curve; saved at the end."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    panels: dict[str, dict[Any, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for item in items:
        panels[panel(item)][curve(item)].append(item)
    n_columns = min(len(panels), _COLUMNS)
    n_rows = -(-len(panels) // n_columns)
    size = (3.6 * n_columns, 3.1 * n_rows)
    figure, axes = plt.subplots(n_rows, n_columns, figsize=size, layout="constrained", squeeze=False)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    for axis, title in zip(axes.flat, panels, strict=False):
        axis.set(title=title, xlabel=xlabel, ylabel=ylabel)
    yield list(zip(axes.flat, panels.values(), strict=False))
    figure.savefig(path, dpi=64)
    plt.close(figure)


def _plot_errors(
    axis: Axes,
    curve: list[Any],
    style: str,
    error: str = "rmse_force_relative",
    **looks: Any,  # noqa: ANN401 (as matplotlib takes them)
) -> None:
    """Per cent against number of calculations."""
    counts = [p.n_calculations for p in curve]
    axis.plot(counts, [100 * getattr(p, error) for p in curve], style, **looks)


def _use_decades(axis: Axes) -> None:
    """Logarithmic axis with plain numbers, also between powers of ten; linear for less than twofold."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axis.set_yscale("log")
    axis.xaxis.get_major_locator().set_params(integer=True)
    low, high = axis.get_ylim()
    if high < 2 * low:
        axis.set_yscale("linear")
        return
    narrow, wide = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 7), (1, 2, 5)
    subs = narrow if high < 10 * low else wide if high < 1000 * low else (1,)
    axis.yaxis.set_major_locator(LogLocator(subs=subs))
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_formatter(NullFormatter())


PLOTS: dict[str, Callable[[Path, list[Any]], None]] = {
    "learning": plot_learning,
    "scores": plot_scores,
    "forecasts": plot_forecasts,
    "selections": plot_selections,
    "transfers": plot_transfers,
    "expansions": plot_expansions,
    "conductivities": plot_conductivities,
}
