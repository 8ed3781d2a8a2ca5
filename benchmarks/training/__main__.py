"""Train the same crystals by all criteria, with several seeds, and count calculations and mistakes."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.accuracy.systems import is_installed
from benchmarks.backend import describe_slow_kernels

if TYPE_CHECKING:
    from benchmarks.training.runs import Run


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("benchmark-results"))
    parser.add_argument("--materials", nargs="+", metavar="NAME", help="whose name begins with one of these")
    parser.add_argument("--criteria", nargs="+", metavar="KIND")
    parser.add_argument("--seeds", type=int, default=5)
    return parser.parse_args()


def summarize(runs: list[Run]) -> list[str]:
    """Markdown table, medians over the seeds."""
    plateaus: dict[str, list[float]] = defaultdict(list)
    groups: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in runs:
        plateaus[run.material].append(min(run.errors))
        groups[run.material, run.criterion].append(run)
    names = ("material", "criterion", "to the plateau", "calculations", "error, %", "z", "left", "mistaken")
    lines = [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
    for (material, criterion), group in groups.items():
        plateau = median(plateaus[material])
        cells = (
            material,
            criterion,
            f"{median(run.needed(plateau) for run in group):g}",
            f"{median(run.calculations for run in group):g}",
            f"{100 * median(run.errors[-1] for run in group):.2f}",
            f"{median(run.z for run in group):.2f}",
            str(sum(run.n_stopped for run in group)),
            f"{sum(run.is_mistaken for run in group)} of {len(group)}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def main() -> int:
    arguments = parse_arguments()
    slow = describe_slow_kernels()
    if slow is not None:
        print(slow, file=sys.stderr)
        return 2
    from benchmarks.training.materials import CRITERIA, MATERIALS
    from benchmarks.training.plots import plot_runs
    from benchmarks.training.runs import run_training

    runs: list[Run] = []
    for material in MATERIALS:
        name = material.system.name
        if not name.startswith(tuple(arguments.materials or ("",))):
            continue
        if not all(map(is_installed, material.system.needs)):
            print(f"skipped {name}: {', '.join(material.system.needs)} is not installed", file=sys.stderr)
            continue
        for criterion in arguments.criteria or CRITERIA:
            for seed in range(1, arguments.seeds + 1):
                folder = arguments.output / "trainings" / f"{name}-{criterion}-{seed}".replace(" ", "-")
                runs.append(run_training(material, criterion, seed, folder, arguments.output / "frames"))
                run = runs[-1]
                text = f"{name} {criterion} {seed}: {run.status}, {run.calculations} calculations"
                print(f"{text}, {100 * run.errors[-1]:.2f} %, {run.seconds:.0f} s", file=sys.stderr)
    if not runs:
        print("nothing was trained", file=sys.stderr)
        return 1
    arguments.output.mkdir(parents=True, exist_ok=True)
    content = [dataclasses.asdict(run) for run in runs]
    (arguments.output / "training.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
    plot_runs(arguments.output / "training.png", runs)
    print("\n".join(summarize(runs)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
