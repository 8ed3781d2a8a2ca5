"""`init --suggest`: orders and cutoffs that the labelled snapshots support, written to the configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlff_dyn.config.load import parse_config
from mlff_dyn.config.yaml_source import format_yaml, replace_value
from mlff_dyn.errors import ConfigError, DataError
from mlff_dyn.model.search.expansion_search import cheapest_sufficient, search_expansions
from mlff_dyn.report.answer import Report
from mlff_dyn.store.atomic import atomic_write_text
from mlff_dyn.store.dataset import read_snapshots
from mlff_dyn.store.lock import reading
from mlff_dyn.workflows.setup.workspace import Workspace
from mlff_dyn.workflows.snapshots import frames_of_snapshots

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mlff_dyn.config.schema import Config
    from mlff_dyn.model.search.expansion_search import Trial
    from mlff_dyn.report.progress import Progress

_KEY = ("expansion", "cutoffs_angstrom")


@dataclass(frozen=True)
class SuggestionReport(Report):
    """Expansions that were compared, and the one that is proposed.

    Attributes
    ----------
    status : str               ``written``, ``unchanged`` or ``dry run``
    n_snapshots : int
    trials : tuple of Trial
    suggested : Trial
    """

    verb = "suggestion"
    n_snapshots: int
    trials: tuple[Trial, ...]
    suggested: Trial

    def values(self) -> dict[str, object]:
        """Return the JSON values."""
        return {
            "n_snapshots": self.n_snapshots,
            "suggested_cutoffs_angstrom": self.suggested.cutoffs_angstrom,
            "trials": [_trial_json(trial) for trial in self.trials],
        }

    def why_null(self) -> Mapping[str, str]:
        """Say why values are None."""
        return {"held_out_error_relative": "too few snapshots to hold one out"}

    def table(self) -> list[tuple[str, str]]:
        """Return the rows for people, the expansions in the order of their size."""
        ordered = sorted(self.trials, key=lambda trial: trial.n_parameters)
        return [
            *((_in_braces(trial), _describe(trial)) for trial in ordered),
            ("suggested", f"{_in_braces(self.suggested)} ({self.status})"),
        ]


def suggest_expansion(
    config: Config, config_path: Path, *, dataset: Path | None, dry_run: bool, progress: Progress
) -> SuggestionReport:
    """Compare nested expansions on labelled snapshots and write the smallest sufficient one.

    Parameters
    ----------
    config : Config
    config_path : Path
        File whose ``expansion.cutoffs_angstrom`` is replaced, everything else in it stays.
    dataset : Path, optional
        Labelled snapshots; those of the run directory if left out.
    dry_run : bool
        Compare, write nothing.
    progress : Progress

    Raises
    ------
    UsageError
        If another command works in the run directory.
    DataError
        If there are no snapshots, or they do not belong to the crystal.
    ConfigError
        If the file does not have the key.
    """
    workspace = Workspace(config)
    path = dataset or workspace.dataset_path
    if not path.exists():
        raise DataError(
            f"there are no labelled snapshots in {workspace.directory} to compare expansions with",
            fix="run mlff-dyn train first, or give --dataset FILE.extxyz",
        )
    with reading(workspace.directory):
        trained = [each for each in read_snapshots(path) if each.provenance.set_aside is None]
        data = frames_of_snapshots(path, trained, workspace.expansion)
    trials: list[Trial] = []
    progress.start(None, "comparing expansions")
    for trial in search_expansions(data, workspace.training_torus):
        trials.append(trial)
        progress.log(f"{_in_braces(trial)}: {_describe(trial)}")
        progress.update(len(trials))
    progress.stop()
    suggested = cheapest_sufficient(trials)
    status = _write(config_path, suggested, dry_run=dry_run)
    return SuggestionReport(status, len(data), tuple(trials), suggested)


def _write(path: Path, suggested: Trial, *, dry_run: bool) -> str:
    if dry_run:
        return "dry run"
    text = path.read_text(encoding="utf-8")
    try:
        changed = replace_value(text, _KEY, suggested.cutoffs_angstrom)
    except KeyError:
        raise ConfigError(
            f"{path} has no expansion.cutoffs_angstrom to write to",
            fix="add the section expansion with the key cutoffs_angstrom",
        ) from None
    before, after = (parse_config(each, source=str(path), folder=path.parent) for each in (text, changed))
    if before == after:
        return "unchanged"
    atomic_write_text(path, changed)
    return "written"


def _in_braces(trial: Trial) -> str:
    return format_yaml(trial.cutoffs_angstrom, flow=True, width=10**6).strip()


def _describe(trial: Trial) -> str:
    error = trial.held_out_error_relative
    held_out = "" if error is None else f", held-out error {100 * error:.3g} %"
    return (
        f"{trial.n_parameters} parameters, log evidence {trial.log_evidence:.0f}{held_out}, "
        f"force call {1000 * trial.force_call_milliseconds:.3g} µs"
    )


def _trial_json(trial: Trial) -> dict[str, object]:
    return {
        "cutoffs_angstrom": trial.cutoffs_angstrom,
        "n_parameters": trial.n_parameters,
        "log_evidence": trial.log_evidence,
        "held_out_error_relative": trial.held_out_error_relative,
        "force_call_milliseconds": trial.force_call_milliseconds,
    }
