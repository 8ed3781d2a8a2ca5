"""What results are expected to cost."""

from __future__ import annotations

import os
import resource
import time
from typing import TYPE_CHECKING

from mlff_dyn.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlff_dyn.report.progress import Progress

_CALLS = 5
_SECONDS_PER_MINUTE = 60.0
_BYTES_PER_MEGABYTE = 1e6


def seconds_of(call: Callable[[], object], n_calls: int = _CALLS) -> float:
    """Time of a call, measured after a first one."""
    call()
    started = time.perf_counter()
    for _ in range(n_calls):
        call()
    return (time.perf_counter() - started) / n_calls


def in_minutes(seconds: float) -> float:
    """Minutes, to two digits."""
    return float(f"{seconds / _SECONDS_PER_MINUTE:.2g}")


def in_megabytes(n_bytes: float) -> float:
    """Megabytes, to a tenth."""
    return round(n_bytes / _BYTES_PER_MEGABYTE, 1)


def tell_cost(progress: Progress, what: str, n_bytes: float, minutes: float) -> None:
    """Tell what is about to begin, its memory and its time."""
    megabytes = max(1.0, in_megabytes(n_bytes))
    progress.log(f"{what}: about {megabytes:.0f} MB and {minutes:.2g} minutes on one core")


def check_memory(what: str, n_bytes: float, fix: str) -> None:
    """Refuse what needs more memory than the machine, or the limit of the process, has.

    Raises
    ------
    UsageError
        If the memory does not suffice.
    """
    available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY:
        available = min(available, limit)
    if n_bytes > available:
        raise UsageError(
            f"{what} take about {n_bytes / 2**30:.1f} GiB of memory; there are {available / 2**30:.1f}",
            fix=fix,
        )
