"""How many threads share the cells of a torus."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlff_dyn.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class ThreadLimits:
    """When another thread pays.

    Attributes
    ----------
    work_per_thread : float
        Least work of a thread in one evaluation, in multiplications as `work_of_programs` counts them: about
        0.5 ms on an x86-64 processor of 2024, against 0.02 ms in which threads wait for each other. Cells
        with less work for two threads, such as 2000 atoms with orders 2 to 4 and triples, have one thread on
        every machine, so that their numbers are the same everywhere.
    most_threads : int
        More share no further work: each takes 32 bytes an atom, and what is not shared takes the time.
    """

    work_per_thread: float = 1.0e7
    most_threads: int = 16


THREAD_LIMITS = ThreadLimits()


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def paying_threads(work: float, n_cores: int) -> int:
    """Threads that share some work of one evaluation, at most as many as there are cores."""
    enough = int(work / THREAD_LIMITS.work_per_thread)
    return max(1, min(enough, n_cores, THREAD_LIMITS.most_threads))


def check_threads(n_threads: int | None) -> int | None:
    """Refuse a number of threads that is not positive; None stands for as many as pay.

    Parameters
    ----------
    n_threads : int or None

    Returns
    -------
    int or None

    Raises
    ------
    DataError
    """
    if n_threads is not None and n_threads < 1:
        raise DataError(f"n_threads {n_threads} is not positive", fix="give a number of threads from 1")
    return n_threads


def share(work: Callable[[slice], None], pieces: list[slice], n_threads: int | None) -> None:
    """Do some work for all pieces, several at a time; None: as many as there are cores."""
    n_members = min(len(pieces), n_threads or available_cores(), THREAD_LIMITS.most_threads)
    if n_members <= 1:
        for piece in pieces:
            work(piece)
        return
    with ThreadPoolExecutor(n_members) as pool:
        for _ in pool.map(work, pieces):
            pass
