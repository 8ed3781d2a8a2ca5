"""The journal of a training: each decision once, also when a killed run repeats it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from mlff_dyn.errors import DataError
from mlff_dyn.store.journal import Journal, read_journal
from mlff_dyn.store.json_file import check_plain_fields

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LABELLED = "labelled"
"""Event of a calculation, the only one that does not depend on the expansion."""
_EXPLORED = "explored"


@dataclass(frozen=True)
class _Name:
    """What an event is about; of two events with one name, the second says nothing new."""

    event: str
    n_snapshots: int | None = None
    temperature_kelvin: float | None = None
    replica: int | None = None
    status: str | None = None
    basis: str | None = None

    def __post_init__(self) -> None:
        check_plain_fields(self)


class TrainingJournal:
    """Journal whose events are named by what they are about; an event that is there is not written again.

    Parameters
    ----------
    path : Path
    basis : str
        Identity of the basis, which belongs to the name of all events but calculations.

    Raises
    ------
    DataError
        If an event that is there has a value of another type.

    Attributes
    ----------
    n_steps : int
        MD steps of all explorations.
    """

    def __init__(self, path: Path, basis: str) -> None:
        self._basis = basis
        self._journal = Journal(path)
        self._names: set[_Name] = set()
        self.n_steps = 0
        records, number = read_journal(path), 0
        try:
            for number, record in enumerate(records, start=1):
                self._enter(record)
        except DataError as error:
            what = f"{path} is damaged in line {number}: {error.message}"
            raise DataError(what, fix="remove that line") from None

    def append(self, event: str, **values: object) -> None:
        """Write an event unless the same one is there."""
        own = values if event == LABELLED else {**values, "basis": self._basis}
        if self._enter({"event": event, **own}):
            self._journal.append(event, **own)

    def _enter(self, record: Mapping[str, Any]) -> bool:
        """Take note of an event; whether it is new."""
        name = _Name(**{item.name: record.get(item.name) for item in fields(_Name)})
        n_steps = record.get("n_steps") or 0
        if not isinstance(n_steps, int):
            raise DataError(f"n_steps is {n_steps!r}, expected an integer")
        is_new = name not in self._names
        self._names.add(name)
        if is_new and name.event == _EXPLORED:
            self.n_steps += n_steps
        return is_new
