"""Steps are chosen while they stream by, as slices of the whole list are."""

from itertools import count, islice

import pytest

from mlff_dyn.store.calculated_steps import StepChoice
from mlff_dyn.store.step_stream import chosen_steps

ENDS = (None, 0, 1, 3, 7, 20, -1, -3, -20)


@pytest.mark.parametrize("start", ENDS)
@pytest.mark.parametrize("stop", ENDS)
@pytest.mark.parametrize("stride", [None, 1, 2, 5])
@pytest.mark.parametrize("n_steps", [0, 1, 7])
def test_a_stream_gives_what_the_list_gives(
    start: int | None, stop: int | None, stride: int | None, n_steps: int
) -> None:
    choice = StepChoice(start, stop, stride)
    assert list(chosen_steps(iter(range(n_steps)), choice)) == choice.of(range(n_steps))


def test_no_more_is_read_than_chosen() -> None:
    assert list(islice(chosen_steps(count(), StepChoice(2, None, 3)), 3)) == [2, 5, 8]
    assert list(chosen_steps(count(), StepChoice(None, 2))) == [0, 1]
