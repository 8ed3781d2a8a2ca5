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
        parts = [file["status"]]
        if file["force_sd_relative"] is not None:
            parts.append(f"expected {format_percent(file['force_sd_relative'])}")
        parts.append(f"{format_count(file['n_calculations'], 'calculation')}")
        if file["n_frames"] is not None:
            parts[-1] += f", {format_count(file['n_frames'], 'frame')} predicted"
        rows.append(("trajectory file", "; ".join(parts)))
    if observable is not None:
        error, limit = observable["error_relative"], format_percent(observable["error_limit_relative"])
        expected = "not stable yet" if error is None else f"expected error {format_percent(error)}"
        rows.append((observable["observable"], f"{expected}, limit {limit}"))
    return rows


def order_rows(orders: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Return the row of the orders in use from the JSON values of their choice; none where there was none."""
    if orders is None:
        return []
    evidences = ", ".join(f"{value:.0f} up to {order}" for order, value in orders["log_evidences"].items())
    return [("orders in use", f"{', '.join(map(str, orders['orders']))} (log evidence {evidences})")]
