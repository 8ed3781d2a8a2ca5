"""The answer of a command: a report, as a table or as one JSON object, on standard output or in a file."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, TextIO

from mlff_dyn.report.tables import print_table
from mlff_dyn.store.atomic import atomic_write, atomic_write_text, date_back
from mlff_dyn.store.json_file import finite_or_null, sealed, to_plain, unsealed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_VERSION = 1
_NOT_VALUES = ("status", "up_to_date")
_REASONS = "null_reasons"
_UNITS = {"_k": "K", "_megabytes": "MB", "_mebibyte": "MiB"}


@dataclass(frozen=True)
class Report:
    """What a workflow returns to the command line; the fields of a report are the keys of its JSON object.

    Attributes
    ----------
    verb : str            of the command
    status : str
    up_to_date : bool     nothing had to be done
    """

    verb: ClassVar[str] = ""
    status: str
    up_to_date: bool = field(default=False, kw_only=True)

    @property
    def exit_code(self) -> int:
        """Exit code of the command: 0, or 4 for a target that was not reached."""
        return 0

    @property
    def answers(self) -> tuple[Path, ...]:
        """Files of JSON in which the report was written."""
        return ()

    @classmethod
    def schema(cls) -> str:
        """Name and version of the JSON object."""
        return f"mlff-dyn {cls.verb} {_VERSION}"

    def values(self) -> dict[str, object]:
        """Return the JSON values besides schema and status; their names end in their unit."""
        return {name: value for name, value in vars(self).items() if name not in _NOT_VALUES}

    def why_null(self) -> Mapping[str, str]:
        """Say why values are None, by their names without the path."""
        return {}

    def to_json(self) -> dict[str, object]:
        """Return the JSON object: ``schema``, ``status``, values, and ``null_reasons`` where one is null."""
        content = {"schema": self.schema(), "status": self.status, **self.values()}
        content.pop(_REASONS, None)
        reasons = explain_nulls(to_plain(content), self.why_null())
        return {**content, _REASONS: reasons} if reasons else content

    def rows(self) -> list[tuple[str, str]]:
        """Return the rows (label, value) for people below the status."""
        return []

    def table(self) -> list[tuple[str, str]]:
        """Return all rows for people."""
        return [("status", self.status + (" (up to date)" if self.up_to_date else "")), *self.rows()]


@dataclass(frozen=True)
class DryRun(Report):
    """What a command would do.

    Attributes
    ----------
    of : type of Report                       what the command returns otherwise
    sizes : dict                              JSON values that are also rows
    more : dict                               JSON values that are not; ``warnings`` have rows of their own
    head : tuple of (str, str)                rows above the sizes
    """

    status: str = field(default="dry run", init=False)
    of: type[Report]
    sizes: dict[str, object]
    more: dict[str, Any] = field(default_factory=dict)
    head: tuple[tuple[str, str], ...] = ()

    def to_json(self) -> dict[str, object]:
        """Return the JSON object, with the schema of the command."""
        return {**super().to_json(), "schema": self.of.schema()}

    def values(self) -> dict[str, object]:
        """Return the sizes and what there is besides."""
        return {**self.more, **self.sizes}

    def rows(self) -> list[tuple[str, str]]:
        """Return a row for each size."""
        sizes = [(_label(name), _text(value)) for name, value in self.sizes.items()]
        return [*self.head, *sizes, *(("warning", line) for line in self.more.get("warnings", ()))]


def write_report(path: Path, report: Report, **more: object) -> None:
    """Write the JSON object of a report, further values with it, and a digest of all.

    An answer of no, one with an exit code, is dated back: to make, the file is there only after a yes.
    """
    text = _sealed_text({**report.to_json(), **more})
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
        if report.exit_code:
            date_back(temporary)


def read_report(path: Path, kind: type[Report]) -> dict[str, Any]:
    """Read status and values of `write_report`; empty if the file is missing, damaged or of another kind."""
    content = read_values(path)
    return content if content.pop("schema", None) == kind.schema() else {}


def write_values(path: Path, values: Mapping[str, object]) -> None:
    """Write values as indented JSON with a digest of them."""
    atomic_write_text(path, _sealed_text(values))


def read_values(path: Path) -> dict[str, Any]:
    """Read values of `write_values`; empty if the file is missing or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return (unsealed(content) if isinstance(content, dict) else None) or {}


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


def explain_nulls(values: object, reasons: Mapping[str, str], path: str = "") -> dict[str, str]:
    """Reason of every value that is null in JSON, by its path.

    Parameters
    ----------
    values : object
        Plain values.
    reasons : mapping
        By the names of values without the path.
    path : str
        Of the values.
    """
    if isinstance(values, dict | list):
        items = values.items() if isinstance(values, dict) else enumerate(values)
        nested = (explain_nulls(value, reasons, f"{path}.{name}".lstrip(".")) for name, value in items)
        return {name: reason for found in nested for name, reason in found.items()}
    if values is None:
        return {path: reasons.get(path.rpartition(".")[2], "not known")}
    return {} if finite_or_null(values) is not None else {path: "not a finite number"}


def format_json(values: Mapping[str, object]) -> str:
    """Write a mapping as indented JSON that every reader accepts, with a newline at the end.

    numpy arrays and scalars become lists and numbers, paths text, numbers that are not finite null.
    """
    plain = finite_or_null(to_plain(values))
    return json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _sealed_text(values: Mapping[str, object]) -> str:
    plain: Any = finite_or_null(to_plain(values))
    return format_json(sealed(plain))


def _label(name: str) -> str:
    """Words of a name, its unit behind a comma."""
    for ending, unit in _UNITS.items():
        if name.endswith(ending):
            return f"{name.removesuffix(ending).replace('_', ' ')}, {unit}"
    return name.replace("_", " ")


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
