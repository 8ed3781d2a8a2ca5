"""Measure accuracy, error bars, forecasts and selection of frames against known reference forces."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.accuracy.systems import Laboratory

PARTS = ("learning", "scores", "forecasts", "selections")


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
    parser.add_argument("--no-peers", action="store_true", help="this program alone")
    return parser.parse_args()


def laboratories(arguments: argparse.Namespace) -> Iterable[Laboratory]:
    from benchmarks.accuracy.systems import SYSTEMS, FolderLaboratory, Laboratory, is_installed

    for system in SYSTEMS:
        if arguments.systems and not system.name.startswith(tuple(arguments.systems)):
            continue
        missing = [name for name in system.needs if not is_installed(name)]
        if missing:
            print(f"skipped {system.name}: {', '.join(missing)} is not installed", file=sys.stderr)
            continue
        yield Laboratory(system, arguments.output / "frames")
    if arguments.snse:
        yield FolderLaboratory(arguments.snse)


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


def main() -> int:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    arguments = parse_arguments()
    from benchmarks.accuracy import measures, plots

    results: dict[str, list[Any]] = {part: [] for part in arguments.only}
    arguments.output.mkdir(parents=True, exist_ok=True)
    for laboratory in laboratories(arguments):
        for part in arguments.only:
            print(f"{laboratory.system.name}: {part}", file=sys.stderr)
            if part == "learning":
                rows = list(measures.learning_curves(laboratory, with_peers=not arguments.no_peers))
            else:
                rows = list(getattr(measures, part)(laboratory))
            results[part] += rows
            if rows:
                print(format_table(rows) + "\n", flush=True)
    document = {part: [dataclasses.asdict(row) for row in rows] for part, rows in results.items()}
    target = arguments.output / "accuracy.json"
    target.write_text(
        json.dumps({"schema": "mlff-dyn-accuracy/1", **document}, indent=2) + "\n", encoding="utf-8"
    )
    drawn = {
        "learning": plots.plot_learning,
        "scores": plots.plot_scores,
        "selections": plots.plot_selections,
    }
    for part, draw in drawn.items():
        if results.get(part):
            draw(arguments.output / f"accuracy-{part}.png", results[part])
    return 0


sys.exit(main())
