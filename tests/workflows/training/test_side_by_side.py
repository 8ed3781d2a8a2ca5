"""Jobs that run next to each other: results in order, and no more of them than are wanted."""

import threading
import time
from collections.abc import Callable
from contextlib import closing

import pytest

from mlff_dyn.workflows.training.side_by_side import side_by_side


def jobs_of(count: int, ended: list[int]) -> list[Callable[[Callable[..., None]], int]]:
    """The first ones take longest; each says how far it is."""

    def job(k: int, report: Callable[..., None]) -> int:
        for step in range(3 * (count - k)):
            time.sleep(0.002)
            report(step)
        ended.append(k)
        return k

    return [lambda report, k=k: job(k, report) for k in range(count)]


@pytest.mark.parametrize("n_threads", [1, 2, 8])
def test_results_come_in_order(n_threads: int) -> None:
    ended: list[int] = []
    assert list(side_by_side(jobs_of(5, ended), n_threads, lambda *_: None)) == [0, 1, 2, 3, 4]
    assert sorted(ended) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("n_threads", [1, 4])
def test_what_is_no_longer_wanted_ends(n_threads: int) -> None:
    is_free = threading.Event()

    def endless(report: Callable[..., None]) -> int:
        while not is_free.wait(0.001):
            report("still here")
        return -1

    try:
        with closing(side_by_side([lambda _: 7, endless, endless], n_threads, lambda *_: None)) as found:
            assert next(found) == 7
    finally:
        is_free.set()


@pytest.mark.parametrize("n_threads", [1, 2])
def test_a_failure_is_that_of_its_job(n_threads: int) -> None:
    def failing(_: Callable[..., None]) -> int:
        raise TimeoutError("of the job")

    found = side_by_side([lambda _: 1, failing], n_threads, lambda *_: None)
    assert next(found) == 1
    with pytest.raises(TimeoutError, match="of the job"):
        next(found)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_the_job_that_is_waited_for_is_shown(n_threads: int) -> None:
    seen: list[tuple[object, ...]] = []

    def slow(report: Callable[..., None]) -> int:
        report("half")
        time.sleep(0.3)
        return 1

    assert list(side_by_side([slow, slow], n_threads, lambda *report: seen.append(report))) == [1, 1]
    assert seen[0] == (0, "half")
