"""What a finished result keeps of the configuration: a key that came later does not make it another one."""

import json
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field
from pydantic.fields import FieldInfo

from mlff_dyn.config.schema import Config
from mlff_dyn.config.section import Section, came_later

KNOWN_KEYS = Path(__file__).with_name("known_keys.json")
WITHOUT_RESULTS = {"run_dir", "seed", "engine", "execution", "structure"}


class _Inner(Section):
    width: float = 1.0


class _InnerLater(_Inner):
    shape: str = Field(default="round", json_schema_extra=came_later("round"))
    bodies: int = Field(default=4, json_schema_extra=came_later(3))


class _Before(Section):
    steps: int = 10
    inner: _Inner = _Inner()


class _Later(_Before):
    inner: _InnerLater = _InnerLater()
    file: str | None = Field(default=None, json_schema_extra=came_later(None))


def test_a_key_that_says_what_was_done_before_changes_nothing():
    assert _Later(inner=_InnerLater(bodies=3)).deciding() == _Before().deciding()
    assert _Later(steps=3, inner=_InnerLater(bodies=3)).deciding(["steps"]) == _Before().deciding(["steps"])


@pytest.mark.parametrize(
    ("changed", "seen"),
    [
        (_Later(file="x", inner=_InnerLater(bodies=3)), {"file": "x"}),
        (_Later(), {"inner": {"width": 1.0, "bodies": 4}}),
        (_Later(steps=11, inner=_InnerLater(bodies=3)), {"steps": 11}),
    ],
)
def test_a_key_that_says_something_else_is_a_change(changed: Section, seen: dict[str, Any]):
    assert changed.deciding() == {**_Before().deciding(), **seen}


def _sections(kind: Any) -> Iterator[type[Section]]:
    """Sections that an annotation holds, and those inside of them."""
    if isinstance(kind, type) and issubclass(kind, Section):
        yield kind
        for name, field in kind.model_fields.items():
            if kind is not Config or name not in WITHOUT_RESULTS:
                yield from _sections(field.annotation)
    for part in typing.get_args(kind):
        yield from _sections(part)


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if isinstance(value, Section):
        return "its own"
    return "required" if field.is_required() else repr(value)


def test_keys_that_finished_results_do_not_know_are_marked():
    """A new key needs `json_schema_extra=came_later(...)`; another default would change what results are of.

    Where a default has to change, results with the old one are of another configuration: change it here.
    """
    found = {
        section.__name__: {
            name: _default(field)
            for name, field in section.model_fields.items()
            if field.json_schema_extra is None
        }
        for section in _sections(Config)
        if section is not Config
    }
    assert found == json.loads(KNOWN_KEYS.read_text(encoding="utf-8"))
