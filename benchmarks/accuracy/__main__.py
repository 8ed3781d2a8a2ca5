"""Measure accuracy, error bars, forecasts and selection of frames against known reference forces."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.backend import describe_slow_kernels

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.accuracy.laboratory import Laboratory

PARTS = (
    "learning",
    "scores",
    "forecasts",
    "selections",
    "transfers",
    "expansions",
    "constants",
    "error-bars",
    "conductivities",
    "sizes",
)
FOR_OBSERVABLES = ("error-bars", "conductivities", "sizes")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__)
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("benchmark-results"), help="folder of the results"
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART")
    parser.add_argument(
        "--systems", nargs="+", metavar="NAME", help="systems whose name begins with one of these"
    )
    parser.add_argument("--snse", type=Path, help="folder with unitcell, train and test.extxyz of SnSe")
    parser.add_argument("--batio3", type=Path, help="folder with results of VASP for cubic BaTiO3")
    parser.add_argument("--no-peers", action="store_true", help="this program alone")
    return parser.parse_args()


def laboratories(arguments: argparse.Namespace) -> Iterable[Laboratory]:
    from benchmarks.accuracy import recorded
    from benchmarks.accuracy.laboratory import Laboratory
    from benchmarks.accuracy.systems import SYSTEMS, is_installed

    wanted = tuple(arguments.systems or ("",))
    for system in SYSTEMS:
        if not system.name.startswith(wanted):
            continue
        missing = [name for name in system.needs if not is_installed(name)]
        if missing:
            print(f"skipped {system.name}: {', '.join(missing)} is not installed", file=sys.stderr)
            continue
        yield Laboratory(system, arguments.output / "frames")
    folders = {"SnSe": (arguments.snse, recorded.tin_selenide)}
    folders["BaTiO3"] = (arguments.batio3, recorded.barium_titanate)
    for name, (folder, of_folder) in folders.items():
        if folder and name.startswith(wanted):
            yield of_folder(folder)


def format_table(rows: list[Any]) -> str:
    """Markdown table of equal dataclasses."""
    names = [field.name for field in dataclasses.fields(rows[0])]
    lines = ["| " + " | ".join(name.replace("_", " ") for name in names) + " |", "|---" * len(names) + "|"]
    for row in rows:
        cells = [
            f"{value:.3g}" if isinstance(value, float) else str(value) for value in dataclasses.astuple(row)
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def measure(part: str, laboratory: Laboratory, arguments: argparse.Namespace) -> list[Any]:
    """Rows of one part for one system; none where it does not apply."""
    from benchmarks.accuracy import (
        conductivities,
        constants,
        error_bars,
        expansions,
        forecasts,
        measures,
        selections,
        sizes,
        transfers,
    )
    from benchmarks.accuracy.laboratory import Laboratory
    from benchmarks.accuracy.systems import CHEAP_FOR_TERSOFF, TERSOFF

    if laboratory.system.is_for_observables and part not in FOR_OBSERVABLES:
        return []
    if part == "transfers":
        if laboratory.system.name != CHEAP_FOR_TERSOFF:
            return []
        expensive = Laboratory(TERSOFF, arguments.output / "frames")
        return list(transfers.transfers(laboratory, expensive))
    measures_of = {
        "learning": partial(measures.learning_curves, with_peers=not arguments.no_peers),
        "scores": measures.scores,
        "forecasts": forecasts.forecasts,
        "selections": selections.selections,
        "expansions": expansions.expansions,
        "constants": constants.constants,
        "error-bars": error_bars.error_bars,
        "conductivities": partial(conductivities.conductivities, with_peers=not arguments.no_peers),
        "sizes": sizes.sizes,
    }
    return list(measures_of[part](laboratory))


def summaries(part: str, rows: list[Any]) -> list[Any]:
    """What is printed of a part: its rows, or what they come to."""
    from benchmarks.accuracy import selections

    return selections.gains(rows) if part == "selections" else rows


def write(target: Path, results: dict[str, list[Any]], seconds: dict[str, float]) -> None:
    """All numbers so far, and the wall time of each part."""
    document = {part: [dataclasses.asdict(row) for row in rows] for part, rows in results.items()}
    text = json.dumps({"schema": "mlff-dyn-accuracy/3", "seconds": seconds, **document}, indent=2)
    target.write_text(text + "\n", encoding="utf-8")


def main() -> int:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    arguments = parse_arguments()
    problem = describe_slow_kernels()
    if problem is not None:
        print(problem, file=sys.stderr)
        return 2
    from benchmarks.accuracy import plots

    arguments.output.mkdir(parents=True, exist_ok=True)
    results: dict[str, list[Any]] = {part: [] for part in arguments.only}
    seconds: dict[str, float] = {}
    for laboratory in laboratories(arguments):
        for part in arguments.only:
            start = time.monotonic()
            rows = measure(part, laboratory, arguments)
            if not rows:
                continue
            results[part] += rows
            taken = seconds[f"{laboratory.system.name}, {part}"] = time.monotonic() - start
            print(f"{laboratory.system.name}: {part}, {taken:.0f} s", file=sys.stderr)
            print(format_table(summaries(part, rows)) + "\n", flush=True)
            write(arguments.output / "accuracy.json", results, seconds)
    for part, rows in results.items():
        if rows and part in plots.PLOTS:
            plots.PLOTS[part](arguments.output / f"accuracy-{part}.png", rows)
    return 0


sys.exit(main())
