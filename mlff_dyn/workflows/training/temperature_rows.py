"""The temperatures of a training as people read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlff_dyn.report.numbers import format_percent
from mlff_dyn.units import format_kelvin

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


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
