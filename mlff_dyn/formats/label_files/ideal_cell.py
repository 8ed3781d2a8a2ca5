"""Undisplaced supercells of files that hold displacements and forces alone."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import ase.io
import numpy as np

from mlff_dyn.errors import DataError, reason_of
from mlff_dyn.formats.label_files.displaced import Cell
from mlff_dyn.store.structure_file import read_structure
from mlff_dyn.units import BOHR_ANGSTROM

if TYPE_CHECKING:
    from mlff_dyn.store.source import Source

_POSCAR = re.compile(r"POSCAR|\.vasp$", re.IGNORECASE)
_ALAMODE = re.compile(r"^\s*&position", re.IGNORECASE | re.MULTILINE)
_SECTION = re.compile(r"^\s*&(\w+)\s*$(.*?)^\s*/", re.MULTILINE | re.DOTALL)


def ideal_cell(source: Source, structure: Source | None, n_lines: int) -> tuple[Cell, Source]:
    """Undisplaced supercell of a file with a line for each atom, and where it is from.

    Parameters
    ----------
    source : Source
    structure : Source or None
        That the user named; else the only structure file beside the source whose atoms fit.
    n_lines : int

    Raises
    ------
    DataError
        If there is none, several fit, or it cannot be read.
    """
    if structure is not None:
        cell = read_cell(structure)
        if n_lines % len(cell.numbers):
            raise DataError(
                f"{source} has {n_lines} lines, which are not those of cells of {len(cell.numbers)} atoms "
                f"as in {structure}",
                fix="give its undisplaced supercell: --structure FILE",
            )
        return cell, structure
    found = [(read_cell(each), each) for each in structures_beside(source)]
    fitting = [pair for pair in found if n_lines % len(pair[0].numbers) == 0]
    if len(fitting) != 1:
        names = ", ".join(each.name for _, each in fitting)
        what = f"several structures fit ({names})" if fitting else "there is no structure that fits"
        raise DataError(f"{source}: {what} beside it", fix="give its undisplaced supercell: --structure FILE")
    return fitting[0]


def structures_beside(source: Source) -> tuple[Source, ...]:
    """POSCAR-like files in the folder of a source."""
    return tuple(each for each in source.neighbors() if _POSCAR.search(each.name))


def read_cell(source: Source) -> Cell:
    """Read a supercell: what ASE reads, or an input of ALAMODE.

    Raises
    ------
    DataError
        If it cannot be read.
    """
    text = source.read_text()
    if _ALAMODE.search(text):
        return _alamode_cell(source, text)
    if source.member is None and "poscar" not in source.name.lower():
        atoms = read_structure(source.path)
    else:
        try:
            atoms = ase.io.read(io.StringIO(text), format="vasp")
        except Exception as error:
            raise DataError(f"{source} is no POSCAR: {reason_of(error)}", fix="give a POSCAR") from error
    return Cell(atoms.numbers.astype(np.int64), atoms.positions, atoms.cell.array)


def _alamode_cell(source: Source, text: str) -> Cell:
    sections = {name.lower(): body for name, body in _SECTION.findall(text)}
    try:
        elements = re.search(r"\bKD\s*=\s*([^;#\n]*)", sections["general"], re.IGNORECASE)
        lattice = np.array(_words(sections["cell"]), dtype=float)
        rows = np.array(_words(sections["position"]), dtype=float).reshape(-1, 4)
        cell = lattice[0] * lattice[1:].reshape(3, 3) * BOHR_ANGSTROM
        symbols = [elements.group(1).split()[int(kind) - 1] for kind in rows[:, 0]] if elements else []
        numbers = ase.Atoms(symbols).numbers.astype(np.int64)
    except (KeyError, ValueError, IndexError) as error:
        raise DataError(
            f"{source} is no complete input of ALAMODE: {error}",
            fix="give one with &general, &cell, &position",
        ) from error
    return Cell(numbers, rows[:, 1:] @ cell, cell)


def _words(body: str) -> list[str]:
    return [word for line in body.splitlines() for word in line.partition("#")[0].split()]
