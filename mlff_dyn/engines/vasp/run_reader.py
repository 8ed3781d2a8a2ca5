"""The way through a file with steps that the readers of VASP's long outputs share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Protocol, TypeVar, cast

from mlff_dyn.engines.vasp.numbers import DAMAGED_FIX
from mlff_dyn.errors import DataError, located
from mlff_dyn.store.calculated_steps import RefusedStep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlff_dyn.store.calculated_steps import StepChoice
    from mlff_dyn.store.dataset import Snapshot
    from mlff_dyn.store.source import Source


@dataclass(frozen=True)
class RunEnd:
    """How a file ends.

    Attributes
    ----------
    is_cut : bool
        After a step, without the end of the run.
    n_steps : int
        Number of the last step.
    n_predicted : int
        Steps that were not calculated.
    """

    is_cut: bool
    n_steps: int
    n_predicted: int


class Numbered(Protocol):
    """A step that is not read yet."""

    @property
    def number(self) -> int:
        """In the file, counted from 1."""


_Raw = TypeVar("_Raw", bound=Numbered)
_Head = TypeVar("_Head")


def _read_steps(
    source: Source, choice: StepChoice, parts: Iterator[_Raw | RunEnd], read: Callable[[_Raw], Snapshot]
) -> Iterator[Snapshot | RefusedStep]:
    """Yield the chosen steps, and what is to be said of the rest."""
    ends: list[RunEnd] = []
    for raw in choice.of(_without_end(parts, ends)):
        yield _read_or_refuse(source, raw, read)
    for end in ends:
        yield from _remarks(source, end)


def read_run(
    source: Source,
    choice: StepChoice,
    scan: Callable[[IO[bytes]], Iterator[_Head | _Raw | RunEnd]],
    head: type[_Head],
    begin: Callable[[_Head | None], Callable[[_Raw], Snapshot]],
) -> Iterator[Snapshot | RefusedStep]:
    """Yield the chosen calculated steps of a file of a run.

    Predicted steps of a run with a machine-learned force field, and an end that is missing, are told at the
    end.

    Parameters
    ----------
    source : Source
    choice : StepChoice
    scan : callable
        Yields the parts of an open file: the head first if it has one, the calculated steps, and the end.
    head : type
        Of the head.
    begin : callable
        Takes the head, or None where there is none; returns what reads a step, and raises why it is refused.

    Raises
    ------
    DataError
        If the head cannot be read, or there is no step; the message has the name of the file.
    """
    with source.open() as file:
        parts = scan(file)
        first = next(parts)
        with located(source):
            read = begin(first if isinstance(first, head) else None)
        steps = (part for part in parts if not isinstance(part, head))
        yield from _read_steps(source, choice, cast("Iterator[_Raw | RunEnd]", steps), read)


def _read_or_refuse(source: Source, raw: _Raw, read: Callable[[_Raw], Snapshot]) -> Snapshot | RefusedStep:
    try:
        return read(raw)
    except DataError as error:
        return RefusedStep(source, raw.number, error.message, fix=error.fix or DAMAGED_FIX)


def _without_end(parts: Iterator[_Raw | RunEnd], ends: list[RunEnd]) -> Iterator[_Raw]:
    for part in parts:
        if isinstance(part, RunEnd):
            ends.append(part)
        else:
            yield part


def _remarks(source: Source, end: RunEnd) -> Iterator[RefusedStep]:
    if end.n_steps == 0 and end.n_predicted == 0:
        raise DataError(f"{source}: there is no step in it", fix="calculate it again")
    if end.n_predicted:
        yield RefusedStep(
            source,
            None,
            f"{end.n_predicted} steps were predicted by a machine-learned force field, not calculated",
            fix="nothing is to do: the calculated ones are read",
        )
    if end.is_cut:
        yield RefusedStep(
            source,
            end.n_steps + 1,
            f"the file ends after step {end.n_steps} without the end of the run",
            fix="continue the run, or use the complete steps",
        )
