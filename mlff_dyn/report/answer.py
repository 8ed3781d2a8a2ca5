"""The answer of a command: a report, as a table or as one JSON object, on standard output."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Protocol, TextIO, runtime_checkable

from mlff_dyn.report.tables import print_table
from mlff_dyn.store.json_file import finite_or_null, to_plain

if TYPE_CHECKING:
    from collections.abc import Mapping


@runtime_checkable
class Report(Protocol):
    """What a workflow returns to the command line."""

    @property
    def exit_code(self) -> int:
        """Exit code of the command: 0, or 4 for a target that was not reached."""

    def to_json(self) -> dict[str, object]:
        """Return the JSON object: ``schema``, ``status``, then values whose names end in their unit."""

    def table(self) -> list[tuple[str, str]]:
        """Return the rows (label, value) for people."""


def print_report(report: Report, *, as_json: bool, stream: TextIO | None = None) -> None:
    """Write a report.

    Parameters
    ----------
    report : Report
    as_json : bool
        One JSON object instead of a table.
    stream : TextIO, optional
        Standard output if left out.
    """
    stream = stream or sys.stdout
    if as_json:
        stream.write(format_json(report.to_json()))
        stream.flush()
    else:
        print_table(report.table(), stream)


def format_json(values: Mapping[str, object]) -> str:
    """Write a mapping as indented JSON that every reader accepts, with a newline at the end.

    numpy arrays and scalars become lists and numbers, paths text, numbers that are not finite null.
    """
    plain = finite_or_null(to_plain(values))
    return json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
