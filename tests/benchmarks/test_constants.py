"""The scan of the constants of a fit leaves none out."""

import dataclasses

from benchmarks.accuracy.constants import NOT_FELT, constant_names, scaled
from mlff_dyn.regression.fit.hyperpriors import HYPERPRIORS, Hyperpriors


def test_every_field_is_scanned_or_not_felt() -> None:
    scanned = {label.partition("[")[0] for label, _ in constant_names()}
    assert not scanned & set(NOT_FELT)
    assert scanned | set(NOT_FELT) == {field.name for field in dataclasses.fields(Hyperpriors)}


def test_one_number_changes_at_a_time() -> None:
    for label, value in constant_names():
        before, after = (
            [x for v in dataclasses.astuple(h) for x in (v if isinstance(v, tuple) else [v])]
            for h in (HYPERPRIORS, scaled(label, 2.0))
        )
        changed = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
        assert changed == [(value, 2 * value)]
