"""What pydantic found wrong in a configuration, said in the words of the configuration."""

from __future__ import annotations

import difflib
from types import NoneType
from typing import TYPE_CHECKING, get_args

from pydantic import BaseModel, ValidationError

from mlff_dyn.config.schema import Config

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

    from mlff_dyn.config.yaml_source import Lines

_WORDS = {
    "int_type": "should be a whole number",
    "int_parsing": "should be a whole number",
    "int_from_float": "should be a whole number",
    "float_type": "should be a number",
    "float_parsing": "should be a number",
    "finite_number": "should be a finite number",
    "string_type": "should be text",
    "path_type": "should be a path",
    "tuple_type": "should be a list, like [300]",
    "dict_type": "should be a mapping",
    "model_type": "should be a section with keys of its own",
    "model_attributes_type": "should be a section with keys of its own",
    "too_short": "should not be empty",
}


def describe_problems(error: ValidationError, lines: Lines, source: str) -> list[str]:
    """Describe every problem in one line.

    Parameters
    ----------
    error : ValidationError
        From `Config`.
    lines : dict
        Line of every key of the file, see `parse_yaml`.
    source : str
        Name of the file.

    Returns
    -------
    list of str
        ``source, line 3: dotted.key: what is wrong``, in the order of the file.
    """
    described = []
    problems = error.errors(include_url=False)
    places = [tuple(problem["loc"]) for problem in problems]
    for problem in problems:
        if problem["type"] == "too_short" and _are_parts_wrong(tuple(problem["loc"]), places):
            continue
        line = _find_line(tuple(problem["loc"]), lines)
        where = f"{source}, line {line}" if line else source if line is None else f"{source} with --set"
        described.append((line or 0, f"{where}: {_describe(problem)}"))
    return [text for _, text in sorted(described, key=lambda pair: pair[0])]


def _are_parts_wrong(path: tuple[Hashable, ...], places: Sequence[tuple[Hashable, ...]]) -> bool:
    """Whether a list is short only since parts of it are wrong, which are described themselves."""
    return any(len(place) > len(path) and place[: len(path)] == path for place in places)


def section_fields(path: tuple[Hashable, ...]) -> dict[str, FieldInfo]:
    """Return the fields of the section at a path of keys; empty where there is no section."""
    section: type[BaseModel] | None = Config
    for key in path:
        field = section.model_fields.get(str(key)) if section else None
        section = section_class(field.annotation) if field else None
    return dict(section.model_fields) if section else {}


def section_class(annotation: object) -> type[BaseModel] | None:
    """Return the section that an annotation holds, optional or not; None for a plain value."""
    for choice in (annotation, *get_args(annotation)):
        if isinstance(choice, type) and choice is not NoneType and issubclass(choice, BaseModel):
            return choice
    return None


def walk_keys(path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of every key of the schema, a section before its keys."""
    for name, field in section_fields(path).items():
        yield (*path, name)
        if section_class(field.annotation):
            yield from walk_keys((*path, name))


def _describe(problem: ErrorDetails) -> str:
    path = tuple(problem["loc"])
    key = ".".join(str(part) for part in path)
    kind = problem["type"]
    if kind == "extra_forbidden":
        nearest = _nearest_key(path)
        return f"{key}: unknown key" + (f"; did you mean {nearest}?" if nearest else "")
    if kind == "missing":
        return f"{key}: required, but missing"
    if kind == "value_error":
        return f"{key}: {problem['ctx']['error']}"
    if kind == "literal_error":
        return f"{key}: {problem['input']!r} is not one of {problem['ctx']['expected'].replace(' or ', ', ')}"
    what = _WORDS.get(kind) or problem["msg"].removeprefix("Input ")
    return f"{key}: {what} (it is {_short(problem['input'])})"


def _nearest_key(path: tuple[Hashable, ...]) -> str | None:
    """Nearest valid name: in the same section, else a key of (nearly) that name in another section."""
    name = str(path[-1])
    siblings = difflib.get_close_matches(name, section_fields(path[:-1]), n=1, cutoff=0.5)
    if siblings:
        return ".".join([*(str(part) for part in path[:-1]), siblings[0]])
    elsewhere = {keys[-1]: ".".join(keys) for keys in walk_keys()}
    close = difflib.get_close_matches(name, elsewhere, n=1, cutoff=0.8)
    return elsewhere[close[0]] if close else None


def _find_line(path: tuple[Hashable, ...], lines: Lines) -> int | None:
    """Line of the deepest part of the path that the file has; 0 if an override wrote it, None without any."""
    found = (lines[path[:length]] for length in range(len(path), 0, -1) if path[:length] in lines)
    return next(found, None)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
