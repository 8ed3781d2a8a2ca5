"""Steps of a file while it is read: choose them, holding no more than needed; keep those before a damage."""

from __future__ import annotations

from collections import deque
from functools import wraps
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from mlff_dyn.errors import DataError
from mlff_dyn.store.calculated_steps import RefusedStep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mlff_dyn.store.calculated_steps import ReadOptions, StepChoice
    from mlff_dyn.store.dataset import Snapshot
    from mlff_dyn.store.source import Source

    _Reader = Callable[[Source, ReadOptions], Iterator[Snapshot | RefusedStep]]

_Step = TypeVar("_Step")


def keeps_steps_before_damage(read: _Reader) -> _Reader:
    """Let a reader give what it has read before it finds that, say, a compressed file is cut.

    The damage is the last refusal then; it is an error where there is nothing before it.
    """

    @wraps(read)
    def reading(source: Source, options: ReadOptions) -> Iterator[Snapshot | RefusedStep]:
        is_first = True
        try:
            for step in read(source, options):
                yield step
                is_first = False
        except DataError as error:
            if is_first:
                raise
            reason = error.message.removeprefix(str(source)).lstrip(": ")
            yield RefusedStep(source, None, reason, fix=error.fix or "copy the file again")

    return reading


def chosen_steps(steps: Iterable[_Step], choice: StepChoice) -> Iterator[_Step]:
    """Yield what ``choice.of(steps)`` lists, one after the other.

    Ends that are counted from the last step hold back as many steps as they count.

    Examples
    --------
    >>> from mlff_dyn.store.calculated_steps import StepChoice
    >>> list(chosen_steps(iter("abcdef"), StepChoice.parse("1:-2:2")))
    ['b', 'd']
    >>> list(chosen_steps(iter("abcdef"), StepChoice.parse("-3:")))
    ['d', 'e', 'f']
    """
    start = choice.start or 0
    if start < 0:
        numbered = deque(enumerate(steps), maxlen=-start)
        if not numbered:
            return
        n_steps = numbered[-1][0] + 1
        stop = n_steps if choice.stop is None else choice.stop + (n_steps if choice.stop < 0 else 0)
        kept = (step for number, step in numbered if number < stop)
        yield from islice(kept, 0, None, choice.stride)
        return
    if choice.stop is not None and choice.stop < 0:
        yield from islice(_without_last(steps, -choice.stop), start, None, choice.stride)
        return
    yield from islice(steps, start, choice.stop, choice.stride)


def _without_last(steps: Iterable[_Step], n_last: int) -> Iterator[_Step]:
    held: deque[_Step] = deque()
    for step in steps:
        held.append(step)
        if len(held) > n_last:
            yield held.popleft()
