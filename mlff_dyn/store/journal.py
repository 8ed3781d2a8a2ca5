"""The journal of a run: one JSON line a decision, from which a run resumes and the report is drawn."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from mlff_dyn.errors import DataError
from mlff_dyn.store.atomic import fix_of, reading_fix
from mlff_dyn.store.json_file import finite_or_null, to_plain


class Journal:
    """Append-only file of events.

    A line that a killed process left half-written is removed on opening, so that later lines stay readable.

    Parameters
    ----------
    path : Path
        The file; it and its folder are made by the first ``append``.

    Raises
    ------
    DataError
        If the file cannot be read or repaired.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        try:
            _drop_cut_line(self.path)
        except OSError as error:
            raise DataError(f"cannot repair {self.path}: {error.strerror}", fix=fix_of(error)) from error

    def append(self, event: str, **fields: object) -> None:
        """Write one event and force it to the disk.

        Parameters
        ----------
        event : str
            Name of the decision.
        **fields
            Plain values, numpy scalars or arrays; a number that is not finite becomes null.

        Raises
        ------
        DataError
            If the disk is full or the folder cannot be written.
        """
        record = {"event": event, **{key: finite_or_null(to_plain(value)) for key, value in fields.items()}}
        line = (json.dumps(record, allow_nan=False) + "\n").encode()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab", buffering=0) as file:
                size = os.fstat(file.fileno()).st_size
                if file.write(line) != len(line):
                    file.truncate(size)
                    raise DataError(f"cannot write {self.path}: the disk is full", fix="free some disk space")
                os.fsync(file.fileno())
        except OSError as error:
            raise DataError(f"cannot write {self.path}: {error.strerror}", fix=fix_of(error)) from error


def read_journal(path: Path) -> tuple[dict[str, Any], ...]:
    """Read all complete events.

    A last line without its line break was cut by a killed process and does not count.

    Parameters
    ----------
    path : Path
        A missing file is an empty journal.

    Returns
    -------
    tuple of dict
        Events in the order of writing, each with the key ``event``.

    Raises
    ------
    DataError
        If a line other than a cut last one is not an event; the message has its number.
    """
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}", fix=reading_fix(error)) from error
    complete = content[: content.rfind(b"\n") + 1]
    return tuple(
        _parse_line(path, number, line) for number, line in enumerate(complete.splitlines(), start=1)
    )


def _parse_line(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise DataError(f"{path} is damaged in line {number}: {error}", fix="remove that line") from error
    if not isinstance(record, dict) or "event" not in record:
        raise DataError(f"{path} is damaged in line {number}: not an event", fix="remove that line")
    return record


def _drop_cut_line(path: Path) -> None:
    if not path.exists():
        return
    content = path.read_bytes()
    complete = content.rfind(b"\n") + 1
    if complete < len(content):
        os.truncate(path, complete)
