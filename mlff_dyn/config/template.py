"""Commented configuration file; the comments are the descriptions of the schema."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from mlff_dyn.config.load import change_paths
from mlff_dyn.config.problems import section_class, section_fields
from mlff_dyn.config.yaml_source import format_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlff_dyn.config.schema import Config

HEAD = "Configuration of mlff-dyn. Units are part of the names; what equals its default may be left out."
_WIDTH = 100


def starting_values(
    structure_file: Path,
    elements: Sequence[str],
    supercell: Sequence[int],
    cutoffs_angstrom: Mapping[int, object],
    periodic: tuple[bool, bool, bool] = (True, True, True),
) -> dict[str, object]:
    """Return the values of a first configuration, for pw.x.

    Parameters
    ----------
    structure_file : Path
    elements : sequence of str
        Chemical symbols in it, for the names of the pseudopotentials.
    supercell : sequence of 3 int
        Training cell.
    cutoffs_angstrom : mapping
        Cutoffs as in the configuration, Å.
    periodic : tuple of 3 bool
        False along axes with vacuum.
    """
    structure: dict[str, object] = {"file": str(structure_file), "supercell": list(supercell)}
    if not all(periodic):
        structure["periodic"] = list(periodic)
    return {
        "structure": structure,
        "expansion": {"cutoffs_angstrom": dict(cutoffs_angstrom)},
        "engine": {
            "kind": "espresso",
            "parameters": {
                "input_data": {"system": {"ecutwfc": 40}, "electrons": {"conv_thr": 1.0e-9}},
                "pseudopotentials": {element: f"{element}.UPF" for element in elements},
                "kpoints": "gamma",
            },
            "profile": {
                "command": "pw.x",
                "pseudo_dir": "pseudo",
                "environment": {"OMP_NUM_THREADS": "1"},
                "timeout_minutes": 60,
            },
        },
    }


def config_template(config: Config, folder: Path) -> str:
    """Write a configuration with every key and what it means.

    Parameters
    ----------
    config : Config
        With absolute paths.
    folder : Path
        Where the file will lie; paths are written relative to it.

    Returns
    -------
    str
        YAML that `parse_config` reads as the same configuration.
    """
    values = config.model_dump()
    change_paths(values, lambda path: _relative(path, folder))
    return "\n".join([*_comment(HEAD, 0), *_section_lines((), values)]) + "\n"


def _relative(path: Path, folder: Path) -> Path:
    """Path relative to a folder; as it is where the two have nothing but the root in common."""
    relative = os.path.relpath(path, folder)
    shared = os.path.commonpath([path.resolve(), folder.resolve()])
    return path if shared == os.path.sep else Path(relative)


def _section_lines(path: tuple[str, ...], values: Mapping[str, object]) -> list[str]:
    depth = len(path)
    lines: list[str] = []
    for name, field in section_fields(path).items():
        value = values[name]
        if depth == 0:
            lines.append("")
        lines.extend(_comment(field.description or "", depth))
        if section_class(field.annotation) and isinstance(value, dict):
            lines.append(f"{_indent(depth)}{name}:")
            lines.extend(_section_lines((*path, name), value))
        else:
            lines.extend(_value_lines(name, value, depth))
            for key, inner in section_fields((*path, name)).items():
                lines.extend(_comment(f"{key}: {inner.description}", depth + 1))
    return lines


def _comment(text: str, depth: int) -> list[str]:
    prefix = f"{_indent(depth)}# "
    return textwrap.wrap(
        text, _WIDTH, initial_indent=prefix, subsequent_indent=prefix, break_on_hyphens=False
    )


def _value_lines(name: str, value: object, depth: int) -> list[str]:
    flow = None if isinstance(value, dict | list | tuple) else False
    text = format_yaml({name: value}, flow=flow, width=_WIDTH)
    return [f"{_indent(depth)}{line}" for line in text.splitlines()]


def _indent(depth: int) -> str:
    return "  " * depth
