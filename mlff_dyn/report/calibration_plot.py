"""Are predicted errors right? Coverage, and size where small and where large errors are predicted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, PercentFormatter, StrMethodFormatter
from scipy.special import erfinv

from mlff_dyn.errors import check_shape
from mlff_dyn.report.plots import STYLE, save_figure

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from matplotlib.axes import Axes

_COLORS = {"predictive": "#1f5fa8", "epistemic": "#c8372d", "truncation": "#3f8f4f"}
_GRAY = "#8a8a8a"
_N_BINS = 12
_LARGEST_SPAN_IN_STEPS = 50.0
_SMALLEST_DECIMAL = 1e-3


def plot_calibration(path: Path, errors: np.ndarray, sds: Mapping[str, np.ndarray], *, unit: str) -> None:
    """Draw found over expected coverage, and found over predicted errors.

    Parameters
    ----------
    path : Path
        PNG file.
    errors : ndarray, any shape
        Prediction minus truth.
    sds : mapping of str to ndarray, same shape
        Predicted standard deviations by the name of their kind.
    unit : str
        Of both.

    Raises
    ------
    DataError
        If the shapes differ or the file cannot be written.
    """
    for name, sd in sds.items():
        check_shape(f"{name} sd", sd, errors.shape)
    with rc_context(STYLE):
        figure = Figure(figsize=(8.6, 4.1), layout="constrained")
        left, right = figure.subplots(1, 2)
        _draw_coverage(left, errors.ravel(), {name: sd.ravel() for name, sd in sds.items()})
        _draw_sizes(right, errors.ravel(), {name: sd.ravel() for name, sd in sds.items()}, unit)
        save_figure(figure, path)


def _draw_coverage(panel: Axes, errors: np.ndarray, sds: Mapping[str, np.ndarray]) -> None:
    expected = np.linspace(0.0, 0.995, 100)
    bounds = np.sqrt(2.0) * erfinv(expected)
    panel.plot([0, 1], [0, 1], color=_GRAY, lw=0.8, ls=(0, (5, 3)))
    for name, sd in sds.items():
        known = sd > 0.0
        if not known.any():
            continue
        scores = np.sort(np.abs(errors[known]) / sd[known])
        found = np.searchsorted(scores, bounds, side="right") / len(scores)
        width = 2.0 if name == "predictive" else 1.2
        panel.plot(expected, found, color=_COLORS.get(name, _GRAY), lw=width, label=name)
    panel.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", title="Errors within their bounds")
    panel.set(xlabel="Expected fraction", ylabel="Found fraction")
    for axis in (panel.xaxis, panel.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    panel.legend(loc="upper left")


def _draw_sizes(panel: Axes, errors: np.ndarray, sds: Mapping[str, np.ndarray], unit: str) -> None:
    ends: list[float] = []
    for name, sd in sds.items():
        predicted, found = binned_sizes(errors, sd)
        if not len(predicted):
            continue
        ends += [*predicted.tolist(), *found[found > 0.0].tolist()]
        is_main = name == "predictive"
        panel.plot(
            predicted, found, "o-", ms=4 if is_main else 3, lw=1.4 if is_main else 0.8,
            color=_COLORS.get(name, _GRAY), label=name,
        )  # fmt: skip
    panel.set(xscale="log", yscale="log", title="Size of errors")
    panel.set(xlabel=f"Predicted sd ({unit})", ylabel=f"Root mean square error ({unit})")
    if ends:
        low, high = 0.7 * min(ends), 1.4 * max(ends)
        panel.plot([low, high], [low, high], color=_GRAY, lw=0.8, ls=(0, (5, 3)))
        panel.set(xlim=(low, high), ylim=(low, high), aspect="equal")
        _label_sparsely(panel, low, high)


def _label_sparsely(panel: Axes, low: float, high: float) -> None:
    """Numbers of both axes far enough apart to be read: at 1, 2 and 5 of a decade, or at decades."""
    steps = (1.0, 2.0, 5.0) if high < _LARGEST_SPAN_IN_STEPS * low else (1.0,)
    for axis in (panel.xaxis, panel.yaxis):
        axis.set_major_locator(LogLocator(subs=steps))
        axis.set_major_formatter(StrMethodFormatter("{x:.0e}" if low < _SMALLEST_DECIMAL else "{x:g}"))
        axis.set_minor_formatter(NullFormatter())


def binned_sizes(errors: np.ndarray, sd: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Root mean square of predicted and of found errors in groups of equal number and growing sd.

    Parameters
    ----------
    errors, sd : ndarray, shape (n,)

    Returns
    -------
    predicted, found : ndarray, shape (n_bins,)
    """
    known = sd > 0.0
    order = np.argsort(sd[known], kind="stable")
    groups = np.array_split(order, min(_N_BINS, len(order) // 3)) if len(order) >= 3 else []
    predicted = [float(np.sqrt(np.mean(sd[known][g] ** 2))) for g in groups]
    found = [float(np.sqrt(np.mean(errors[known][g] ** 2))) for g in groups]
    return np.array(predicted), np.array(found)
