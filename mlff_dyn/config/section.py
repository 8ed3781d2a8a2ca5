"""What all sections of the configuration have in common."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from collections.abc import Collection

    from pydantic import JsonValue

_BEFORE = "before"


def came_later(before: JsonValue) -> dict[str, JsonValue]:
    """Mark a key that results of earlier versions do not know, as `json_schema_extra` of its field.

    Parameters
    ----------
    before : plain value
        With which the program does what it did before there was the key, as JSON has it.
    """
    return {_BEFORE: before}


class Section(BaseModel):
    """A mapping in the configuration: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    def deciding(self, exclude: Collection[str] = ()) -> dict[str, Any]:
        """Plain values for the digest of a result that depends on the section.

        Keys that came later are left out as long as they say what was done before, so that a result of an
        earlier version stays one of the same configuration.

        Parameters
        ----------
        exclude : collection of str
            Keys of this section that decide nothing.
        """
        values: dict[str, Any] = json.loads(self.model_dump_json(exclude=set(exclude)))
        return self._without_later(values)

    def _without_later(self, values: dict[str, Any]) -> dict[str, Any]:
        kept = {}
        for name, value in values.items():
            extra, part = type(self).model_fields[name].json_schema_extra, getattr(self, name)
            if isinstance(extra, dict) and _BEFORE in extra and extra[_BEFORE] == value:
                continue
            kept[name] = part._without_later(value) if isinstance(part, Section) else value  # noqa: SLF001
        return kept
