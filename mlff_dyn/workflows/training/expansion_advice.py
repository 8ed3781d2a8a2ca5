"""Which order, cutoff or local size is short, with the gain that one step of the search expects."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.config.yaml_source import format_yaml
from mlff_dyn.errors import MlffError
from mlff_dyn.local.basis import LocalSettings
from mlff_dyn.model.search.expansion_steps import Candidate
from mlff_dyn.model.search.next_steps import next_steps
from mlff_dyn.report.numbers import format_percent
from mlff_dyn.workflows.setup.suggest_expansion import local_part_to_begin_with

if TYPE_CHECKING:
    from mlff_dyn.model.search.expansion_search import Trial
    from mlff_dyn.model.search.expansion_steps import Cutoffs
    from mlff_dyn.workflows.training.learner import Learner

_MOST_STEPS = 3
_SIZES = ("cutoff_angstrom", "n_radial", "l_max")
_CUTOFFS, _LOCAL = "expansion.cutoffs_angstrom", "expansion.local"
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class AdvisedStep:
    """A larger expansion; the names are those of the JSON object.

    Attributes
    ----------
    change : str                        what to change in the configuration
    held_out_error_relative : float     over the root mean square force of the data
    n_parameters : int
    """

    change: str
    held_out_error_relative: float
    n_parameters: int


@dataclass(frozen=True)
class ExpansionAdvice:
    """Steps to larger expansions that lower the held-out error, the proposed one first.

    Attributes
    ----------
    held_out_error_relative : float     of the present expansion
    steps : tuple of AdvisedStep        one at least
    """

    held_out_error_relative: float
    steps: tuple[AdvisedStep, ...]

    def describe(self, limit_relative: float) -> str:
        """Say what to change, and what it is expected to bring."""
        step = self.steps[0]
        before, after = map(format_percent, (self.held_out_error_relative, step.held_out_error_relative))
        text = f"{step.change} would lower the held-out error from {before} to {after}"
        if step.held_out_error_relative <= limit_relative:
            return text
        return f"{text}, more by init --suggest"

    def to_json(self) -> list[dict[str, object]]:
        """Return plain values."""
        return [asdict(step) for step in self.steps]


def expansion_advice(learner: Learner) -> ExpansionAdvice | None:
    """Find the steps that help; None where none does, or none can be compared.

    It is only advice: whatever prevents it does not prevent the training.
    """
    try:
        return _compared(learner)
    except (MlffError, ArithmeticError, ValueError, np.linalg.LinAlgError, MemoryError) as error:
        _logger.info("larger expansions were not compared: %s", error)
        return None


def _compared(learner: Learner) -> ExpansionAdvice | None:
    workspace, force_field = learner.workspace, learner.force_field()
    if force_field.prior_guess is not None and force_field.prior_guess.is_used:
        return None
    frames, cutoffs = learner.fit_data.frames, workspace.config.expansion.cutoffs_angstrom
    found = next_steps(
        frames,
        workspace.training_torus,
        Candidate({}, cutoffs, workspace.expansion.basis, workspace.local),
        first_local=local_part_to_begin_with(workspace, frames),
        rotational_sum_rules=workspace.rotational_sum_rules,
    )
    if found is None or not found.better or found.now.held_out_error_relative is None:
        return None
    steps = tuple(
        AdvisedStep(describe_change(found.now, trial), trial.held_out_error_relative, trial.n_parameters)
        for trial in found.better[:_MOST_STEPS]
        if trial.held_out_error_relative is not None
    )
    return ExpansionAdvice(found.now.held_out_error_relative, steps)


def describe_change(now: Trial, trial: Trial) -> str:
    """Say what to change in the configuration, such as ``expansion.cutoffs_angstrom: {3: 4.5 -> 5.1}``.

    Parameters
    ----------
    now, trial : Trial
        The expansion that is there, and one a step away.
    """
    changes = _changes(now.cutoffs_angstrom, trial.cutoffs_angstrom)
    added = {order: c for order, c in trial.cutoffs_angstrom.items() if order not in now.cutoffs_angstrom}
    if changes:
        return f"{_CUTOFFS}: {{{', '.join(changes)}}}"
    if added:
        return f"adding {_flow(added)} to {_CUTOFFS}"
    if now.local is None or trial.local is None:
        return f"{_LOCAL}: {_flow(_settings(trial.local))}"
    return f"{_LOCAL}: {{{', '.join(_changes(asdict(now.local), asdict(trial.local)))}}}"


def _changes(before: Cutoffs | dict[str, object], after: Cutoffs | dict[str, object]) -> list[str]:
    return [
        f"{key}: {_flow(value)} -> {_flow(after[key])}"  # type: ignore[index]
        for key, value in before.items()
        if after[key] != value  # type: ignore[index]
    ]


def _settings(local: LocalSettings | None) -> dict[str, object] | None:
    """Values of the configuration: sizes, and what else is not as by default."""
    if local is None:
        return None
    usual = LocalSettings()
    named = asdict(local).items()
    return {key: value for key, value in named if key in _SIZES or value != getattr(usual, key)}


def _flow(value: object) -> str:
    return format_yaml(value, flow=True, width=10**6).removesuffix("...\n").strip()
