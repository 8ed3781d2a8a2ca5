"""The temperatures, sources and orders of a training as people read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlff_dyn.report.numbers import format_count, format_percent
from mlff_dyn.units import format_kelvin

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


ALL_ORDERS = "training.fit.growing_orders is false: all are in use"
"""Why no orders are told."""


def temperature_rows(temperatures: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return a row for each temperature from the JSON values of its summary."""
    rows = []
    for values in temperatures:
        parts = [str(values["status"])]
        for name, text in (("force_sd_relative", "expected"), ("found_force_error_relative", "last found")):
            if values[name] is not None:
                parts.append(f"{text} {format_percent(values[name])}")
        count = values["n_calculations"]
        parts.append(f"{count} calculation{'s' if count != 1 else ''}, {values['n_steps']} MD steps")
        rows.append((f"{format_kelvin(values['temperature_kelvin'])} K", "; ".join(parts)))
    return rows


def source_rows(
    file: Mapping[str, Any] | None, observable: Mapping[str, Any] | None
) -> list[tuple[str, str]]:
    """Return the rows of the user's trajectory and of an observable, from the JSON values of both."""
    rows = []
    if file is not None:
        numbers = (file["n_calculations"], file["n_frames"], file["force_sd_relative"])
        rows.append(("trajectory file", describe_file(file["status"], *numbers)))
    if observable is not None:
        errors = (observable["error_relative"], observable["error_limit_relative"])
        rows.append((observable["observable"], describe_observable(*errors)))
    return rows


def order_rows(orders: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Return the row of the orders in use from the JSON values of their choice; none where there was none."""
    if orders is None:
        return []
    evidences = ", ".join(f"{value:.0f} up to {order}" for order, value in orders["log_evidences"].items())
    return [("orders in use", f"{', '.join(map(str, orders['orders']))} (log evidence {evidences})")]


def describe_file(
    state: str, n_calculations: int, n_frames: int | None, error: float | None, limit: float | None = None
) -> str:
    """What came of the user's trajectory, in words; None is not known, or not told."""
    predicted = "" if n_frames is None else f", {format_count(n_frames, 'frame')} predicted"
    parts = [f"{format_count(n_calculations, 'calculation')}{predicted}", state]
    if error is not None:
        parts.append(describe_error("expected force error", error, limit))
    return "; ".join(parts)


def describe_observable(error: float | None, limit: float, n_more: int | None = None) -> str:
    """Error of an observable and how many more calculations it is expected to need, in words."""
    if error is None:
        return f"not known yet, limit {100.0 * limit:g} %"
    parts = [describe_error("expected error", error, limit)]
    if n_more:
        parts.append(f"about {format_count(n_more, 'more calculation')}")
    return "; ".join(parts)


def describe_error(name: str, error: float, limit: float | None) -> str:
    """An error and its limit, in words."""
    text = f"{name} {format_percent(error)}"
    return text if limit is None else f"{text}, limit {100.0 * limit:g} %"
