"""The journal of a training: each decision once, also when a killed run repeats it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from mlff_dyn.errors import located
from mlff_dyn.store.journal import Journal, read_journal
from mlff_dyn.store.json_file import check_plain_fields

if TYPE_CHECKING:
    from pathlib import Path

LABELLED = "labelled"
"""Event of a calculation, the only one that does not depend on the expansion."""
EXPLORED = "explored"
"""Event of an exploring trajectory."""
JUDGED = "judged file"
"""Event of frames of the user's trajectory."""
OBSERVED = "observable"
"""Event of the error of the observable that a training is for, after a refit."""
ORDERS = "orders"
"""Event of the orders in use after a refit, where data choose them."""
RAMP_FROM = "ramp_from_kelvin"
"""Value of events about a ramp: its first temperature."""


@dataclass(frozen=True)
class _Entry:
    """What an event is about; of two that are about the same, the second says nothing new."""

    event: str
    n_snapshots: int | None = None
    n_running: int | None = None
    temperature_kelvin: float | None = None
    ramp_from_kelvin: float | None = None
    replica: int | None = None
    status: str | None = None
    basis: str | None = None
    n_steps: int | None = field(default=None, compare=False)

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
        self._entries: set[_Entry] = set()
        self.n_steps = 0
        for number, record in enumerate(read_journal(path), start=1):
            with located(f"{path} is damaged in line {number}"):
                self._enter(record)

    def append(self, event: str, **values: object) -> None:
        """Write an event unless the same one is there."""
        own = values if event == LABELLED else {**values, "basis": self._basis}
        if self._enter({"event": event, **own}):
            self._journal.append(event, **own)

    def _enter(self, record: dict[str, Any]) -> bool:
        """Take note of an event; whether it is new."""
        known: dict[str, Any] = {item.name: record.get(item.name) for item in fields(_Entry)}
        entry = _Entry(**known)
        is_new = entry not in self._entries
        self._entries.add(entry)
        if is_new and entry.event == EXPLORED:
            self.n_steps += entry.n_steps or 0
        return is_new
