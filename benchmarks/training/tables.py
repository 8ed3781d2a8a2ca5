"""Medians over the seeds, as tables in Markdown."""

from __future__ import annotations

from collections import defaultdict
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.training.trainings import PUBLISHED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.training.dynamics import LongRun
    from benchmarks.training.trainings import Run


def summarize_runs(runs: Sequence[Run]) -> list[str]:
    """One row for each material and criterion; cells with several values are for all temperatures in turn."""
    groups: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in runs:
        groups[run.material, run.criterion].append(run)
    names = (
        "material",
        "criterion",
        "to the plateau",
        "in all",
        "in the first half",
        "error, %",
        "predicted / true",
        "left",
        "converged",
    )
    rows = []
    for (material, criterion), group in groups.items():
        rows.append(
            (
                f"{material} ({len(group)})",
                criterion,
                _needed(group),
                f"{median(run.calculations for run in group):g}",
                f"{100 * median(run.early_share for run in group):.0f} %" if group[0].called_at else "",
                _by_temperature([run.errors_at for run in group], 100.0),
                _by_temperature([run.ratios_at for run in group]),
                str(sum(run.n_stopped for run in group)),
                _said(group),
            )
        )
    return _table(names, rows)


def summarize_verdicts(runs: Sequence[Run]) -> list[str]:
    """One row: trainings, and those whose answer is wrong about the limit, both ways."""
    judged = [run.mistake for run in runs if run.criterion != PUBLISHED]
    counts = [len(judged), judged.count(1), judged.count(-1)]
    return _table(("trainings", "wrongly converged", "wrongly not"), [[str(n) for n in counts]])


def summarize_long_runs(runs: Sequence[LongRun]) -> list[str]:
    """One row for each material."""
    names = ("material", "K", "ns", "steps/s", "largest displacement, Å", "error, %", "predicted / true")
    rows = [
        (
            run.material,
            f"{run.temperature_kelvin:g}",
            f"{run.nanoseconds:.2g}",
            f"{run.steps_per_second:.0f}",
            f"{run.largest_displacement_angstrom:.2f} of {run.displacement_limit_angstrom:.2f}",
            f"{100 * run.error:.2g}",
            f"{run.ratio:.2f}",
        )
        for run in runs
    ]
    return _table(names, rows)


def _needed(group: Sequence[Run]) -> str:
    """Median calculations until the plateau; marked where it is beyond what was made."""
    needed = median(run.needed for run in group)
    n_short = sum(run.needed > run.calculations for run in group)
    return f"> {needed - 1:g}" if 2 * n_short > len(group) else f"{needed:g}"


def _said(group: Sequence[Run]) -> str:
    """How many are converged by their own answer, and below their limit by held-out frames."""
    if group[0].criterion == PUBLISHED:
        return ""
    n_converged = sum(run.status == "converged" for run in group)
    return f"{n_converged}, {n_converged - sum(run.mistake for run in group)}"


def _by_temperature(values: Sequence[dict[str, float]], factor: float = 1.0) -> str:
    medians = [median(each[kelvin] for each in values) for kelvin in values[0]]
    return " / ".join(f"{factor * value:.2f}" for value in medians)


def _table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [
        f"| {' | '.join(names)} |",
        "|---" * len(names) + "|",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]
