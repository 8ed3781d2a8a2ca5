"""The kind of first structures that is taken where none is given."""

import pytest

from mlff_dyn.config.schema import TrainingConfig


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "rattle"),
        ({"criterion": {"kind": "random"}, "initial": {"n": 2}}, "rattle"),
        ({"criterion": {"kind": "observable"}}, "springs"),
        ({"criterion": {"kind": "observable"}, "initial": {"n": 2}}, "springs"),
        ({"criterion": {"kind": "observable"}, "initial": {"kind": "rattle"}}, "rattle"),
        ({"initial": {"kind": "springs"}}, "springs"),
    ],
)
def test_an_observable_begins_with_springs(given: dict[str, object], expected: str) -> None:
    """And what is valid already stays as it is."""
    known = TrainingConfig.model_validate(given)
    assert known.initial.kind == expected
    assert TrainingConfig.model_validate(known) is known


@pytest.mark.parametrize("given", [{"criterion": "observable"}, {"criterion": None}, {"initial": 3}, 5])
def test_what_is_no_section_is_refused_as_ever(given: object) -> None:
    with pytest.raises(ValueError, match="valid dictionary"):
        TrainingConfig.model_validate(given)
