"""`label list` and `label run`: the calculations of a folder, and those of them that are still to be made."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlff_dyn.engines.base import engine_identity
from mlff_dyn.engines.registry import create_engine
from mlff_dyn.errors import DataError, UsageError
from mlff_dyn.execution.prepared import PreparedCalculation, find_calculations
from mlff_dyn.execution.registry import create_execution
from mlff_dyn.execution.states import FINISHED, PENDING
from mlff_dyn.report.answer import Report
from mlff_dyn.store.dataset import write_snapshots
from mlff_dyn.store.lock import RunLock
from mlff_dyn.store.provenance import Provenance
from mlff_dyn.workflows.setup.workspace import Workspace
from mlff_dyn.workflows.snapshots import labelled_snapshot
from mlff_dyn.workflows.training.learner import Learner
from mlff_dyn.workflows.waiting import shown_while_waiting

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mlff_dyn.config.schema import Config
    from mlff_dyn.engines.base import Engine
    from mlff_dyn.report.progress import Progress
    from mlff_dyn.store.dataset import Snapshot

_DATA_SET = "dataset.extxyz"


@dataclass(frozen=True)
class CalculationsReport(Report):
    """The calculations of a folder.

    Attributes
    ----------
    folder : Path
    calculations : tuple of PreparedCalculation
    added : tuple of str
        Names of those that entered the data set of the run now.
    set_aside : tuple of str
        Those that contradict their prediction, and how.
    data_set : Path or None
        Where those of a folder that is not of the run were written together.
    """

    verb = "label"
    folder: Path
    calculations: tuple[PreparedCalculation, ...]
    added: tuple[str, ...] = ()
    set_aside: tuple[str, ...] = ()
    data_set: Path | None = None

    def values(self) -> dict[str, object]:
        """Return the JSON values."""
        listed = []
        for each in self.calculations:
            energy = None if each.result is None else each.result.energy_ev
            values = {"engine": each.kind or None, "energy_ev": energy, "reason": each.reason}
            known = {name: value for name, value in values.items() if value is not None}
            listed.append({"name": each.name, "state": each.state, **known})
        return {
            "folder": self.folder,
            "n_calculations": len(self.calculations),
            "counts": dict(Counter(each.state for each in self.calculations)),
            "added": self.added,
            "set_aside": self.set_aside,
            "data_set": self.data_set,
            "calculations": listed,
        }

    def rows(self) -> list[tuple[str, str]]:
        """Return the rows for people."""
        counts = Counter(each.state for each in self.calculations)
        states = ", ".join(f"{number} {state}" for state, number in sorted(counts.items()))
        rows = [
            ("calculations", f"{len(self.calculations)} in {self.folder}" + (f": {states}" if states else ""))
        ]
        for each in self.calculations:
            parts = [each.state, each.kind]
            parts.append("" if each.result is None else f"{each.result.energy_ev:.6f} eV")
            parts.append(each.reason or "")
            rows.append((f"  {each.name}", ", ".join(part for part in parts if part)))
        rows += [("added", f"{name} to the data set of the run") for name in self.added]
        rows += [("set aside", line) for line in self.set_aside]
        return rows if self.data_set is None else [*rows, ("data set", str(self.data_set))]


def list_calculations(config: Config, folder: Path | None) -> CalculationsReport:
    """Look at the calculations of a folder, that of the run if None; nothing is changed.

    Raises
    ------
    DataError
        If there is no such folder.
    """
    folder = folder or Workspace(config).calculations_path
    found = find_calculations(_engine(config), folder)
    return CalculationsReport(status="done", folder=folder, calculations=tuple(found))


def run_calculations(
    config: Config, folder: Path | None, *, dry_run: bool, progress: Progress
) -> CalculationsReport:
    """Make pending calculations; those of the run that training did not ask for enter its data set.

    Calculations that training asked for are finished here, and trained on by ``train``. The others, which
    ``label score`` has written, are predicted by the force field of the run, and enter its data set together,
    as labelled frames that the user has given; the next ``train`` fits them too. Those of another folder stay
    out of it, such as frames that are held out for ``validate``: they become a data set in that folder.

    Raises
    ------
    EngineError, Waiting
        If a calculation fails, or runs elsewhere; those that are finished are added all the same.
    DataError
        If there is no such folder, or a result does not belong to the crystal.
    """
    workspace = Workspace(config)
    folder = folder or workspace.calculations_path
    is_of_run = folder.resolve() == workspace.calculations_path.resolve()
    engine = _engine(config)
    found = find_calculations(engine, folder)
    if dry_run:
        return CalculationsReport(status="dry run", folder=folder, calculations=tuple(found))
    with RunLock(workspace.directory):
        try:
            _calculate(config, engine, folder, found, progress)
        finally:
            found = find_calculations(engine, folder)
            added, aside = _add_to_data(workspace, engine, found) if is_of_run else ((), ())
    data_set = None if is_of_run else _write_data(engine, folder, found)
    return CalculationsReport("done", folder, tuple(found), added, aside, data_set)


def _write_data(engine: Engine, folder: Path, found: Sequence[PreparedCalculation]) -> Path | None:
    """Write what is finished as a data set beside the calculations; None where nothing is."""
    finished = [each for each in found if each.result is not None and each.is_current]
    if not finished:
        return None
    write_snapshots(folder / _DATA_SET, [_snapshot(engine, each) for each in finished])
    return folder / _DATA_SET


def _engine(config: Config) -> Engine:
    return create_engine(**config.require_engine().model_dump())


def _calculate(
    config: Config, engine: Engine, folder: Path, found: Sequence[PreparedCalculation], progress: Progress
) -> None:
    """Run what is pending, and read what has run elsewhere."""
    todo = {
        each.name: each.atoms
        for each in found
        if each.state in (PENDING, FINISHED) and each.is_current and each.atoms is not None
    }
    others = [each.name for each in found if each.state == PENDING and not each.is_current]
    if others:
        raise UsageError(
            f"{folder / others[0]}: its input has other parameters of the engine than the configuration",
            fix="restore engine.kind and engine.parameters, or remove the folder and write it again",
        )
    progress.start(len(todo), "calculations")
    done: list[str] = []

    def count(name: str, _result: object) -> None:
        done.append(name)
        progress.update(len(done))

    section = config.require_engine()
    settings = config.execution.model_dump()
    with create_execution(config.execution.kind, engine, section.model_dump(), folder, settings) as execution:
        execution.submit(list(todo), list(todo.values()))
        with shown_while_waiting(progress, folder, list(todo)):
            execution.results(list(todo), count)
    progress.stop()


def _add_to_data(
    workspace: Workspace, engine: Engine, found: Sequence[PreparedCalculation]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the calculations that entered the data set, and lines about those that did not."""
    wanted = [each for each in found if each.result is not None and each.is_current and _is_users(each)]
    if not wanted:
        return (), ()
    learner = Learner(workspace)
    known = {snapshot.provenance.calculation for snapshot in learner.data.snapshots}
    fresh = [each for each in wanted if each.name not in known]
    snapshots = [_snapshot(engine, each) for each in fresh]
    if not snapshots:
        return (), ()
    doubtful = learner.contradictions(snapshots)
    kept = [k for k in range(len(fresh)) if k not in doubtful]
    if kept:
        learner.learn([snapshots[k] for k in kept])
    lines = tuple(f"{fresh[k].name}: {contradiction.text}" for k, contradiction in doubtful.items())
    return tuple(fresh[k].name for k in kept), lines


def _is_users(calculation: PreparedCalculation) -> bool:
    """Whether somebody else than a training has asked for it."""
    return calculation.atoms is not None and bool(calculation.atoms.info)


def _snapshot(engine: Engine, calculation: PreparedCalculation) -> Snapshot:
    atoms, result = calculation.atoms, calculation.result
    if atoms is None or result is None:
        raise DataError(f"{calculation.name} is not finished", fix="run the same command again")
    asked = Provenance.from_info(atoms.info)
    provenance = Provenance(
        calculation=calculation.name,
        reason=asked.reason,
        label_engine=engine_identity(engine),
        label_engine_kind=engine.kind,
        file=asked.file,
        step=asked.step,
    )
    return labelled_snapshot(atoms, result, provenance)
