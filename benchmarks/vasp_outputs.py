"""How fast outputs of VASP are read, and in how much memory: one long run, and many short ones."""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.timing import describe_machine, use_one_core


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.vasp_outputs", description=__doc__)
    parser.add_argument("dynamics", type=Path, help="vasprun.xml of dynamics, whose steps are repeated")
    parser.add_argument("archive", type=Path, help="tar archive of short runs")
    parser.add_argument("--gigabytes", type=float, default=1.0, help="size of the long run (default: 1)")
    return parser.parse_args()


def write_long_run(dynamics: Path, long_run: Path, n_bytes: float) -> None:
    """Repeat the steps of a run until the file is large enough."""
    text = dynamics.read_bytes()
    begin, end = text.index(b"<calculation>"), text.rindex(b"</calculation>") + len(b"</calculation>\n")
    with long_run.open("wb") as file:
        file.write(text[:begin])
        while file.tell() < n_bytes:
            file.write(text[begin:end])
        file.write(text[end:])


def megabytes() -> float:
    """Most memory that this process has had; Linux counts it in kB, macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)


def main() -> int:
    arguments = parse_arguments()
    core = use_one_core(None)
    from mlff_dyn.engines.vasp.vasprun import read_vasprun
    from mlff_dyn.store.calculated_steps import ReadOptions
    from mlff_dyn.store.source import Source

    print(f"{describe_machine()}, core {core}")
    with tempfile.TemporaryDirectory() as folder:
        long_run = Path(folder) / "vasprun.xml"
        write_long_run(arguments.dynamics, long_run, arguments.gigabytes * 1e9)
        start = time.process_time()
        n_steps = sum(1 for _ in read_vasprun(Source(long_run), ReadOptions()))
        seconds = time.process_time() - start
        gigabytes = long_run.stat().st_size / 1e9
        print(f"{gigabytes:.2f} GB, {n_steps} steps: {seconds:.1f} s, {megabytes():.0f} MB")
    start = time.process_time()
    members = [each for each in Source(arguments.archive).members() if "vasprun" in each.name]
    n_steps = sum(1 for each in members for _ in read_vasprun(each, ReadOptions()))
    print(f"{len(members)} files, {n_steps} steps: {time.process_time() - start:.2f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
