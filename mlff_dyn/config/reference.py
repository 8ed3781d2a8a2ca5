"""Reference of the configuration as a markdown table, and the README section that holds it.

``python -m mlff_dyn.config.reference README.md`` brings the section up to date.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from mlff_dyn.config.fields import parse_cutoffs, parse_supercell
from mlff_dyn.config.problems import section_class, section_fields, walk_keys
from mlff_dyn.config.yaml_source import format_yaml
from mlff_dyn.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic.fields import FieldInfo

BEGIN = "<!-- configuration reference: begin -->"
END = "<!-- configuration reference: end -->"

_TYPE_NAMES = {
    "float": "number",
    "int": "integer",
    "str": "text",
    "Path": "path",
    "dict": "mapping",
    "NoneType": "null",
}
_PARSER_NAMES: dict[object, str] = {
    parse_cutoffs: "order: number, `full`, or bodies: number",
    parse_supercell: "3 integers or 3x3",
}


def reference_table() -> str:
    """Return one markdown row per key: dotted name, type, default, meaning."""
    rows = ["| Key | Value | Default | Meaning |", "|---|---|---|---|"]
    for path in walk_keys():
        field: FieldInfo = section_fields(path[:-1])[path[-1]]
        name, meaning = f"`{'.'.join(path)}`", (field.description or "").replace("|", "\\|")
        if section_class(field.annotation):
            rows.append(f"| **{name}** | section | {_section_default(field)} | {meaning} |")
        else:
            rows.append(f"| {name} | {_type_text(field)} | {_default_text(field)} | {meaning} |")
    return "\n".join(rows)


def update_section(text: str, source: str = "README.md") -> str:
    """Replace what stands between the two markers by the current table.

    Parameters
    ----------
    text : str
        Markdown with the lines ``BEGIN`` and ``END``.
    source : str
        Name of the text, for the message.

    Raises
    ------
    DataError
        If a marker is missing, or they stand in the wrong order.
    """
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise DataError(
            f"{source} has no place for the configuration reference", fix=f"add the lines {BEGIN} and {END}"
        )
    return f"{head}{BEGIN}\n\n{reference_table()}\n\n{END}{tail}"


def _section_default(field: FieldInfo) -> str:
    return "required" if field.is_required() else "none" if field.default is None else ""


def _default_text(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    text = format_yaml(field.default, flow=True, width=200).strip()
    return f"`{text.removesuffix('...').strip()}`"


def _type_text(field: FieldInfo) -> str:
    named = _name_by_parser(field.metadata)
    return named or _annotation_text(field.annotation)


def _annotation_text(annotation: Any) -> str:  # noqa: ANN401 (what typing calls a type has no type)
    """Name what may be written for an annotation."""
    if hasattr(annotation, "__metadata__"):
        return _name_by_parser(annotation.__metadata__) or _annotation_text(annotation.__origin__)
    origin, choices = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(f"`{choice}`" for choice in choices)
    if origin is tuple:
        item = _annotation_text(choices[0])
        item, lists = item.removeprefix("list of "), "list of lists of"
        lists = lists if get_origin(choices[0]) is tuple else "list of"
        return f"{lists} {item}" if item.endswith(("`", "s")) else f"{lists} {item}s"
    if origin is not dict and choices:
        return " or ".join(_annotation_text(choice) for choice in choices)
    name = str((origin or annotation).__name__)
    return _TYPE_NAMES.get(name, name)


def _name_by_parser(metadata: Iterable[object]) -> str | None:
    """Name of a type that has a parser of its own."""
    parsers = [getattr(extra, "func", None) for extra in metadata]
    return next((_PARSER_NAMES[parser] for parser in parsers if parser in _PARSER_NAMES), None)


def main(path: Path) -> None:
    """Bring the section of one file up to date."""
    path.write_text(update_section(path.read_text(encoding="utf-8"), str(path)), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
