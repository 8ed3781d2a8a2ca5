"""The kind of first structures that is taken where none is given."""

import pytest

from mlff_dyn.config.schema import TrainingConfig


@pytest.mark.parametrize(
    ("given", "expected", "n"),
    [
        ({}, "rattle", 3),
        ({"criterion": {"kind": "random"}, "initial": {"n": 2}}, "rattle", 2),
        ({"criterion": {"kind": "observable"}}, "springs", 2),
        ({"criterion": {"kind": "observable"}, "initial": {"kind": None, "n": None}}, "springs", 2),
        ({"criterion": {"kind": "observable"}, "initial": {"n": 5}}, "springs", 5),
        ({"criterion": {"kind": "observable"}, "initial": {"kind": "rattle"}}, "rattle", 2),
        ({"initial": {"kind": "springs"}}, "springs", 3),
    ],
)
def test_an_observable_begins_with_springs(given: dict[str, object], expected: str, n: int) -> None:
    """Results depend on what is taken, given or not."""
    training = TrainingConfig.model_validate(given)
    assert (training.first_structures.kind, training.first_structures.n) == (expected, n)
    assert training.first_structures.sd_angstrom == 0.02
    told = TrainingConfig.model_validate({**given, "initial": {"kind": expected, "n": n}})
    assert training.deciding() == told.deciding()
