"""Pieces of work whose results are wanted in order, until one of them makes the others superfluous."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

Result = TypeVar("Result")
_SHOWN_EVERY_SECONDS = 0.2


class _NoLongerWantedError(Exception):
    """Ends a piece of work from within."""


def side_by_side(
    jobs: Sequence[Callable[[Callable[..., None]], Result]],
    n_threads: int,
    show: Callable[..., None],
) -> Generator[Result]:
    """Give the results of jobs in their order; the next ones run while one is waited for.

    Once the iterator is closed, jobs that still run end at their next report. So results do not depend on
    the number of threads.

    Parameters
    ----------
    jobs : sequence of callable
        Each takes a function that it calls now and then to report how far it is.
    n_threads : int
    show : callable
        Takes the number of the job that is waited for, and what it has reported.
    """
    if min(n_threads, len(jobs)) <= 1:
        for k, job in enumerate(jobs):
            yield job(lambda *report, k=k: show(k, *report))
        return
    is_over = threading.Event()
    reports: list[tuple[object, ...]] = [()] * len(jobs)

    def run(k: int) -> Result:
        def note(*report: object) -> None:
            if is_over.is_set():
                raise _NoLongerWantedError
            reports[k] = report

        return jobs[k](note)

    pool = ThreadPoolExecutor(min(n_threads, len(jobs)))
    try:
        futures = [pool.submit(run, k) for k in range(len(jobs))]
        for k, future in enumerate(futures):
            while not wait([future], timeout=_SHOWN_EVERY_SECONDS).done:
                if reports[k]:
                    show(k, *reports[k])
            yield future.result()
    finally:
        is_over.set()
        pool.shutdown(wait=True, cancel_futures=True)
