"""Which orders and cutoffs do the data support? Nested expansions compared by evidence and held-out errors.

The search starts from the second order and takes one step at a time: one more shell of neighbors for the
pairs of an order, or for its larger clusters, the next order with its first shell, a local part, or one more
radial function, a larger degree or cutoff of it. Of all steps that with
the largest gain in evidence is taken, the smallest one where several are as good, until none raises the
evidence by more than one percent of noise would; then steps of two shells are tried. Gains mostly shrink as
the expansion grows: a step is tried again when its last gain is larger than all that were found since, or
when no other is left, and pairs whenever larger clusters are. An expansion is sufficient if its error on
held-out supercells is close to the smallest that was found. From the smallest sufficient one steps lead back,
since early ones may have become idle, and the smallest of all that are sufficient is proposed.

A search with a limit of time leaves out what would take too long, and ends with what it has.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mlff_dyn.errors import FitError
from mlff_dyn.model.expansion import Expansion
from mlff_dyn.model.fitting.error_models import held_out_scores
from mlff_dyn.model.fitting.fit import fit_force_field
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.model.search.expansion_steps import ClusterStep, Steps
from mlff_dyn.model.search.search_limits import SEARCH_LIMITS, SearchLimits
from mlff_dyn.model.search.time_limit import TimeLimit

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterator, Sequence

    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.local.basis import LocalSettings
    from mlff_dyn.model.fitting.labelled_frame import LabelledFrame
    from mlff_dyn.model.force_field import ForceField
    from mlff_dyn.model.search.expansion_steps import Candidate, Cutoffs, Step


@dataclass(frozen=True)
class Trial:
    """One expansion and how well it describes the data.

    Attributes
    ----------
    cutoffs_angstrom : mapping                per order, as in the configuration
    n_parameters : int                        of both parts
    log_evidence : float
    held_out_error_relative : float or None   over the rms force; None with one supercell
    force_call_milliseconds : float           on the training cell, one thread
    local : LocalSettings or None             size of the local part
    """

    cutoffs_angstrom: Cutoffs
    n_parameters: int
    log_evidence: float
    held_out_error_relative: float | None
    force_call_milliseconds: float
    local: LocalSettings | None = None


def search_expansions(
    data: Sequence[LabelledFrame],
    torus: Torus,
    limits: SearchLimits = SEARCH_LIMITS,
    *,
    first_local: LocalSettings | None = None,
    given: Candidate | None = None,
    time_limit: TimeLimit | None = None,
    rotational_sum_rules: Collection[str] = (),
) -> Iterator[Trial]:
    """Fit nested expansions, the next ones around the best of the last.

    Parameters
    ----------
    data : sequence of LabelledFrame
    torus : Torus
        Training cell, which limits the cutoffs.
    limits : SearchLimits
    first_local : LocalSettings, optional
        Local part to begin with; without it there are force constants alone.
    given : Candidate, optional
        An expansion to compare with.
    time_limit : TimeLimit, optional
    rotational_sum_rules : collection of str
        Of all expansions.

    Yields
    ------
    Trial
        In the order in which they are fitted; the first has the second order alone.

    Raises
    ------
    FitError
        If there are no data.
    """
    if not data:
        raise FitError("there is no labelled snapshot", fix="label some or give --dataset")
    steps = Steps(torus, limits, first_local, rotational_sum_rules)
    search = _Search(data, steps, limits, time_limit or TimeLimit())
    taken = yield from search.measure(steps.first())
    if given is not None:
        yield from search.measure(given)
    while taken is not None:
        here = taken
        taken = yield from search.best_step(here, n_shells=1)
        if taken is None:
            taken = yield from search.best_step(here, n_shells=2)
    yield from search.shrink()


class Tried(NamedTuple):
    """An expansion and how well it describes the data."""

    candidate: Candidate
    trial: Trial


class _Search:
    """Steps from one expansion to the next, and what each gained when it was tried last."""

    def __init__(
        self, data: Sequence[LabelledFrame], steps: Steps, limits: SearchLimits, time_limit: TimeLimit
    ) -> None:
        self._data = data
        self._steps = steps
        self._limits = limits
        self._time_limit = time_limit
        self._smallest_gain = limits.smallest_gain_per_row * sum(rows.forces.size for rows in data)
        self._gains: dict[Step, float] = {}
        self._tried: dict[tuple[str, LocalSettings | None], Tried] = {}

    def best_step(self, here: Tried, n_shells: int) -> Generator[Trial, None, Tried | None]:
        """Try the steps from an expansion; where the best leads, or None if none gains enough."""
        waiting = set(self._steps.beyond(here.candidate, n_shells))
        found: dict[Step, Tried] = {}
        while waiting and self._largest(found) < max(self._largest(waiting), self._smallest_gain):
            if self._time_limit.is_over:
                return None
            step = max(sorted(waiting), key=lambda each: self._gains.get(each, np.inf))
            waiting.remove(step)
            candidate = self._steps.take(here.candidate, step)
            if candidate is None:
                continue
            tried = yield from self.measure(candidate)
            if tried is None:
                continue
            found[step] = tried
            self._gains[step] = tried.trial.log_evidence - here.trial.log_evidence
            if isinstance(step, ClusterStep):
                for pairs in waiting & {step._replace(is_of_pairs=True)}:
                    self._gains.pop(pairs, None)
        largest = self._largest(found)
        if largest < self._smallest_gain:
            return None
        enough = max(self._smallest_gain, largest - self._smallest_gain)
        as_good = [step for step in found if self._gains[step] >= enough]
        return found[min(as_good, key=lambda step: (found[step].trial.n_parameters, _is_of_larger(step)))]

    def shrink(self) -> Generator[Trial, None, None]:
        """Try smaller expansions than the smallest sufficient one, as long as one of them is sufficient."""
        before, sufficient = None, self._limits.sufficient_error
        while before != (best := cheapest_sufficient([t.trial for t in self._tried.values()], sufficient)):
            before = best
            start = next(tried.candidate for tried in self._tried.values() if tried.trial == best)
            for candidate in self._steps.back(start):
                if self._time_limit.is_over:
                    return
                yield from self.measure(candidate)

    def measure(self, candidate: Candidate) -> Generator[Trial, None, Tried | None]:
        """Fit an expansion, unless that was done before; None where there is not the time for it."""
        if candidate.name not in self._tried:
            if not self._time_limit.allows(candidate):
                return None
            with self._time_limit.measured(candidate):
                trial = try_expansion(self._data, candidate, self._limits)
            self._tried[candidate.name] = Tried(candidate, trial)
            yield trial
        return self._tried[candidate.name]

    def _largest(self, steps: Collection[Step]) -> float:
        """Largest gain; that of a step never tried has no bound."""
        return max((self._gains.get(step, np.inf) for step in steps), default=-np.inf)


def _is_of_larger(step: Step) -> bool:
    return isinstance(step, ClusterStep) and not step.is_of_pairs


def cheapest_sufficient(
    trials: Sequence[Trial], sufficient_error: float = SEARCH_LIMITS.sufficient_error
) -> Trial:
    """Cheapest expansion whose held-out error is at most `sufficient_error` times the smallest.

    Where nothing could be held out it is the one of largest evidence.
    """
    errors = [t.held_out_error_relative for t in trials if t.held_out_error_relative is not None]
    if not errors:
        return max(trials, key=lambda trial: trial.log_evidence)
    limit = sufficient_error * min(errors)
    sufficient = [
        t for t in trials if t.held_out_error_relative is not None and t.held_out_error_relative <= limit
    ]
    return min(sufficient, key=lambda trial: (trial.n_parameters, trial.force_call_milliseconds))


def try_expansion(
    data: Sequence[LabelledFrame], candidate: Candidate, limits: SearchLimits = SEARCH_LIMITS
) -> Trial:
    """Fit an expansion and hold supercells out."""
    basis = candidate.basis
    expansion = Expansion(basis, data[0].supercell.long_range, candidate.local)
    placed = FitData(
        [replace(each, supercell=expansion.on(each.supercell.torus, each.supercell.strain)) for each in data]
    )
    force_field = fit_force_field(basis, placed)
    return Trial(
        cutoffs_angstrom=candidate.cutoffs_angstrom,
        n_parameters=candidate.n_parameters,
        log_evidence=force_field.posterior.log_evidence,
        held_out_error_relative=_held_out_error(force_field, placed, limits.most_held_out),
        force_call_milliseconds=_force_call_milliseconds(force_field, placed.frames[0], limits.timed_calls),
        local=candidate.local_settings,
    )


def _held_out_error(force_field: ForceField, data: FitData, most: int) -> float | None:
    if len(data) < 2:
        return None
    chosen = np.unique(np.rint(np.linspace(0, len(data) - 1, min(len(data), most))).astype(int))
    held_out = held_out_scores(force_field.posterior, data, chosen.tolist())
    errors = [part.errors for part in held_out.forces]
    forces = [data.frames[k].forces for k in chosen]
    return float(np.linalg.norm(np.concatenate(errors)) / np.linalg.norm(np.concatenate(forces)))


def _force_call_milliseconds(force_field: ForceField, rows: LabelledFrame, n_calls: int) -> float:
    kernel = force_field.on(rows.supercell.torus, strain=rows.supercell.strain).kernel
    seconds = []
    for _ in range(n_calls):
        start = time.perf_counter()
        kernel.energy_forces(rows.displacements)
        seconds.append(time.perf_counter() - start)
    return 1000.0 * statistics.median(seconds)
