"""Numbers as people read them."""

import pytest

from mlff_dyn.report.numbers import format_with_errors


@pytest.mark.parametrize(
    ("value", "errors", "expected"),
    [
        (12.3456, (0.234,), "12.35 ± 0.23"),
        (12.3456, (1.234, 0.0234), "12.346 ± 1.234 ± 0.023"),
        (123.456, (45.6,), "123 ± 46"),
        (12.3456, (0.0,), "12.346 ± 0.000"),
        (12.3456, (), "12.346"),
        (0.0, (), "0.0"),
        (-0.5, (1e-12,), "-0.500000 ± 0.000000"),
    ],
)
def test_a_value_has_two_digits_of_its_smallest_error(value, errors, expected):
    assert format_with_errors(value, *errors) == expected
