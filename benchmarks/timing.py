"""CPU time on one core: pinning, medians, and what the machine is."""

from __future__ import annotations

import os
import platform
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def use_one_core(core: int | None) -> int:
    """Pin this process and keep the libraries from starting threads; call before numpy is imported."""
    for name in ONE_THREAD:
        os.environ[name] = "1"
    if not hasattr(os, "sched_setaffinity"):
        return -1
    chosen = max(os.sched_getaffinity(0)) if core is None else core
    os.sched_setaffinity(0, {chosen})
    return chosen


def describe_machine() -> str:
    """Processor, as the system names it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def once(action: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    start = time.process_time()
    action()
    return time.process_time() - start


def median_seconds(action: Callable[[], object], *, budget: float = 1.0, rounds: int = 7) -> float:
    """Median over rounds of the CPU seconds a call takes, after one call that does not count.

    A call longer than the budget is timed once more and no oftener.
    """
    first = once(action)
    if first > budget:
        return min(first, once(action)) if first < 10 * budget else first
    calls = max(1, int(budget / rounds / max(first, 1e-6)))
    return statistics.median(once(lambda: [action() for _ in range(calls)]) / calls for _ in range(rounds))
