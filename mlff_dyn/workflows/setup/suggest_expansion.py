"""`init --suggest`: orders, cutoffs and local part that labelled snapshots support, written to the file."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.config.load import parse_config
from mlff_dyn.config.yaml_source import format_yaml, insert_value, replace_value
from mlff_dyn.errors import ConfigError, DataError, Interrupted
from mlff_dyn.local.basis import NUMBERS_OF_BODIES
from mlff_dyn.model.local_expansion import local_basis
from mlff_dyn.model.search.expansion_search import cheapest_sufficient, search_expansions
from mlff_dyn.model.search.expansion_steps import Candidate
from mlff_dyn.model.search.time_limit import TimeLimit
from mlff_dyn.report.answer import Report
from mlff_dyn.store.atomic import atomic_write_text
from mlff_dyn.store.dataset import read_snapshots
from mlff_dyn.store.lock import reading
from mlff_dyn.training.proposed_local import LOCAL_LIMITS
from mlff_dyn.workflows.setup.workspace import Workspace
from mlff_dyn.workflows.snapshots import frames_of_snapshots

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from mlff_dyn.config.schema import Config
    from mlff_dyn.local.basis import LocalSettings
    from mlff_dyn.model.fitting.labelled_frame import LabelledFrame
    from mlff_dyn.model.search.expansion_search import Trial
    from mlff_dyn.model.search.expansion_steps import Cutoffs
    from mlff_dyn.model.search.time_limit import Skipped
    from mlff_dyn.report.progress import Progress
    from mlff_dyn.workflows.given_labels import GivenLabels

_CUTOFFS = ("expansion", "cutoffs_angstrom")
_LOCAL = ("expansion", "local")
COMPLETE = "complete"
OUT_OF_TIME = "out of time"
INTERRUPTED = "interrupted"
NOT_WRITTEN = "not written"
_HEADER = ("parameters", "evidence   error     call  cutoffs + local: cutoff, n_radial, l_max")
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SuggestionReport(Report):
    """Expansions that were compared, and the one that is proposed.

    Attributes
    ----------
    status : str
        ``written``, ``unchanged``, ``dry run``, or ``not written`` where there was no time to compare with
        the configured expansion.
    n_snapshots : int
    trials : tuple of Trial
    suggested : Trial
    search : str               ``complete``, ``out of time`` or ``interrupted``
    skipped : tuple of Skipped
        For lack of time.
    """

    verb = "suggestion"
    n_snapshots: int
    trials: tuple[Trial, ...]
    suggested: Trial
    search: str = COMPLETE
    skipped: tuple[Skipped, ...] = ()

    @property
    def exit_code(self) -> int:
        """0, or that of an interrupted command."""
        return Interrupted.exit_code if self.search == INTERRUPTED else 0

    def values(self) -> dict[str, object]:
        """Return the JSON values."""
        return {
            "n_snapshots": self.n_snapshots,
            "suggested_cutoffs_angstrom": self.suggested.cutoffs_angstrom,
            "suggested_local": _settings(self.suggested.local),
            "search": self.search,
            "trials": [{**vars(trial), "local": _settings(trial.local)} for trial in self.trials],
            "skipped": [{**each._asdict(), "local": _settings(each.local)} for each in self.skipped],
        }

    def why_null(self) -> Mapping[str, str]:
        """Say why values are None."""
        without = "force constants alone"
        held_out = "too few snapshots to hold one out"
        return {"held_out_error_relative": held_out, "local": without, "suggested_local": without}

    def table(self) -> list[tuple[str, str]]:
        """Return the rows for people, the expansions in the order of their size."""
        ordered = sorted(self.trials, key=lambda trial: trial.n_parameters)
        rows = [_HEADER, *((str(trial.n_parameters), _columns(trial)) for trial in ordered)]
        if self.skipped:
            rows.append(("left out", _describe_skipped(self.skipped)))
        if self.search != COMPLETE:
            rows.append(("search", f"{self.search}, larger expansions may be better: --minutes"))
        if self.status == NOT_WRITTEN:
            rows.append(("configured", "not compared for lack of time, so it stays: --minutes"))
        return [*rows, ("suggested", f"{_name(self.suggested)} ({self.status})")]


def suggest_expansion(
    config: Config,
    config_path: Path,
    *,
    dataset: GivenLabels | None,
    dry_run: bool,
    progress: Progress,
    minutes: float,
) -> SuggestionReport:
    """Compare expansions on labelled snapshots and write the smallest sufficient one.

    An interrupt, or the end of the time, ends the search with what it has.

    Parameters
    ----------
    config : Config
    config_path : Path
        File whose ``expansion.cutoffs_angstrom`` and ``expansion.local`` are replaced, everything else in it
        stays.
    dataset : GivenLabels, optional
        Labelled snapshots; those of the run directory if left out.
    dry_run : bool
        Compare, write nothing.
    progress : Progress
    minutes : float
        Time of the search.

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
    data = _read_frames(workspace, dataset)
    given = Candidate({}, config.expansion.cutoffs_angstrom, workspace.expansion.basis, workspace.local)
    time_limit = TimeLimit(60.0 * minutes)
    first_local = local_part_to_begin_with(workspace, data)
    found = search_expansions(
        data,
        workspace.training_torus,
        first_local=first_local,
        given=given,
        time_limit=time_limit,
        rotational_sum_rules=workspace.rotational_sum_rules,
    )
    trials, search = _collect(found, time_limit, progress)
    suggested = cheapest_sufficient(trials)
    is_compared = any((trial.cutoffs_angstrom, trial.local) == _identity(given) for trial in trials)
    status = _write(config_path, suggested, dry_run=dry_run) if is_compared else NOT_WRITTEN
    return SuggestionReport(status, len(data), tuple(trials), suggested, search, time_limit.skipped)


def _read_frames(workspace: Workspace, given: GivenLabels | None) -> list[LabelledFrame]:
    if given is not None:
        return frames_of_snapshots(given.name, given.read().snapshots, workspace.expansion)
    path = workspace.dataset_path
    if not path.exists():
        raise DataError(
            f"there are no labelled snapshots in {workspace.directory} to compare expansions with",
            fix="run mlff-dyn train first, or give --dataset PATH",
        )
    with reading(workspace.directory):
        trained = [each for each in read_snapshots(path) if each.provenance.set_aside is None]
        return frames_of_snapshots(path, trained, workspace.expansion)


def _collect(found: Iterator[Trial], time_limit: TimeLimit, progress: Progress) -> tuple[list[Trial], str]:
    """Trials of a search until it ends, and how it ended."""
    trials: list[Trial] = []
    progress.start(None, "comparing expansions")
    try:
        for trial in found:
            trials.append(trial)
            progress.log(f"{_name(trial)}: {trial.n_parameters} parameters, error {_held_out(trial)}")
            progress.update(len(trials))
    except KeyboardInterrupt:
        if not trials:
            raise
        return trials, INTERRUPTED
    finally:
        progress.stop()
    return trials, OUT_OF_TIME if time_limit.is_over else COMPLETE


def local_part_to_begin_with(workspace: Workspace, data: Sequence[LabelledFrame]) -> LocalSettings | None:
    """Local part to begin with; None where atoms have left their sites."""
    crystal = workspace.crystal
    settings = LOCAL_LIMITS.settings(crystal.nearest_neighbor_distance, LOCAL_LIMITS.first_of_search)
    farthest = max((float(np.linalg.norm(each.displacements, axis=1).max()) for each in data), default=0.0)
    if farthest > local_basis(crystal, settings).largest_displacement:
        _logger.info("an atom is %.2g Å from its site, too far for a local part", farthest)
        return None
    return settings


def _write(path: Path, suggested: Trial, *, dry_run: bool) -> str:
    if dry_run:
        return "dry run"
    text = path.read_text(encoding="utf-8")
    try:
        changed = replace_value(text, _CUTOFFS, suggested.cutoffs_angstrom)
    except KeyError:
        raise ConfigError(
            f"{path} has no expansion.cutoffs_angstrom to write to",
            fix="add the section expansion with the key cutoffs_angstrom",
        ) from None
    before = parse_config(text, source=str(path), folder=path.parent)
    local, wanted = before.expansion.local, _settings(suggested.local)
    if (None if local is None else local.model_dump()) != wanted:
        try:
            changed = replace_value(changed, _LOCAL, wanted)
        except KeyError:
            changed = insert_value(changed, _CUTOFFS, _LOCAL[-1], wanted)
    if before == parse_config(changed, source=str(path), folder=path.parent):
        return "unchanged"
    atomic_write_text(path, changed)
    return "written"


def _identity(given: Candidate) -> tuple[Cutoffs, LocalSettings | None]:
    return given.cutoffs_angstrom, given.local_settings


def _settings(local: LocalSettings | None) -> dict[str, object] | None:
    return None if local is None else asdict(local)


def _name(trial: Trial) -> str:
    """Expansion in few characters, for lines of 80 columns."""
    cutoffs = format_yaml(trial.cutoffs_angstrom, flow=True, width=10**6).strip()
    local = trial.local
    if local is None:
        return cutoffs
    kinds = "" if local.kinds == "species" else f" {local.kinds}"
    bodies = "" if local.n_bodies == max(NUMBERS_OF_BODIES) else f" b{local.n_bodies}"
    size = f"{local.cutoff_angstrom:.3g} n{local.n_radial} l{local.l_max}"
    return f"{cutoffs} + local {size}{bodies}{kinds}"


def _columns(trial: Trial) -> str:
    call = _short(1000 * trial.force_call_milliseconds)
    return f"{trial.log_evidence:>8.0f} {_held_out(trial):>7}  {call:>4} µs  {_name(trial)}"


def _held_out(trial: Trial) -> str:
    error = trial.held_out_error_relative
    return "-" if error is None else f"{_short(100 * error)} %"


def _short(value: float) -> str:
    """Three digits in five characters at most."""
    return f"{value:.0f}" if value >= 999.5 else f"{value:.3g}" if value >= 0.9995 else f"{value:.3f}"


def _describe_skipped(skipped: Sequence[Skipped]) -> str:
    sizes = sorted(each.n_parameters for each in skipped)
    longest = max(each.expected_seconds for each in skipped)
    span = f"{sizes[0]}" if sizes[0] == sizes[-1] else f"{sizes[0]} to {sizes[-1]}"
    return f"{len(skipped)} of {span} parameters, fits of up to {longest:.0f} s"
