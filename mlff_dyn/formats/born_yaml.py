"""Born charges and dielectric tensor in the YAML files of phonopy and phono3py."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml
from phonopy.physical_units import get_calculator_physical_units
from phonopy.structure.atoms import parse_cell_dict

from mlff_dyn.errors import DataError
from mlff_dyn.formats.plain_yaml import read_plain_yaml
from mlff_dyn.lattice.matching import match_structure

if TYPE_CHECKING:
    from pathlib import Path

    from mlff_dyn.lattice.crystal import Crystal

_CELLS = ("phonon_primitive_cell", "primitive_cell")
_HEADS = ("phonopy", "phono3py")
_SECTION = re.compile(r"^(?=\w)", re.MULTILINE)


def read_born_yaml(path: Path, crystal: Crystal) -> dict[str, Any]:
    """Read the section ``nac``, as `phonopy.file_IO.parse_BORN` returns a file, site by site.

    The primitive cell of the file may be shifted and rotated against that of the crystal.

    Parameters
    ----------
    path : Path
        Compressed or not.
    crystal : Crystal

    Raises
    ------
    DataError
        If the file has no such section, is damaged, or belongs to another crystal.
    """
    parts = {each.partition(":")[0]: each for each in _SECTION.split(read_plain_yaml(path))}
    head = next((name for name in _HEADS if name in parts), None)
    cell_name = next((name for name in _CELLS if name in parts), None)
    if "nac" not in parts or head is None or cell_name is None:
        raise DataError("there are no Born charges in it (section nac)", fix="give a file with them, or BORN")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        content = yaml.load("".join(parts[name] for name in (head, cell_name, "nac")), Loader=loader)  # noqa: S506
        cell, nac = parse_cell_dict(content[cell_name]), content["nac"]
        charges = np.array(nac["born_effective_charge"], float).reshape(len(cell), 3, 3)
        dielectric = np.array(nac["dielectric_constant"], float).reshape(3, 3)
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"its section nac is damaged: {error}", fix="write it again") from error
    length = get_calculator_physical_units(content[head].get("calculator")).distance_to_A
    match = match_structure(crystal, length * cell.cell, length * cell.positions, cell.numbers)
    rotation = match.rotation
    found: dict[str, Any] = {
        "born": rotation.T @ charges[match.atoms] @ rotation,
        "dielectric": rotation.T @ dielectric @ rotation,
    }
    if "unit_conversion_factor" in nac:
        found["factor"] = nac["unit_conversion_factor"]
    return found
