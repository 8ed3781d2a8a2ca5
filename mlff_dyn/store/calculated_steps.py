"""What readers of outputs give: the steps of a file that can be trained on, and those that cannot."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from mlff_dyn.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from mlff_dyn.store.dataset import Snapshot
    from mlff_dyn.store.source import Source

_Step = TypeVar("_Step")


@dataclass(frozen=True)
class RefusedStep:
    """A step of a calculation that is not trained on.

    Attributes
    ----------
    source : Source
    step : int or None
        Counted from 1; None for what holds for the file.
    reason : str
        Such as "not converged: NELM = 60 electronic steps".
    fix : str
        The next step of the user.
    """

    source: Source
    step: int | None
    reason: str
    fix: str

    def __str__(self) -> str:
        """One line without the next step."""
        where = "" if self.step is None else f", step {self.step}"
        return f"{self.source}{where}: {self.reason}"

    def error(self) -> DataError:
        """Return the refusal as an error."""
        return DataError(str(self), fix=self.fix)


@dataclass(frozen=True)
class StepChoice:
    """Which steps of a file with many are read, counted from 0 as Python slices do.

    Attributes
    ----------
    start, stop, stride : int or None

    Examples
    --------
    >>> list(StepChoice.parse("::10").of(range(25)))
    [0, 10, 20]
    >>> list(StepChoice.parse("last").of(range(25)))
    [24]
    >>> list(StepChoice.parse("1:-2:2").of(iter("abcdef")))
    ['b', 'd']
    """

    start: int | None = None
    stop: int | None = None
    stride: int | None = None

    @classmethod
    def parse(cls, text: str) -> StepChoice:
        """Read ``all``, ``last`` or ``START:STOP:STRIDE``.

        Raises
        ------
        UsageError
            If it is something else, or the stride is not positive.
        """
        named = {"all": cls(), "last": cls(start=-1)}
        if text in named:
            return named[text]
        words = text.split(":")
        try:
            values = [int(word) if word.strip() else None for word in words]
        except ValueError:
            values = []
        if not 2 <= len(values) <= 3 or (len(values) == 3 and values[2] is not None and values[2] < 1):
            raise UsageError(
                f"steps {text!r} are no choice of steps",
                fix="write all, last or START:STOP:STRIDE, like ::10",
            )
        return cls(*values)

    def of(self, steps: Iterable[_Step]) -> Iterator[_Step]:
        """Yield the chosen ones of all steps, one after the other.

        Ends that are counted from the last step hold back as many steps as they count.
        """
        start = self.start or 0
        if start < 0:
            numbered = deque(enumerate(steps), maxlen=-start)
            n_steps = numbered[-1][0] + 1 if numbered else 0
            stop = n_steps if self.stop is None else self.stop + (n_steps if self.stop < 0 else 0)
            kept = (step for number, step in numbered if number < stop)
            yield from islice(kept, 0, None, self.stride)
        elif self.stop is not None and self.stop < 0:
            yield from islice(_without_last(steps, -self.stop), start, None, self.stride)
        else:
            yield from islice(steps, start, self.stop, self.stride)


def _without_last(steps: Iterable[_Step], n_last: int) -> Iterator[_Step]:
    held: deque[_Step] = deque()
    for step in steps:
        held.append(step)
        if len(held) > n_last:
            yield held.popleft()


@dataclass(frozen=True)
class ReadOptions:
    """What a user says about files with labels.

    Attributes
    ----------
    steps : StepChoice
    columns : mapping of str to str
        Names of labels by quantity; see `mlff_dyn.store.label_columns.parse_columns`.
    structure : Source or None
        Undisplaced supercell of files that hold displacements alone, in their atom order.
    """

    steps: StepChoice = field(default_factory=StepChoice)
    columns: Mapping[str, str] = field(default_factory=dict)
    structure: Source | None = None


@dataclass(frozen=True)
class LabelFormat:
    """A kind of file with labelled structures.

    Attributes
    ----------
    name : str
        For people, such as "VASP vasprun.xml".
    recognizes : callable
        Whether a source, by its first bytes and its name, is of this kind.
    read : callable
        Yields its chosen steps one after the other, in their order; raises `DataError` where nothing in the
        file can be read.
    beside : callable
        Other files that are read with a source.
    """

    name: str
    recognizes: Callable[[Source, bytes], bool]
    read: Callable[[Source, ReadOptions], Iterator[Snapshot | RefusedStep]]
    beside: Callable[[Source], tuple[Source, ...]] = lambda _: ()
