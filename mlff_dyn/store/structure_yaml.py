"""Structures in the YAML files of phonopy and phono3py."""

from __future__ import annotations

import gzip
import lzma
import re
from typing import TYPE_CHECKING, Any

from mlff_dyn.units import BOHR_ANGSTROM

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ase import Atoms

YAML_SUFFIXES = (".yaml", ".yml")

_DECOMPRESS: dict[str, Callable[[bytes], bytes]] = {".xz": lzma.decompress, ".gz": gzip.decompress}
_CELLS = ("unit_cell", "primitive_cell", "supercell")
_HAS_CELL = re.compile(rf"^({'|'.join(_CELLS)}|lattice):\s*$", re.MULTILINE)


def is_phonopy_yaml(path: Path) -> bool:
    """Tell a file of phonopy from a configuration, by its content."""
    packed = path.suffix in _DECOMPRESS
    if (path.with_suffix("") if packed else path).suffix not in YAML_SUFFIXES or not path.is_file():
        return False
    try:
        content = path.read_bytes()
        text = (_DECOMPRESS[path.suffix](content) if packed else content).decode("utf-8", "replace")
    except (OSError, EOFError, lzma.LZMAError):
        return False
    return _HAS_CELL.search(text) is not None


def read_phonopy_cell(path: Path) -> Atoms:
    """Read the unit cell of a phonopy file, or the cell there is where it has none; lengths become Å."""
    from ase import Atoms
    from phonopy.interface.phonopy_yaml import load_yaml
    from phonopy.physical_units import get_calculator_physical_units
    from phonopy.structure.atoms import parse_cell_dict

    content: dict[str, Any] = load_yaml(path)
    head = content.get("phonopy") or content.get("phono3py") or {}
    units = get_calculator_physical_units(head.get("calculator"))
    length = (content.get("physical_unit") or {}).get("length")
    scale = {None: units.distance_to_A, "angstrom": 1.0, "au": BOHR_ANGSTROM}[length]
    cell = parse_cell_dict(next((content[name] for name in _CELLS if name in content), content))
    if cell is None:
        raise ValueError("there is no cell in it")
    return Atoms(
        symbols=cell.symbols,
        scaled_positions=cell.scaled_positions,
        cell=scale * cell.cell,
        masses=cell.masses,
        magmoms=cell.magnetic_moments,
        pbc=True,
    )
