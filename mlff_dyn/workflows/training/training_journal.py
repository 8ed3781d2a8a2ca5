"""The journal of a training: each decision once, also when a killed run repeats it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlff_dyn.store.journal import Journal, read_journal

if TYPE_CHECKING:
    from pathlib import Path

_NAME = ("event", "n_snapshots", "temperature_kelvin", "replica", "status", "basis")
LABELLED = "labelled"
"""Event of a calculation, the only one that does not depend on the expansion."""


class TrainingJournal:
    """Journal whose events are named by what they are about; an event that is there is not written again.

    Parameters
    ----------
    path : Path
    basis : str
        Identity of the basis, which belongs to the name of all events but calculations.
    """

    def __init__(self, path: Path, basis: str) -> None:
        self._basis = basis
        self._journal = Journal(path)
        self._events = {_name(event): event for event in read_journal(path)}

    def append(self, event: str, **fields: object) -> None:
        """Write an event unless the same one is there."""
        own = fields if event == LABELLED else {**fields, "basis": self._basis}
        record = {"event": event, **own}
        if _name(record) not in self._events:
            self._journal.append(event, **own)
            self._events[_name(record)] = record

    @property
    def n_steps(self) -> int:
        """MD steps of all explorations."""
        counts = (event.get("n_steps", 0) for event in self._events.values() if event["event"] == "explored")
        return sum(int(count) for count in counts)


def _name(event: dict[str, object]) -> tuple[object, ...]:
    return tuple(event.get(key) for key in _NAME)
