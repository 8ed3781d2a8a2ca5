"""A search that ends in time, and that no fit holds up."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mlff_dyn.model.search.search_limits import SEARCH_LIMITS, SearchLimits
from mlff_dyn.regression.linalg.threads import one_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlff_dyn.local.basis import LocalSettings
    from mlff_dyn.model.search.expansion_steps import Candidate, Cutoffs

_PROBE = 384


class Skipped(NamedTuple):
    """An expansion that was not fitted for lack of time."""

    cutoffs_angstrom: Cutoffs
    local: LocalSettings | None
    n_parameters: int
    expected_seconds: float


class TimeLimit:
    """What may still be fitted.

    A fit is expected to take the time of a small one, and a part that grows with the cube of the number of
    parameters, found from the fits of before and from the speed of the machine.

    Parameters
    ----------
    seconds : float
        Of the search; infinite by default.
    limits : SearchLimits
    clock : callable
        Seconds since any time.
    """

    def __init__(
        self,
        seconds: float = np.inf,
        limits: SearchLimits = SEARCH_LIMITS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._limits = limits
        self._end = clock() + seconds
        self._longest = limits.largest_share * seconds
        self._seconds: dict[int, float] = {}
        self._per_cube = limits.operations_of_fit / _operations_per_second() if np.isfinite(seconds) else 0.0
        self._skipped: dict[object, Skipped] = {}

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """What was left out."""
        return tuple(self._skipped.values())

    @property
    def is_over(self) -> bool:
        """Whether there is no time left; not before the first fit."""
        return bool(self._seconds) and self._clock() >= self._end

    def allows(self, candidate: Candidate) -> bool:
        """Whether there is the time to fit an expansion; the first is always fitted."""
        if not self._seconds:
            return True
        expected = self.expected_seconds(candidate.n_parameters)
        if expected <= min(self._longest, self._end - self._clock()):
            return True
        self._skipped[candidate.name] = Skipped(
            candidate.cutoffs_angstrom, candidate.local_settings, candidate.n_parameters, expected
        )
        return False

    @contextmanager
    def measured(self, candidate: Candidate) -> Iterator[None]:
        """Remember how long the fit of an expansion takes."""
        start = self._clock()
        yield
        self._seconds[candidate.n_parameters] = self._clock() - start

    def expected_seconds(self, n_parameters: int) -> float:
        """Time that a fit is expected to take, s."""
        fewest = self._limits.fewest_of_estimate
        large = [s / n**3 for n, s in self._seconds.items() if n >= fewest]
        small = [s for n, s in self._seconds.items() if n < fewest]
        return float(np.median(small or [0.0]) + max([self._per_cube, *large]) * n_parameters**3)


@one_thread()
def _operations_per_second() -> float:
    """Floating-point operations of a product of matrices, after a first one that is not counted."""
    matrix = np.full((_PROBE, _PROBE), 0.5)
    seconds = []
    for _ in range(4):
        start = time.perf_counter()
        matrix @ matrix
        seconds.append(time.perf_counter() - start)
    return 2.0 * _PROBE**3 / min(seconds)
