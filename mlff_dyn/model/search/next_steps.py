"""Which single step to a larger expansion would help most? One step of the search of expansions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mlff_dyn.model.search.expansion_search import cheapest_sufficient, try_expansion
from mlff_dyn.model.search.expansion_steps import Steps
from mlff_dyn.model.search.search_limits import SEARCH_LIMITS
from mlff_dyn.model.search.time_limit import TimeLimit

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.local.basis import LocalSettings
    from mlff_dyn.model.fitting.labelled_frame import LabelledFrame
    from mlff_dyn.model.search.expansion_search import Trial
    from mlff_dyn.model.search.expansion_steps import Candidate


@dataclass(frozen=True)
class NextStepLimits:
    """How much advice may cost.

    Attributes
    ----------
    operations : float
        Of all fits together, as `SearchLimits.operations_of_fit` estimates them: some seconds. Unlike a time
        it leaves out the same expansions on every machine.
    seconds : float
        After which no further expansion is fitted, wherever the estimate fails.
    most_parameters : int
        Of an expansion.
    """

    operations: float = 4.0e10
    seconds: float = 20.0
    most_parameters: int = 400


NEXT_STEP_LIMITS = NextStepLimits()


@dataclass(frozen=True)
class NextSteps:
    """Larger expansions that describe the data better than the one that is there.

    Attributes
    ----------
    now : Trial
    better : tuple of Trial     that lower the held-out error, the proposed one first, then by their error
    """

    now: Trial
    better: tuple[Trial, ...]


def next_steps(
    data: Sequence[LabelledFrame],
    torus: Torus,
    start: Candidate,
    *,
    first_local: LocalSettings | None,
    rotational_sum_rules: Collection[str] = (),
    limits: NextStepLimits = NEXT_STEP_LIMITS,
) -> NextSteps | None:
    """Compare the expansions one step away; None where nothing can be held out or a fit takes too long.

    Parameters
    ----------
    data : sequence of LabelledFrame
    torus : Torus
        Training cell, which limits the cutoffs.
    start : Candidate
        Its shells do not matter.
    first_local : LocalSettings or None
        Local part to try where the expansion has none; None: no local part is tried.
    rotational_sum_rules : collection of str
        Of all expansions.
    limits : NextStepLimits
    """
    if _operations(start) > limits.operations:
        return None
    time_limit = TimeLimit(limits.seconds)
    own = start.local_settings or first_local
    of_search = replace(SEARCH_LIMITS, most_parameters=limits.most_parameters)
    steps = Steps(torus, of_search, own, rotational_sum_rules, start=start)
    with time_limit.measured(start):
        now = try_expansion(data, start)
    if now.held_out_error_relative is None:
        return None
    better = []
    for candidate in _affordable(steps, time_limit, limits):
        if time_limit.is_over:
            break
        trial = try_expansion(data, candidate)
        if (
            trial.held_out_error_relative or 0.0
        ) * SEARCH_LIMITS.sufficient_error < now.held_out_error_relative:
            better.append(trial)
    better.sort(key=lambda trial: (trial.held_out_error_relative, trial.n_parameters))
    if better:
        proposed = cheapest_sufficient(better)
        better.sort(key=lambda trial: trial is not proposed)
    return NextSteps(now, tuple(better))


def _affordable(steps: Steps, time_limit: TimeLimit, limits: NextStepLimits) -> list[Candidate]:
    """Expansions one step away, the smallest first, as many as may be fitted."""
    start = steps.first()
    found: dict[object, Candidate] = {}
    for step in steps.beyond(start, n_shells=1):
        candidate = None if time_limit.is_over else steps.take(start, step)
        if candidate is not None and candidate.n_parameters > start.n_parameters:
            found[candidate.name] = candidate
    affordable, operations = [], _operations(start)
    for candidate in sorted(found.values(), key=lambda each: each.n_parameters):
        operations += _operations(candidate)
        if operations <= limits.operations:
            affordable.append(candidate)
    return affordable


def _operations(candidate: Candidate) -> float:
    return SEARCH_LIMITS.operations_of_fit * float(candidate.n_parameters) ** 3
