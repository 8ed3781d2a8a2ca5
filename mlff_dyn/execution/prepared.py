"""What is in a folder of calculations: which are to be run, run, are finished or failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlff_dyn.engines.base import engine_identity, identity_of
from mlff_dyn.engines.command import is_running
from mlff_dyn.errors import DataError, EngineError, MlffError, reason_of
from mlff_dyn.execution.attempts import MARK_NAME, has_started, read_failure, read_mark
from mlff_dyn.execution.calculation import read_result_file
from mlff_dyn.execution.marked_structure import structure_from_json
from mlff_dyn.execution.states import (
    FAILED,
    FINISHED,
    PENDING,
    RUNNING,
    UNREAD,
    calculation_folders,
    state_of,
)

if TYPE_CHECKING:
    from pathlib import Path

    from ase import Atoms

    from mlff_dyn.engines.base import Engine, EngineResult


@dataclass(frozen=True, eq=False)
class PreparedCalculation:
    """A directory with an input.

    Attributes
    ----------
    name : str
        Of the directory.
    state : str
        See `mlff_dyn.execution.states`; what has ended is read, so that none is unread.
    kind : str
        Of its engine.
    atoms : Atoms or None
        None where the mark is damaged.
    result : EngineResult or None
        Of a finished one.
    reason : str or None
        Why it failed or is not finished yet, or cannot be used.
    is_current : bool
        Whether the engine of the configuration, with its parameters, is that of the input.
    """

    name: str
    state: str
    kind: str = ""
    atoms: Atoms | None = None
    result: EngineResult | None = None
    reason: str | None = None
    is_current: bool = False


def find_calculations(engine: Engine, folder: Path) -> list[PreparedCalculation]:
    """Look at all calculations of a folder, in the order of their names; nothing is changed or run.

    Parameters
    ----------
    engine : Engine
        Of the configuration; it reads outputs that nobody has read yet.
    folder : Path

    Raises
    ------
    DataError
        If the folder cannot be read.
    """
    try:
        found = calculation_folders(folder)
    except OSError as error:
        raise DataError(
            f"cannot read the folder of calculations {folder}: {error.strerror}",
            fix="run mlff-dyn train, or mlff-dyn label score with --write, first",
        ) from error
    return [_look(engine, path) for path in found]


def _look(engine: Engine, directory: Path) -> PreparedCalculation:
    name = directory.name
    try:
        mark = read_mark(directory)
        described = mark["engine"]
        kind = str(described["kind"])
        is_current = identity_of(kind, described["parameters"]) == engine_identity(engine)
        stored = mark.get("structure")
        atoms = engine.read_input(directory) if stored is None else structure_from_json(stored)
    except MlffError as error:
        return PreparedCalculation(name, FAILED, reason=error.message)
    except (KeyError, TypeError, ValueError, OSError) as error:
        return PreparedCalculation(name, FAILED, reason=f"{directory / MARK_NAME} is damaged: {error}")
    state, reason, result = _state(engine, directory, atoms, mark)
    if reason is None and result is not None and not is_current:
        reason = "of other engine parameters"
    return PreparedCalculation(name, state, kind, atoms, result, reason, is_current)


def _state(
    engine: Engine, directory: Path, atoms: Atoms, mark: dict[str, Any]
) -> tuple[str, str | None, EngineResult | None]:
    """State of a calculation, why it is not finished, and its result."""
    state = state_of(directory, mark)
    if state == FAILED:
        return FAILED, read_failure(directory), None
    try:
        if state == FINISHED:
            return FINISHED, None, read_result_file(directory, len(atoms))
        if is_running(directory) or not has_started(directory, mark):
            return state, None, None
        return FINISHED, None, engine.read_result(directory)
    except (DataError, EngineError) as error:
        reason = reason_of(error)
    told = {PENDING: f"interrupted: {reason}", RUNNING: f"elsewhere, so far: {reason}"}
    return FAILED if state in (FINISHED, UNREAD) else state, told.get(state, reason), None
