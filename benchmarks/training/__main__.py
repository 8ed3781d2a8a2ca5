"""Train the same crystals by all criteria, with several seeds; count calculations and judge error bars.

What is in the output folder is not done again.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.accuracy.systems import is_installed
from benchmarks.backend import describe_slow_kernels

if TYPE_CHECKING:
    from benchmarks.training.dynamics import LongRun
    from benchmarks.training.materials import Material
    from benchmarks.training.trainings import Run, Workbench


KINDS = ("trajectory", "paper", "per-step", "fixed", "random", "published")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("benchmark-results"))
    parser.add_argument("--materials", nargs="+", metavar="NAME", help="whose name begins with one of these")
    parser.add_argument("--criteria", nargs="+", choices=KINDS, default=KINDS, metavar="KIND")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--nanoseconds", type=float, default=1.0, help="of dynamics with a trained force field; 0: none"
    )
    return parser.parse_args()


def chosen_materials(arguments: argparse.Namespace) -> list[Material]:
    from benchmarks.training.materials import MATERIALS

    chosen = []
    for material in MATERIALS:
        name = material.system.name
        missing = [need for need in material.system.needs if not is_installed(need)]
        if name.startswith(tuple(arguments.materials or ("",))):
            if missing:
                print(f"skipped {name}: {', '.join(missing)} is not installed", file=sys.stderr)
            else:
                chosen.append(material)
    return chosen


def runs_of(workbench: Workbench, seed: int, arguments: argparse.Namespace) -> list[Run]:
    """Train a material by all criteria with one seed."""
    from benchmarks.training.trainings import PUBLISHED, run_published, run_training

    material, runs = workbench.material, []
    for criterion in arguments.criteria:
        if seed > material.most_seeds(criterion):
            continue
        name = f"{material.system.name}-{criterion}-{seed}".replace(" ", "-")
        folder = arguments.output / "trainings" / name
        if criterion == PUBLISHED:
            run = run_published(workbench, seed, arguments.output / "frames", folder)
        else:
            run = run_training(workbench, criterion, seed, folder)
        if run is None:
            print(f"{name}: failed", file=sys.stderr, flush=True)
            continue
        text = f"{name}: {run.status}, {run.calculations} calculations, {run.needed} to the plateau"
        print(f"{text}, {100 * run.errors[-1]:.3g} %, {run.seconds:.0f} s", file=sys.stderr, flush=True)
        runs.append(run)
    return runs


def long_runs_of(benches: list[Workbench], arguments: argparse.Namespace) -> list[LongRun]:
    """Run dynamics with the first force field of each material that the default criterion trained."""
    from benchmarks.training.dynamics import run_long

    found = []
    for workbench in benches:
        name = workbench.material.system.name.replace(" ", "-")
        folder = arguments.output / "trainings" / f"{name}-{KINDS[0]}-1"
        found.append(run_long(workbench, folder, arguments.nanoseconds))
        print(f"{name}: {found[-1].nanoseconds:g} ns", file=sys.stderr, flush=True)
    return found


def main() -> int:
    arguments = parse_arguments()
    slow = describe_slow_kernels()
    if slow is not None:
        print(slow, file=sys.stderr)
        return 2
    from benchmarks.training.plots import plot_runs
    from benchmarks.training.tables import summarize_long_runs, summarize_runs, summarize_verdicts
    from benchmarks.training.trainings import Workbench

    frames, materials = arguments.output / "frames", chosen_materials(arguments)
    benches: dict[str, Workbench] = {}
    runs: list[Run] = []
    for seed in range(1, arguments.seeds + 1):
        for material in materials:
            name = material.system.name
            benches[name] = benches.get(name) or Workbench(material, frames)
            runs += runs_of(benches[name], seed, arguments)
    if not runs:
        print("nothing was trained", file=sys.stderr)
        return 1
    wanted = arguments.nanoseconds > 0.0 and KINDS[0] in arguments.criteria
    long_runs = long_runs_of(list(benches.values()), arguments) if wanted else []
    content = {"trainings": [asdict(run) for run in runs], "dynamics": [asdict(run) for run in long_runs]}
    (arguments.output / "training.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
    order = [material.system.name for material in materials]
    runs.sort(key=lambda run: (order.index(run.material), KINDS.index(run.criterion), run.seed))
    plot_runs(arguments.output / "training.png", runs)
    tables = [summarize_runs(runs), summarize_verdicts(runs), summarize_long_runs(long_runs)]
    print("\n\n".join("\n".join(table) for table in tables))
    return 0


if __name__ == "__main__":
    sys.exit(main())
