"""One calculation directory: made ready, marked, finished, found again.

The directory appears under its name with its mark (``calculation.json``: what is calculated) and its input
complete. ``result.json``, renamed into place, is the one sign that it is finished. So at any moment of a kill
a directory is absent, ready, half done, or finished, and each of these can be told apart.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from mlff_dyn.engines.base import Engine, EngineResult, engine_identity
from mlff_dyn.engines.magnetic_state import check_magnetic_state
from mlff_dyn.errors import DataError, EngineError, reason_of
from mlff_dyn.execution.attempts import (
    FAILURE_NAME,
    MARK_NAME,
    attempts_of,
    discard,
    fresh,
    keep_failed,
    read_mark,
    remove,
    reopened,
    run_attempts,
    write_mark,
)
from mlff_dyn.execution.marked_structure import structure_to_json
from mlff_dyn.store.json_file import read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ase import Atoms

RESULT_NAME = "result.json"
SUPERSEDED_NAME = "superseded"
RESULT_FORMAT = "mlff-dyn calculation result"
VERSION = 1

_logger = logging.getLogger(__name__)


def input_identity(engine: Engine, atoms: Atoms) -> str:
    """Return a digest of what is calculated: the structure bit by bit, the engine and its parameters."""
    digest = hashlib.sha256(engine_identity(engine).encode())
    arrays = [
        atoms.numbers.astype("<i8"),
        atoms.cell.array,
        atoms.positions,
        atoms.get_initial_magnetic_moments(),
    ]
    for array in arrays:
        digest.update(str(array.shape).encode())
        digest.update((array + 0).astype(array.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()


def read_finished(engine: Engine, atoms: Atoms, directory: Path) -> EngineResult | None:
    """Return the result of a finished calculation of the same input, None if there is none.

    Parameters
    ----------
    engine : Engine
    atoms : Atoms
    directory : Path
        Directory of the calculation; it may be missing.

    Raises
    ------
    DataError
        If the result file is damaged; it is named, and nothing is run again.
    """
    path = directory / RESULT_NAME
    if not path.exists():
        return None
    if _read_result_file(path)["input_identity"] != input_identity(engine, atoms):
        return None
    return read_result_file(directory, len(atoms))


def read_result_file(directory: Path, n_atoms: int) -> EngineResult:
    """Return the result of a finished calculation, whatever its input.

    Raises
    ------
    DataError
        If the result file is damaged, or not of so many atoms.
    """
    path = directory / RESULT_NAME
    result = _build_result(path, _read_result_file(path))
    if len(result.forces_ev_per_angstrom) != n_atoms:
        raise DataError(
            f"{path} is damaged: it has forces of {len(result.forces_ev_per_angstrom)} atoms",
            fix=f"remove {directory} to calculate it again",
        )
    return result


def calculate(
    engine: Engine,
    atoms: Atoms,
    directory: Path,
    *,
    max_retries: int = 0,
    is_stopped: Callable[[], bool] = lambda: False,
) -> EngineResult:
    """Run one calculation that is not finished, from scratch.

    An engine that finished in an earlier command, killed before it could read the output, is not run again. A
    finished calculation of another input under the same name is moved to ``superseded``, never deleted; one
    that failed to ``failed``.

    Parameters
    ----------
    engine : Engine
    atoms : Atoms
    directory : Path
    max_retries : int
        Attempts after the first one, each with the input changed by the engine.
    is_stopped : callable
        See `mlff_dyn.execution.attempts.run_attempts`.

    Raises
    ------
    EngineError
        If the calculation fails or ends in another magnetic state; the directory stays, for inspection.
    """
    if directory.exists():
        engine.settle(directory)
    result = made_ready(engine, atoms, directory)
    if result is None:
        result = run_attempts(engine, directory, max_retries, is_stopped)
    return finish(directory, result, atoms)


def made_ready(engine: Engine, atoms: Atoms, directory: Path) -> EngineResult | None:
    """Return the result of a calculation that nobody has read yet; if there is none, make it ready to run."""
    result = None
    if directory.exists():
        result = _rescue(engine, atoms, directory)
        if result is not None:
            return result
    if not reopened(directory, input_identity(engine, atoms)):
        if directory.exists():
            _clear(directory)
        prepare(engine, atoms, directory)
    return None


def is_ready(engine: Engine, atoms: Atoms, directory: Path) -> bool:
    """Whether a directory holds the input of this calculation, and perhaps an output of it."""
    try:
        return bool(read_mark(directory).get("input_identity") == input_identity(engine, atoms))
    except DataError:
        return False


def finish(directory: Path, result: EngineResult, atoms: Atoms) -> EngineResult:
    """Check a result against its structure and write it down: from then on the calculation is finished.

    Returns
    -------
    EngineResult
        With what was changed in the input after failed attempts.

    Raises
    ------
    EngineError
        If it is of another structure or another magnetic state.
    """
    if len(result.forces_ev_per_angstrom) != len(atoms):
        raise EngineError(
            f"{directory}: forces of {len(result.forces_ev_per_angstrom)} atoms, expected {len(atoms)}",
            fix=f"remove {directory} and run the same command again",
        )
    check_magnetic_state(atoms, result.magnetic_state)
    mark = read_mark(directory)
    attempts = attempts_of(mark)
    if attempts:
        changes = "; ".join(attempt.change for attempt in attempts)
        result = replace(result, origin={**result.origin, "changes": changes})
    known = {name: mark[name] for name in ("input_identity", "engine")}
    tried = {"attempts": [asdict(attempt) for attempt in attempts]} if attempts else {}
    content = {**known, **tried, **result.to_json()}
    write_json(directory / RESULT_NAME, content, format_name=RESULT_FORMAT, version=VERSION)
    return result


def _mark(engine: Engine, atoms: Atoms) -> dict[str, Any]:
    """Say what is calculated."""
    return {
        "input_identity": input_identity(engine, atoms),
        "engine": {"kind": engine.kind, "parameters": engine.parameters},
        "structure": structure_to_json(atoms),
    }


def _read_result_file(path: Path) -> dict[str, Any]:
    content = read_json(path, format_name=RESULT_FORMAT, version=VERSION)
    if not isinstance(content.get("input_identity"), str):
        raise DataError(
            f"{path} is damaged: no input_identity", fix=f"remove {path.parent} to calculate it again"
        )
    return content


def _build_result(path: Path, content: dict[str, Any]) -> EngineResult:
    try:
        return EngineResult.from_json(content)
    except (KeyError, TypeError, ValueError, DataError, EngineError) as error:
        raise DataError(
            f"{path} is damaged: {reason_of(error)}", fix=f"remove {path.parent} to calculate it again"
        ) from error


def _rescue(engine: Engine, atoms: Atoms, directory: Path) -> EngineResult | None:
    """Read the output of a calculation that nobody has read yet, if it is whole and of this input."""
    if (directory / RESULT_NAME).exists():
        return None
    try:
        if read_mark(directory).get("input_identity") != input_identity(engine, atoms):
            return None
        result = engine.read_result(directory)
    except (DataError, EngineError):
        return None
    _logger.info("%s: finished in an earlier command", directory)
    return result


def _clear(directory: Path) -> None:
    """Make the name free: set a finished calculation aside, remove a half-done one, refuse anything else."""
    if (directory / RESULT_NAME).exists():
        identity = _read_result_file(directory / RESULT_NAME)["input_identity"]
        aside = directory.parent / SUPERSEDED_NAME / f"{directory.name}-{identity[:16]}"
        aside.parent.mkdir(exist_ok=True)
        _logger.warning(
            "%s: finished, but of another structure or other parameters; moved to %s", directory, aside
        )
        remove(aside)
        directory.replace(aside)
    elif not (directory / MARK_NAME).exists():
        raise EngineError(
            f"{directory} is in the way: it is not a calculation of mlff-dyn", fix="move it away or remove it"
        )
    elif (directory / FAILURE_NAME).exists():
        keep_failed(directory)
    else:
        discard(directory)


def prepare(engine: Engine, atoms: Atoms, directory: Path) -> None:
    """Make the directory with its mark and its input, complete when it appears."""
    new = fresh(directory)
    engine.write_input(new, atoms)
    inputs = sorted(path.name for path in new.iterdir())
    write_mark(new, {**_mark(engine, atoms), "input_files": inputs})
    new.replace(directory)
