"""Criteria by the name they have in the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlff_dyn.errors import ConfigError
from mlff_dyn.training.criteria.grid import FixedCriterion, RandomCriterion
from mlff_dyn.training.criteria.observable import ObservableCriterion
from mlff_dyn.training.criteria.paper import PaperCriterion
from mlff_dyn.training.criteria.per_step import PerStepCriterion
from mlff_dyn.training.criteria.trajectory import TrajectoryCriterion

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlff_dyn.training.criteria.decision import Criterion

CRITERIA: dict[str, Callable[..., Criterion]] = {
    "trajectory": TrajectoryCriterion,
    "paper": PaperCriterion,
    "per-step": PerStepCriterion,
    "fixed": FixedCriterion,
    "random": RandomCriterion,
    "observable": ObservableCriterion,
}
"""Name to a callable of the settings of its section."""


def create_criterion(kind: str, parameters: Mapping[str, Any]) -> Criterion:
    """Make a criterion by its name.

    Raises
    ------
    ConfigError
        If the name is unknown.
    """
    if kind not in CRITERIA:
        raise ConfigError(
            f"training.criterion.kind {kind!r} is unknown", fix=f"use one of {', '.join(CRITERIA)}"
        )
    return CRITERIA[kind](**parameters)
