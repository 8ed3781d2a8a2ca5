"""Curves and error bars in one picture, a row of panels per kind of measurement."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from benchmarks.accuracy.measures import Point, Score, SelectionPoint


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
        axis.yaxis.set_major_formatter("{x:g}")
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


def plot_selections(path: Path, points: list[SelectionPoint]) -> None:
    """Relative force error against number of chosen frames."""
    panels = _group(points, lambda p: f"{p.system}, pool {p.pool}", lambda p: p.selection)
    figure, axes = _panels(len(panels))
    for axis, (title, curves) in zip(axes, panels.items(), strict=True):
        for selection, curve in curves.items():
            axis.plot(
                [p.n_calculations for p in curve],
                [100 * p.rmse_force_relative for p in curve],
                "o--" if selection == "random" else "o-",
                color="0.4" if selection == "random" else None,
                label=selection,
                markersize=4,
            )
        axis.set(title=title, xlabel="calculations", ylabel="relative force error / %", ylim=(0, None))
        axis.title.set_fontsize(8)
        axis.legend(fontsize=7)
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

    figure, axes = plt.subplots(1, count, figsize=(3.8 * count, 3.4), layout="constrained", squeeze=False)
    return figure, list(axes[0])


def _save(figure: Figure, path: Path) -> None:
    from matplotlib import pyplot as plt

    figure.savefig(path, dpi=130)
    plt.close(figure)
