"""What a training has come to, at each of its temperatures and as a whole, and what to do about it."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from mlff_dyn.store.journal import read_journal
from mlff_dyn.training.criteria.decision import Decision
from mlff_dyn.training.exploration import QUIET
from mlff_dyn.workflows.training.advice import (
    ENLARGE,
    advice_for_budget,
    advice_for_limited,
    is_mostly_truncation,
)
from mlff_dyn.workflows.training.expansion_advice import expansion_advice
from mlff_dyn.workflows.training.temperature_rows import temperature_rows
from mlff_dyn.workflows.training.train_report import ALL_STEPS, BUDGET, CONVERGED, LIMITED
from mlff_dyn.workflows.training.training_journal import EXPLORED, RAMP_FROM

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlff_dyn.report.progress import Progress
    from mlff_dyn.training.criteria.errors import MeanErrors
    from mlff_dyn.workflows.training.learner import Learner

NOT_EXPLORED = "not explored"
_STATUS = {QUIET: CONVERGED, Decision.EXPANSION_LIMITED.value: LIMITED}
_FINISHED = tuple(_STATUS.values())


@dataclass(frozen=True, kw_only=True)
class TemperatureSummary:
    """A temperature of a training; the names are those of the JSON object.

    Attributes
    ----------
    temperature_kelvin : float
    status : str
        How its last exploration ended: converged, limited, why it called for a calculation, or not explored.
    n_calculations : int                        of frames of this temperature
    n_steps : int                               of exploring dynamics
    force_sd_relative : float or None           expected error of the last exploration
    found_force_error_relative : float or None  of its last calculation, before it was trained on
    """

    temperature_kelvin: float
    status: str
    n_calculations: int
    n_steps: int
    force_sd_relative: float | None
    found_force_error_relative: float | None

    @property
    def is_finished(self) -> bool:
        """Whether its last exploration called for nothing."""
        return self.status in _FINISHED


def describe_temperatures(learner: Learner) -> list[dict[str, Any]]:
    """JSON values of `TemperatureSummary` for every temperature of the configuration, in its order."""
    return [asdict(summary) for summary in _summaries(learner)]


def advise(learner: Learner, status: str, errors: MeanErrors | None) -> dict[str, Any]:
    """Say what to do about a training that did not reach its limit; nothing about one that did.

    Returns the values of `TrainReport`: ``advice`` and ``advice_steps``.
    """
    training = learner.workspace.config.training
    limit = training.criterion.force_error_limit_relative
    is_short = status == LIMITED or (status == BUDGET and is_mostly_truncation(errors))
    found = expansion_advice(learner) if is_short else None
    enlarge = ENLARGE if found is None else found.describe(limit)
    advice = ""
    if status == LIMITED:
        advice = advice_for_limited(enlarge)
    elif status == BUDGET:
        is_tested = any(learner.is_tested(temperature) for temperature in training.temperatures_kelvin)
        advice = advice_for_budget(errors, limit, is_tested=is_tested, enlarge=enlarge)
    return {"advice": advice, "advice_steps": [] if found is None else found.to_json()}


def _summaries(learner: Learner) -> list[TemperatureSummary]:
    workspace = learner.workspace
    explored = [
        record
        for record in read_journal(workspace.journal_path)
        if record["event"] == EXPLORED
        and record.get("basis") == workspace.basis_identity
        and RAMP_FROM not in record
    ]
    return [
        _summarize(learner, temperature, [r for r in explored if r.get("temperature_kelvin") == temperature])
        for temperature in workspace.config.training.temperatures_kelvin
    ]


def _summarize(
    learner: Learner, temperature_kelvin: float, explored: list[dict[str, Any]]
) -> TemperatureSummary:
    newest = max((record["n_snapshots"] for record in explored), default=None)
    last = [record for record in explored if record["n_snapshots"] == newest]
    calls = [record["reason"] for record in last if record["reason"] != QUIET]
    calls.sort(key=lambda reason: reason in _STATUS)
    reason = NOT_EXPLORED if not last else calls[0] if calls else QUIET
    expected = [
        record["predictive_relative"] for record in last if record.get("predictive_relative") is not None
    ]
    known = [snapshot.provenance for snapshot in learner.data.snapshots]
    own = [p for p in known if p.is_calculation and p.is_of(temperature_kelvin)]
    limit = learner.workspace.config.training.criterion.force_error_limit_relative
    is_above = reason == QUIET and max(expected, default=0.0) > limit
    return TemperatureSummary(
        temperature_kelvin=temperature_kelvin,
        status=ALL_STEPS if is_above else _STATUS.get(reason, reason),
        n_calculations=len(own),
        n_steps=sum(record["n_steps"] for record in explored),
        force_sd_relative=max(expected, default=None),
        found_force_error_relative=own[-1].found_force_error_relative if own else None,
    )


@contextmanager
def finished_told_on_failure(learner: Learner, progress: Progress) -> Iterator[None]:
    """Where a training ends with an error, say first which temperatures are finished."""
    try:
        yield
    except BaseException:
        finished = [asdict(summary) for summary in _summaries(learner) if summary.is_finished]
        for label, text in temperature_rows(finished):
            progress.log(f"{label}: {text}")
        raise
