"""The answer of an earlier check, read back from its file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlff_dyn.report.answer import read_report
from mlff_dyn.workflows.convergence.chosen_observables import ObservableVerdict
from mlff_dyn.workflows.convergence.convergence_report import ConvergenceReport, TemperatureVerdict
from mlff_dyn.workflows.convergence.quiet_time import QuietTime
from mlff_dyn.workflows.convergence.single_reference import Distances, SingleReference

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ANSWER_NAME = "convergence.json"


def stored_report(directory: Path, inputs: str | None = None) -> ConvergenceReport | None:
    """Report of an earlier check; None where there is none, or it is damaged.

    Parameters
    ----------
    directory : Path
        Of the run.
    inputs : str, optional
        Digest of what it has to be of; default: any.
    """
    content = read_report(directory / ANSWER_NAME, ConvergenceReport)
    try:
        if inputs is not None and content["inputs"] != inputs:
            return None
        return ConvergenceReport(
            content["status"],
            tuple(map(_verdict, content["temperatures"])),
            content["limit_relative"],
            content["n_atoms"],
            tuple(content["warnings"]),
            tuple(ObservableVerdict(**_as_tuples(each)) for each in content["observables"]),
            up_to_date=True,
        )
    except (KeyError, TypeError):
        return None


def _verdict(content: Mapping[str, Any]) -> TemperatureVerdict:
    values = _as_tuples(content)
    reference = values["single_reference"]
    if reference is not None:
        distances = tuple(Distances(**each) for each in reference["displacements"])
        reference = SingleReference(**{**reference, "displacements": distances})
    return TemperatureVerdict(
        **{**values, "quiet_time": QuietTime(**values["quiet_time"]), "single_reference": reference}
    )


def _as_tuples(value: Any) -> Any:  # noqa: ANN401
    """Return plain JSON values with tuples instead of lists."""
    if isinstance(value, dict):
        return {key: _as_tuples(item) for key, item in value.items()}
    return tuple(map(_as_tuples, value)) if isinstance(value, list) else value
