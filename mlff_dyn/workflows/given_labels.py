"""Labelled structures that a user gives to a command: which files, and what is taken of them."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from mlff_dyn.errors import DataError
from mlff_dyn.formats.label_files.collected import CollectedLabels, collect_labels
from mlff_dyn.formats.label_files.search import LabelFile, find_label_files
from mlff_dyn.store.calculated_steps import ReadOptions, RefusedStep
from mlff_dyn.store.source import file_digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlff_dyn.store.dataset import Snapshot


_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class GivenLabels:
    """Files, folders, archives and patterns, read when they are asked for.

    Attributes
    ----------
    paths : tuple of Path
        See `find_label_files`.
    options : ReadOptions
    allow_mixed : bool
        Whether labels of different settings may stand beside each other.
    """

    paths: tuple[Path, ...]
    options: ReadOptions = field(default_factory=ReadOptions)
    allow_mixed: bool = False

    @property
    def name(self) -> Path:
        """What messages about the whole call it."""
        more = f" and {len(self.paths) - 1} more" if len(self.paths) > 1 else ""
        return Path(f"{self.paths[0]}{more}")

    @cached_property
    def _found(self) -> tuple[tuple[LabelFile, ...], tuple[RefusedStep, ...]]:
        return find_label_files(self.paths)

    @property
    def on_disk(self) -> tuple[Path, ...]:
        """All files that are read.

        Raises
        ------
        DataError
            If one cannot be found.
        """
        found = dict.fromkeys(path for file in self._found[0] for path in file.on_disk)
        if self.options.structure is not None:
            found[self.options.structure.path] = None
        return tuple(found)

    def describe(self) -> list[object]:
        """All that decides what is read: contents of the files, and options.

        Raises
        ------
        DataError
            If a file cannot be found or read.
        """
        steps = self.options.steps
        chosen = [steps.start, steps.stop, steps.stride]
        files = [file_digest(path) for path in self.on_disk]
        return [files, dict(self.options.columns), chosen, self.allow_mixed]

    def read(self) -> CollectedLabels:
        """Read the labelled structures.

        Raises
        ------
        DataError
            If nothing is left, or labels of different settings would be mixed.
        """
        files, refused = self._found
        found = collect_labels(files, self.options, refused)
        for each in found.refused:
            _logger.debug("refused: %s", each.error())
        if not self.allow_mixed:
            _refuse_mixed(found.snapshots)
        return found


def _refuse_mixed(snapshots: Sequence[Snapshot]) -> None:
    """Refuse labels of different settings, which would be fitted as if they were of one.

    Raises
    ------
    DataError
        With a frame of each.
    """
    first: Snapshot | None = None
    for snapshot in snapshots:
        if snapshot.provenance.labelled_by is None:
            continue
        first = first or snapshot
        if snapshot.provenance.labelled_by != first.provenance.labelled_by:
            raise DataError(
                f"{_described(first)} and {_described(snapshot)} were labelled with different settings",
                fix="give those of one setting, or mix them with --allow-mixed",
            )


def _described(snapshot: Snapshot) -> str:
    label = snapshot.provenance
    step = "" if label.step is None else f", step {label.step}"
    kind = label.program or label.engine_kind or label.label_engine_kind
    return f"{label.file}{step}" + (f" ({kind})" if kind else "")
