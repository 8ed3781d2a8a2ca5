"""`label collect`: labelled structures of many files as one data set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlff_dyn.errors import UsageError
from mlff_dyn.report.answer import Report
from mlff_dyn.store.dataset import write_snapshots
from mlff_dyn.workflows.setup.workspace import Workspace
from mlff_dyn.workflows.snapshots import frames_of_snapshots

if TYPE_CHECKING:
    from pathlib import Path

    from mlff_dyn.config.schema import Config
    from mlff_dyn.formats.label_files.collected import KindCount
    from mlff_dyn.workflows.given_labels import GivenLabels


@dataclass(frozen=True)
class CollectReport(Report):
    """What was collected.

    Attributes
    ----------
    output : Path
    n_frames : int
    n_energies, n_stresses : int      frames that have them
    kinds : tuple of KindCount
    refused : tuple of str            a line for each file and reason
    """

    verb = "label collect"
    output: Path
    n_frames: int
    n_energies: int
    n_stresses: int
    kinds: tuple[KindCount, ...]
    refused: tuple[str, ...]

    def values(self) -> dict[str, object]:
        """Return the JSON values."""
        return {**super().values(), "kinds": [vars(kind) for kind in self.kinds]}

    def rows(self) -> list[tuple[str, str]]:
        """Return the rows for people."""
        rows = [("file", str(self.output))]
        rows += [(f"{kind.kind}, files", _counts(kind)) for kind in self.kinds]
        rows.append(
            ("frames", f"{self.n_frames} ({self.n_energies} with energy, {self.n_stresses} with stress)")
        )
        return [*rows, *(("refused", line) for line in self.refused)]


def collect(
    given: GivenLabels,
    output: Path,
    *,
    config: Config | None = None,
    force: bool = False,
    dry_run: bool = False,
) -> CollectReport:
    """Write labelled structures as one data set.

    Parameters
    ----------
    given : GivenLabels
    output : Path
        Extended XYZ; each frame says where it is from.
    config : Config, optional
        Whose crystal the structures have to be.
    force : bool
        Replace a file.
    dry_run : bool
        Read all, write nothing.

    Raises
    ------
    UsageError
        If the output is one of the files, or is there already.
    DataError
        If nothing is left, labels would be mixed, a structure is not of the crystal, or the file cannot be
        written.
    """
    if output.is_dir():
        raise UsageError(f"{output} is a folder", fix="give a file with --output, like dataset.extxyz")
    if output.exists() and any(path.samefile(output) for path in given.on_disk):
        raise UsageError(f"{output} is one of the files to read", fix="choose another --output")
    if output.exists() and not force:
        raise UsageError(f"{output} exists", fix="choose another --output, or replace it with --force")
    found = given.read()
    if config is not None:
        frames_of_snapshots(given.name, found.snapshots, Workspace(config).expansion)
    if not dry_run:
        write_snapshots(output, found.snapshots)
    return CollectReport(
        status="dry run" if dry_run else "done",
        output=output,
        n_frames=len(found.snapshots),
        n_energies=sum(each.energy_ev is not None for each in found.snapshots),
        n_stresses=sum(each.stress_ev_per_angstrom3 is not None for each in found.snapshots),
        kinds=found.kinds,
        refused=tuple(found.refusals()),
    )


def _counts(kind: KindCount) -> str:
    parts = [(kind.n_frames, "frames"), (kind.n_repeated, "in other files, too"), (kind.n_refused, "refused")]
    told = ", ".join(f"{number} {what}" for number, what in parts if number or what == "frames")
    return f"{kind.n_files}: {told}"
