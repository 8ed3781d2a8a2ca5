"""The kind of first structures that is taken where none is given."""

import pytest

from mlff_dyn.config.schema import TrainingConfig


@pytest.mark.parametrize(
    ("given", "expected", "n"),
    [
        ({}, "rattle", 3),
        ({"criterion": {"kind": "random"}, "initial": {"n": 2}}, "rattle", 2),
        ({"criterion": {"kind": "observable"}}, "springs", 2),
        ({"criterion": {"kind": "observable"}, "initial": {"n": 5}}, "springs", 5),
        ({"criterion": {"kind": "observable"}, "initial": {"kind": "rattle"}}, "rattle", 3),
        ({"initial": {"kind": "springs"}}, "springs", 3),
    ],
)
def test_an_observable_begins_with_springs(given: dict[str, object], expected: str, n: int) -> None:
    """And what is valid already stays as it is."""
    known = TrainingConfig.model_validate(given)
    assert (known.initial.kind, known.initial.n) == (expected, n)
    assert TrainingConfig.model_validate(known) is known


@pytest.mark.parametrize("given", [{"criterion": "observable"}, {"criterion": None}, {"initial": 3}, 5])
def test_what_is_no_section_is_refused_as_ever(given: object) -> None:
    with pytest.raises(ValueError, match="valid dictionary"):
        TrainingConfig.model_validate(given)
