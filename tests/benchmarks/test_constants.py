"""The scan of the constants of a fit leaves none out."""

import dataclasses

import pytest

from benchmarks.accuracy.constants import NOT_FELT, constant_names, scaled
from mlff_dyn.local.function_limits import FUNCTION_LIMITS, FunctionLimits
from mlff_dyn.regression.fit.hyperpriors import HYPERPRIORS, Hyperpriors

BOTH = pytest.mark.parametrize("constants", [HYPERPRIORS, FUNCTION_LIMITS], ids=["fit", "local"])


def test_every_field_is_scanned_or_not_felt() -> None:
    names = [*constant_names(HYPERPRIORS), *constant_names(FUNCTION_LIMITS)]
    scanned = {label.partition("[")[0] for label, _ in names}
    fields = {field.name for kind in (Hyperpriors, FunctionLimits) for field in dataclasses.fields(kind)}
    assert not scanned & set(NOT_FELT)
    assert scanned | set(NOT_FELT) == fields


@BOTH
def test_one_number_changes_at_a_time(constants: Hyperpriors | FunctionLimits) -> None:
    for label, value in constant_names(constants):
        before, after = (
            [x for v in dataclasses.astuple(h) for x in (v if isinstance(v, tuple) else [v])]
            for h in (constants, scaled(label, 2.0, constants))
        )
        changed = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
        assert changed == [(value, 2 * value)]
