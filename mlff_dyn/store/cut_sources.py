"""Steps of a file while it is read: keep those before a damage."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING

from mlff_dyn.errors import DataError
from mlff_dyn.store.calculated_steps import RefusedStep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlff_dyn.store.calculated_steps import ReadOptions
    from mlff_dyn.store.dataset import Snapshot
    from mlff_dyn.store.source import Source

    _Reader = Callable[[Source, ReadOptions], Iterator[Snapshot | RefusedStep]]


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
