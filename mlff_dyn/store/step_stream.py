"""Choose steps of a file while it is read, holding no more of them than the choice needs."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mlff_dyn.store.calculated_steps import StepChoice

_Step = TypeVar("_Step")


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
