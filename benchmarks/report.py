"""Table, ratios and JSON of the measurements."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class Measurement(NamedTuple):
    """One number: what was measured, on which system, by whom."""

    quantity: str
    system: str
    program: str
    value: float
    unit: str


def human_seconds(seconds: float) -> str:
    """Seconds with a fitting unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def format_table(measurements: Iterable[Measurement], own: str) -> str:
    """Markdown table: a row per quantity, system and program, with the ratio to this program."""
    kept = list(measurements)
    mine = {(m.quantity, m.system): m.value for m in kept if m.program == own}
    lines = ["| quantity | system | program | CPU time | times this program |", "|---|---|---|---|---|"]
    for m in sorted(kept, key=lambda m: (m.quantity, m.system, m.program != own)):
        base = mine.get((m.quantity, m.system))
        ratio = f"{m.value / base:.3g}" if base and m.program != own else ""
        lines.append(f"| {m.quantity} | {m.system} | {m.program} | {human_seconds(m.value)} | {ratio} |")
    return "\n".join(lines)


def write_json(path: Path, measurements: Iterable[Measurement], machine: dict[str, object]) -> None:
    """All measurements and the machine."""
    document = {
        "schema": "mlff-dyn-benchmarks/1",
        "machine": machine,
        "measurements": [m._asdict() for m in measurements],
    }
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
