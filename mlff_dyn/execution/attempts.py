"""Attempts at one calculation: what failed stays to be looked at, what is changed is said.

A failed attempt is moved to ``failed/NAME-1``, ``failed/NAME-2``, ... beside the calculation, with its output
and ``failure.json``. The next attempt gets a directory of its own, in which the input is complete and
``calculation.json`` lists the attempts so far; so it, too, is absent, ready, half done or finished.
"""

from __future__ import annotations

import logging
import os
import shutil
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from mlff_dyn.engines.command import PROCESS_LOCK
from mlff_dyn.errors import EngineError
from mlff_dyn.store.json_file import read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from mlff_dyn.engines.base import Engine, EngineResult

MARK_NAME = "calculation.json"
MARK_FORMAT = "mlff-dyn calculation"
FAILURE_NAME = "failure.json"
FAILURE_FORMAT = "mlff-dyn failed calculation"
FAILED_NAME = "failed"
PROGRAM_ENDED_NAME = "exit-status.txt"
"""Written by ``submit.sh`` when the program has ended, however."""
VERSION = 1

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Attempt:
    """An attempt that failed.

    Attributes
    ----------
    reason : str
    change : str
        What was changed in the input for the next one.
    kept : str
        Its directory, seen from that of the calculations.
    """

    reason: str
    change: str
    kept: str


def read_mark(directory: Path) -> dict[str, Any]:
    """Return what is calculated in a directory.

    Raises
    ------
    DataError
        If the mark is missing or damaged.
    """
    return read_json(directory / MARK_NAME, format_name=MARK_FORMAT, version=VERSION)


def write_mark(directory: Path, mark: dict[str, Any]) -> None:
    """Say what is calculated in a directory."""
    write_json(directory / MARK_NAME, mark, format_name=MARK_FORMAT, version=VERSION)


def attempts_of(mark: dict[str, Any]) -> list[Attempt]:
    """Failed attempts before the one that a mark belongs to."""
    return [Attempt(**values) for values in mark.get("attempts", [])]


def run_attempts(
    engine: Engine, directory: Path, max_retries: int, is_stopped: Callable[[], bool]
) -> EngineResult:
    """Run a calculation that is ready; after a failure again, as often as allowed, with a changed input.

    Parameters
    ----------
    engine : Engine
    directory : Path
    max_retries : int
        Attempts after the first one.
    is_stopped : callable
        Whether this calculation ended because all are being stopped, which is no failure.

    Raises
    ------
    EngineError
        Of the last attempt; its directory stays.
    """
    while True:
        result = _attempt(engine, directory, max_retries, is_stopped)
        if result is not None:
            return result


def _attempt(
    engine: Engine, directory: Path, max_retries: int, is_stopped: Callable[[], bool]
) -> EngineResult | None:
    """Run once; None if it failed and another attempt is ready."""
    try:
        engine.run(directory)
        return engine.read_result(directory)
    except EngineError as error:
        if is_stopped() or not retry(engine, directory, error, max_retries):
            raise
        return None


def retry(engine: Engine, directory: Path, error: EngineError, max_retries: int) -> bool:
    """Note the failure of a calculation and make it ready once more, if there is anything left to change."""
    note_failure(directory, error)
    mark = read_mark(directory)
    attempts = attempts_of(mark)
    if len(attempts) >= max_retries:
        return False
    new = fresh(directory)
    kept_files = _copied(directory, new, mark["input_files"])
    change = engine.amend_input(new, len(attempts) + 1)
    if change is None:
        remove(new)
        return False
    inputs = sorted({path.name for path in new.iterdir()} - set(kept_files))
    _keep_only(new, inputs)
    aside = _free_name(directory)
    kept = str(aside.relative_to(directory.parent))
    attempts.append(Attempt(error.message, change, kept))
    write_mark(new, {**mark, "input_files": inputs, "attempts": [asdict(a) for a in attempts]})
    _move_aside(directory, aside)
    new.replace(directory)
    _logger.warning("%s; once more with %s; what failed is kept in %s", error.message, change, aside)
    return True


def has_started(directory: Path, mark: dict[str, Any]) -> bool:
    """Whether anything lies in a calculation directory besides its input."""
    known = {MARK_NAME, *mark["input_files"]}
    return any(path.name not in known for path in directory.iterdir())


def note_failure(directory: Path, error: EngineError) -> None:
    """Write beside the output why the calculation failed."""
    content = {"reason": error.message, "fix": error.fix}
    write_json(directory / FAILURE_NAME, content, format_name=FAILURE_FORMAT, version=VERSION)


def read_failure(directory: Path) -> str:
    """Return why a calculation failed."""
    content = read_json(directory / FAILURE_NAME, format_name=FAILURE_FORMAT, version=VERSION)
    return str(content.get("reason"))


def keep_failed(directory: Path) -> None:
    """Move a failed calculation out of the way."""
    aside = _free_name(directory)
    _move_aside(directory, aside)
    _logger.warning("%s failed in an earlier command and is calculated anew; kept in %s", directory, aside)


def reopened(directory: Path, identity: str) -> bool:
    """Make an attempt after the first one, that a kill has cut short, ready again; whether it was one.

    Parameters
    ----------
    directory : Path
        It may be missing where the kill came between two attempts.
    identity : str
        Of the input that is to be calculated.
    """
    new = directory.with_name(f".new-{directory.name}")
    if not directory.exists():
        if not _is_later_attempt(new, identity):
            return False
        remove(_discarded(directory))
        new.replace(directory)
        return True
    if not _is_later_attempt(directory, identity):
        return False
    mark = read_mark(directory)
    fresh(directory)
    _copied(directory, new, mark["input_files"])
    _keep_only(new, mark["input_files"])
    write_mark(new, mark)
    discard(directory)
    new.replace(directory)
    return True


def fresh(directory: Path) -> Path:
    """Return a new, empty folder in which a calculation is made ready before it gets its name."""
    new = directory.with_name(f".new-{directory.name}")
    remove(new)
    remove(_discarded(directory))  # what a kill within `discard` left
    new.mkdir(parents=True)
    return new


def discard(directory: Path) -> None:
    """Remove a half-done calculation, the name first."""
    discarded = _discarded(directory)
    remove(discarded)
    directory.replace(discarded)
    remove(discarded)


def _discarded(directory: Path) -> Path:
    return directory.with_name(f".discarded-{directory.name}")


def remove(directory: Path) -> None:
    """Remove a folder if it is there."""
    if directory.exists():
        shutil.rmtree(directory)


def _is_later_attempt(directory: Path, identity: str) -> bool:
    if not (directory / MARK_NAME).exists() or (directory / FAILURE_NAME).exists():
        return False
    mark = read_mark(directory)
    return mark.get("input_identity") == identity and bool(attempts_of(mark))


def _copied(directory: Path, new: Path, inputs: Sequence[str]) -> list[str]:
    """Bring all files into a new folder, its input as copies; the names of those that are no input."""
    others = []
    for path in directory.iterdir():
        if path.name in (MARK_NAME, FAILURE_NAME, PROGRAM_ENDED_NAME, PROCESS_LOCK):
            continue
        copy = shutil.copy2 if path.name in inputs else _linked
        if path.name not in inputs:
            others.append(path.name)
        if path.is_dir():
            shutil.copytree(path, new / path.name, symlinks=True, copy_function=copy)
        else:
            copy(path, new / path.name, follow_symlinks=False)
    return others


def _linked(source: str | Path, target: str | Path, *, follow_symlinks: bool = False) -> None:
    """Link a file, which costs no space; where the file system cannot, copy it."""
    try:
        os.link(source, target, follow_symlinks=follow_symlinks)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=follow_symlinks)


def _keep_only(directory: Path, names: Sequence[str]) -> None:
    for path in directory.iterdir():
        if path.name in names:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _free_name(directory: Path) -> Path:
    folder = directory.parent / FAILED_NAME
    number = 1
    while (folder / f"{directory.name}-{number}").exists():
        number += 1
    return folder / f"{directory.name}-{number}"


def _move_aside(directory: Path, aside: Path) -> None:
    aside.parent.mkdir(exist_ok=True)
    directory.replace(aside)
