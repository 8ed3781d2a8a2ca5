"""YAML text to plain values and back; strictly, with the line of every key.

Differs from ``yaml.safe_load`` where that would mislead: a key given twice is an error, ``1e-5`` is a number,
and only ``true`` and ``false`` are truth values (YAML 1.2).
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import PurePath
from typing import Any

import yaml

from mlff_dyn.errors import ConfigError

_MOST_ENTRIES = 100_000

Lines = dict[tuple[Hashable, ...], int]


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader with the scalar rules of YAML 1.2 and without silent duplicates."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.constructor.ConstructorError(
                    None, None, "a key is not a plain value", key_node.start_mark
                )
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key} is given twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


class _QuotingDumper(yaml.SafeDumper):
    """SafeDumper that quotes a text which _StrictLoader would take for a number."""


_NULL = re.compile(r"^(?:~|null|Null|NULL|)$")
_BOOL = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")
_INTEGER = re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$")
_FLOAT = re.compile(
    r"^[-+]?(?:(?:[0-9]*\.[0-9]+|[0-9]+\.)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+|\.inf|\.Inf|\.INF)$"
    r"|^\.(?:nan|NaN|NAN)$"
)
for _name, _pattern, _first in (
    ("null", _NULL, ["~", "n", "N", ""]),
    ("bool", _BOOL, list("tTfF")),
    ("int", _INTEGER, list("-+0123456789")),
    ("float", _FLOAT, list("-+.0123456789")),
):
    _StrictLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", _pattern, _first)
    _QuotingDumper.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", _pattern, _first)


def format_yaml(value: object, *, flow: bool | None, width: int) -> str:
    """Write plain values so that `parse_yaml` reads the same ones.

    Parameters
    ----------
    value : object
        Plain values; tuples are written as lists, paths as text.
    flow : bool or None
        True: in braces and brackets; False: one entry a line; None: braces for innermost collections.
    width : int
        Wanted length of a line, characters.
    """
    return yaml.dump(
        _to_plain(value),
        Dumper=_QuotingDumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=flow,
        width=width,
    )


def parse_yaml(text: str, source: str) -> tuple[Any, Lines]:
    """Parse one YAML document.

    Parameters
    ----------
    text : str
    source : str
        Name of the text, for messages.

    Returns
    -------
    value : object
        Plain values: dict, list, str, int, float, bool, None.
    lines : dict
        Line, from 1, of every key of every mapping, by the path of keys from the top.

    Raises
    ------
    ConfigError
        If the text is not YAML, or a key is given twice; the message has line and column.
    """
    try:
        loader = _StrictLoader(text)
    except yaml.YAMLError as error:
        raise ConfigError(
            f"{source}: {' '.join(str(error).split())}",
            fix="remove the characters that are no text, and write YAML",
        ) from None
    try:
        node = loader.get_single_node()
        if node is None:
            return None, {}
        lines: Lines = {}
        if _size(node, {}) > _MOST_ENTRIES:
            raise ConfigError(f"{source} has more than {_MOST_ENTRIES} entries", fix="use fewer aliases")
        _collect_lines(loader, node, (), (), lines)
        return loader.construct_document(node), lines
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{source}, line {mark.line + 1}, column {mark.column + 1}" if mark else source
        raise ConfigError(
            f"{where}: {error.problem or error.context}",
            fix="correct the YAML there; quote texts with : or #, and give each key once",
        ) from None
    except RecursionError:
        raise ConfigError(
            f"{source}: lists and mappings are nested too deeply",
            fix="nest less: a configuration needs five levels",
        ) from None
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(
            f"{source}: {' '.join(str(error).split())}",
            fix="remove the characters that are no text, and write YAML",
        ) from None
    finally:
        loader.dispose()


def replace_value(text: str, path: tuple[Hashable, ...], value: object) -> str:
    """Put another value in the place of one; every other character of the text stays.

    Parameters
    ----------
    text : str
        YAML that `parse_yaml` accepts.
    path : tuple
        Keys from the top to the value.
    value : object
        Plain value, which is written in braces and brackets.

    Raises
    ------
    KeyError
        If there is no such key.
    """
    loader = _StrictLoader(text)
    try:
        node: yaml.Node = loader.get_single_node() or yaml.ScalarNode("", "")
        for key in path:
            node = _entry(loader, node, key)
    finally:
        loader.dispose()
    written = format_yaml(value, flow=True, width=10**6).strip().removesuffix("\n...")
    return text[: node.start_mark.index] + written + text[_last_index(node) :]


def insert_value(text: str, after: tuple[Hashable, ...], key: str, value: object) -> str:
    """Add a key behind another one of the same mapping; everything else of the text stays.

    Parameters
    ----------
    text : str
        YAML that `parse_yaml` accepts.
    after : tuple
        Keys from the top to the entry before.
    key : str
    value : object
        Plain value, which is written in braces and brackets.

    Raises
    ------
    KeyError
        If there is no such entry before.
    """
    loader = _StrictLoader(text)
    try:
        parent: yaml.Node = loader.get_single_node() or yaml.ScalarNode("", "")
        for name in after[:-1]:
            parent = _entry(loader, parent, name)
        end = _last_index(_entry(loader, parent, after[-1]))
    finally:
        loader.dispose()
    written = f"{key}: {format_yaml(value, flow=True, width=10**6).strip().removesuffix('...').strip()}"
    if isinstance(parent, yaml.CollectionNode) and parent.flow_style:
        return f"{text[:end]}, {written}{text[end:]}"
    line_end = end + len(text[end:].partition("\n")[0])
    return f"{text[:line_end]}\n{' ' * parent.start_mark.column}{written}{text[line_end:]}"


def _entry(loader: _StrictLoader, node: yaml.Node, key: Hashable) -> yaml.Node:
    entries: list[tuple[yaml.Node, yaml.Node]] = node.value if isinstance(node, yaml.MappingNode) else []
    for key_node, value_node in entries:
        if loader.construct_object(key_node, deep=True) == key:
            return value_node
    raise KeyError(key)


def _last_index(node: yaml.Node) -> int:
    """End of the text of a node; that of a block also takes in what follows it, so its last entry counts."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _last_index(last[1] if isinstance(node, yaml.MappingNode) else last)
    return int(node.end_mark.index)


def _size(node: yaml.Node, known: dict[yaml.Node, int]) -> int:
    """Entries with all aliases written out; those of a node are counted once."""
    if node not in known:
        known[node] = 1
        below = node.value if isinstance(node, yaml.CollectionNode) else []
        if isinstance(node, yaml.MappingNode):
            below = [value for _, value in below]
        known[node] += sum(_size(each, known) for each in below)
    return known[node]


def _collect_lines(
    loader: _StrictLoader,
    node: yaml.Node,
    path: tuple[Hashable, ...],
    ancestors: tuple[yaml.Node, ...],
    lines: Lines,
) -> None:
    if any(node is each for each in ancestors):
        raise yaml.composer.ComposerError(None, None, "an alias contains itself", node.start_mark)
    if isinstance(node, yaml.SequenceNode):
        for number, entry in enumerate(node.value):
            _collect_lines(loader, entry, (*path, number), (*ancestors, node), lines)
    if not isinstance(node, yaml.MappingNode):
        return
    for key_node, value_node in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            continue
        key_path = (*path, loader.construct_object(key_node, deep=True))
        lines[key_path] = key_node.start_mark.line + 1
        _collect_lines(loader, value_node, key_path, (*ancestors, node), lines)


def _to_plain(value: object) -> object:
    if isinstance(value, dict):
        return {key: _to_plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_to_plain(entry) for entry in value]
    return str(value) if isinstance(value, PurePath) else value
