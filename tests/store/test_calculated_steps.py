"""Steps are chosen while they stream by, as slices of the whole list are."""

from itertools import count, islice

import pytest

from mlff_dyn.store.calculated_steps import StepChoice

ENDS = (None, 0, 1, 3, 7, 20, -1, -3, -20)


@pytest.mark.parametrize("start", ENDS)
@pytest.mark.parametrize("stop", ENDS)
@pytest.mark.parametrize("stride", [None, 1, 2, 5])
@pytest.mark.parametrize("n_steps", [0, 1, 7])
def test_a_stream_gives_what_the_list_gives(
    start: int | None, stop: int | None, stride: int | None, n_steps: int
) -> None:
    choice = StepChoice(start, stop, stride)
    assert list(choice.of(iter(range(n_steps)))) == list(range(n_steps))[start:stop:stride]


def test_no_more_is_read_than_chosen() -> None:
    assert list(islice(StepChoice(2, None, 3).of(count()), 3)) == [2, 5, 8]
    assert list(StepChoice(None, 2).of(count())) == [0, 1]
