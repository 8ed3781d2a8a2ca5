"""Whether a vasprun.xml belongs to the POSCAR beside it."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.engines.echo import structure_difference
from mlff_dyn.errors import EngineError

if TYPE_CHECKING:
    from pathlib import Path

    from ase import Atoms


def check_structure(path: Path, atoms: Atoms) -> None:
    """Refuse a vasprun.xml of other atoms, another cell or other positions than those of its input.

    Parameters
    ----------
    path : Path
    atoms : Atoms
        Of the POSCAR, in its order.

    Raises
    ------
    EngineError
        If they differ, or the file does not tell them.
    """
    fix = "do not change the files of a calculation; run the same command again"
    try:
        root = ET.parse(path).getroot()  # noqa: S314 (a file of a program that this one has started)
        symbols = [row[0].text or "" for row in root.iterfind("atominfo/array[@name='atoms']/set/rc")]
        structures = root.findall("calculation/structure") or root.findall("structure")
        cell = _rows(structures[-1].find("crystal/varray[@name='basis']"))
        scaled = _rows(structures[-1].find("varray[@name='positions']"))
    except (ET.ParseError, IndexError, ValueError) as error:
        raise EngineError(f"{path}: its structure cannot be read: {error}", fix=fix) from error
    difference = structure_difference(
        (atoms.get_chemical_symbols(), atoms.cell.array, atoms.positions),
        ([symbol.strip() for symbol in symbols], cell, scaled @ cell),
    )
    if difference is not None:
        raise EngineError(f"{path} does not belong to the POSCAR beside it: {difference}", fix=fix)


def _rows(array: ET.Element | None) -> np.ndarray:
    if array is None:
        raise ValueError("a part is missing")
    return np.array([(row.text or "").split() for row in array], dtype=float).reshape(-1, 3)
