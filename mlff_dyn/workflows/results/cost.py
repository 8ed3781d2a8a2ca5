"""What results are expected to cost."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_CALLS = 5
_SECONDS_PER_MINUTE = 60.0
_BYTES_PER_MEGABYTE = 1e6


def seconds_of(call: Callable[[], object]) -> float:
    """Time of a call, measured after a first one."""
    call()
    started = time.perf_counter()
    for _ in range(_CALLS):
        call()
    return (time.perf_counter() - started) / _CALLS


def in_minutes(seconds: float) -> float:
    """Minutes, to two digits."""
    return float(f"{seconds / _SECONDS_PER_MINUTE:.2g}")


def in_megabytes(n_bytes: float) -> float:
    """Megabytes, to a tenth."""
    return round(n_bytes / _BYTES_PER_MEGABYTE, 1)
