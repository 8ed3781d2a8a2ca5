"""The names that the schema allows are those of the registries."""

from typing import get_args

import pytest

from mlff_dyn.config.problems import section_fields
from mlff_dyn.execution.registry import EXECUTIONS
from mlff_dyn.kernels.dynamics import THERMOSTATS
from mlff_dyn.lattice.rotations import ROTATIONAL_SUM_RULES
from mlff_dyn.md.barostat import SHAPES
from mlff_dyn.regression.planning.selection import SELECTIONS
from mlff_dyn.training.criteria.registry import CRITERIA
from mlff_dyn.training.frame_choice import LAST
from mlff_dyn.training.initial import INITIAL_STRUCTURES


@pytest.mark.parametrize(
    ("key", "names"),
    [
        ("execution.kind", EXECUTIONS),
        ("expansion.rotational_sum_rules", ROTATIONAL_SUM_RULES),
        ("md.barostat_shape", SHAPES),
        ("md.thermostat", THERMOSTATS),
        ("training.criterion.kind", CRITERIA),
        ("training.initial.kind", INITIAL_STRUCTURES),
        ("training.selection.kind", [*SELECTIONS, LAST]),
    ],
)
def test_the_schema_allows_what_is_registered(key, names):
    *section, name = key.split(".")
    annotation = section_fields(tuple(section))[name].annotation
    choices = get_args(annotation)
    if type(None) in choices:
        choices = get_args(choices[0])
    if choices[-1] is Ellipsis:
        choices = get_args(choices[0])
    assert sorted(choices) == sorted(names)
