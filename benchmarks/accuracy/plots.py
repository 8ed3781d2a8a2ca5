"""Curves and error bars in one picture, a row of panels per kind of measurement."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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
_COLUMNS = 4


def plot_learning(path: Path, points: list[Point]) -> None:
    """Relative force error against number of calculations."""
    panels = _group(points, lambda p: p.system, lambda p: p.program)
    figure, axes = _panels(len(panels))
    for axis, (system, curves) in zip(axes, panels.items(), strict=True):
        for program, curve in curves.items():
            own = program == "mlff_dyn"
            axis.plot(
                [p.n_calculations for p in curve],
                [100 * p.rmse_force_relative for p in curve],
                "o-" if own else "s--",
                label=program,
                color="C3" if own else None,
                linewidth=2.2 if own else 1.2,
                markersize=4,
            )
        axis.set(
            title=system,
            xlabel="calculations",
            ylabel="relative force error / %",
            yscale="log",
        )
        _label_decades(axis)
        axis.legend(fontsize=7)
    _save(figure, path)


def plot_scores(path: Path, scores: list[Score]) -> None:
    """Error over predicted error against number of calculations, a line per temperature."""
    panels = _group(scores, lambda s: s.system, lambda s: f"{s.temperature_kelvin:g} K")
    figure, axes = _panels(len(panels))
    for axis, (system, curves) in zip(axes, panels.items(), strict=True):
        axis.axhspan(0.85, 1.2, color="0.92")
        axis.axhline(1.0, color="0.6", linewidth=0.8)
        for kelvin, curve in curves.items():
            axis.plot([s.n_calculations for s in curve], [s.calibration_z for s in curve], "o-", label=kelvin)
        top = max(2.0, *(s.calibration_z for curve in curves.values() for s in curve))
        axis.set(title=system, xlabel="calculations", ylabel="error / predicted error", ylim=(0, 1.1 * top))
        axis.legend(fontsize=7)
    _save(figure, path)


def plot_forecasts(path: Path, points: list[ForecastScore]) -> None:
    """Calculations foretold, with their range, against those found."""
    panels = _group(points, lambda p: f"{p.system}, {p.part}", lambda p: f"after {p.n_calculations}")
    figure, axes = _panels(len(panels))
    for axis, (system, curves) in zip(axes, panels.items(), strict=True):
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
        axis.set(title=system, xlabel="calculations found", ylabel="calculations foretold")
        axis.set(xlim=(0, None), ylim=(0, 1.1 * top))
        axis.legend(fontsize=7, loc="upper left")
    _save(figure, path)


def plot_selections(path: Path, points: list[SelectionPoint]) -> None:
    """Relative force error against number of chosen frames."""
    panels = _group(points, lambda p: f"{p.system}, {p.pool}", lambda p: p.selection)
    figure, axes = _panels(len(panels))
    for axis, (title, curves) in zip(axes, panels.items(), strict=True):
        for selection, curve in curves.items():
            axis.plot(
                [p.n_calculations for p in curve],
                [100 * p.rmse_force_relative for p in curve],
                _SELECTION_STYLES.get(selection, "-"),
                color="0.2" if selection == "random" else None,
                label=selection,
                linewidth=2.2 if selection == "i-optimal" else 1.2,
                markersize=4,
            )
        low, high = (
            f(100 * p.rmse_force_relative for c in curves.values() for p in c if p.n_calculations > 1)
            for f in (min, max)
        )
        margin = 0.08 * (high - low)
        axis.set(xlabel="calculations", ylabel="relative force error / %")
        axis.set(xlim=(1.7, None), ylim=(low - margin, high + margin))
        axis.set_title(title, fontsize=9)
    most = max(axes, key=lambda axis: len(axis.lines))
    figure.legend(handles=most.lines, loc="outside lower center", ncols=len(most.lines), fontsize=8)
    _save(figure, path)


def plot_transfers(path: Path, points: list[TransferPoint]) -> None:
    """Relative force error with a cheap prior and without, a panel per temperature."""
    panels = _group(points, lambda p: f"{p.system}, {p.temperature_kelvin:g} K", lambda p: p.prior)
    figure, axes = _panels(len(panels))
    for axis, (title, curves) in zip(axes, panels.items(), strict=True):
        for prior, curve in curves.items():
            counts = [p.n_calculations for p in curve]
            axis.plot(counts, [100 * p.rmse_with_relative for p in curve], "o-", color="C3", label=prior)
            without = [100 * p.rmse_without_relative for p in curve]
            axis.plot(counts, without, "s--", color="0.4", label="no prior")
        axis.set(title=title, xlabel="calculations", ylabel="relative force error / %", yscale="log")
        _label_decades(axis)
        axis.legend(fontsize=7)
    _save(figure, path)


def plot_expansions(path: Path, points: list[ExpansionPoint]) -> None:
    """Relative force error of expansions of different size."""
    panels = _group(points, lambda p: p.system, lambda p: f"{p.expansion} ({p.n_parameters})")
    figure, axes = _panels(len(panels))
    for axis, (system, curves) in zip(axes, panels.items(), strict=True):
        for name, curve in curves.items():
            errors = [100 * p.rmse_force_relative for p in curve]
            axis.plot([p.n_calculations for p in curve], errors, "o-", label=name, markersize=5)
        axis.set(title=system, xlabel="calculations", ylabel="relative force error / %", ylim=(0, None))
        axis.legend(fontsize=6)
    _save(figure, path)


def _group(
    items: list[Any], panel: Callable[[Any], str], curve: Callable[[Any], str]
) -> dict[str, dict[str, list[Any]]]:
    panels: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for item in items:
        panels[panel(item)][curve(item)].append(item)
    return panels


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    n_columns = min(count, _COLUMNS)
    n_rows = -(-count // n_columns)
    size = (3.6 * n_columns, 3.1 * n_rows)
    figure, axes = plt.subplots(n_rows, n_columns, figsize=size, layout="constrained", squeeze=False)
    for axis in axes.flat[count:]:
        axis.set_visible(False)
    return figure, list(axes.flat[:count])


def _label_decades(axis: Axes) -> None:
    """Plain numbers on a logarithmic axis, also between powers of ten; less than twofold: linear."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axis.xaxis.get_major_locator().set_params(integer=True)
    low, high = axis.get_ylim()
    if high < 2 * low:
        axis.set_yscale("linear")
        return
    is_narrow = high < 20 * low
    subs = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 7) if is_narrow else (1,)
    axis.yaxis.set_major_locator(LogLocator(subs=subs))
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_formatter(NullFormatter())


def _save(figure: Figure, path: Path) -> None:
    from matplotlib import pyplot as plt

    figure.savefig(path, dpi=64)
    plt.close(figure)


PLOTS: dict[str, Callable[[Path, list[Any]], None]] = {
    "learning": plot_learning,
    "scores": plot_scores,
    "forecasts": plot_forecasts,
    "selections": plot_selections,
    "transfers": plot_transfers,
    "expansions": plot_expansions,
}
