"""What a vasprun.xml says before its first step: program, settings, atoms and pseudopotentials.

The tags are searched for, not parsed as a tree: titles of users may hold characters that XML does not allow.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
from ase.data import atomic_numbers

from mlff_dyn.engines.vasp.convergence import ElectronicLimits, tag_number
from mlff_dyn.engines.vasp.numbers import DAMAGED_FIX
from mlff_dyn.engines.vasp.settings import (
    HUBBARD_TAGS,
    RunOrigin,
    adds_energy,
    is_true,
    program_name,
    settings_digest,
)
from mlff_dyn.errors import DataError

_TAG = re.compile(r'<([iv])\b[^<>]*name="([^"]*)"[^<>]*>([^<]*)</\1>')
_ROW = re.compile(r"<rc>(.*?)</rc>", re.DOTALL)
_COLUMN = re.compile(r"<c>([^<]*)</c>")
_DIVISIONS = re.compile(r'name="divisions"[^<>]*>([^<]*)<')
_RESPONSE = re.compile(r'<separator name="response functions"[^<>]*>.*?</separator>', re.DOTALL)
_N_ATOMS = re.compile(r"<atoms>([^<]*)</atoms>")


@dataclass(frozen=True, eq=False)
class VasprunHead:
    """The run of a vasprun.xml.

    Attributes
    ----------
    numbers : ndarray of int, shape (n_atoms,)
    limits : ElectronicLimits
    origin : RunOrigin
    adds_energy : bool
        Energies of steps have a part that electronic steps have not, such as dispersion.
    has_pressure : bool
        Energies of steps may have pressure times volume added (PSTRESS).
    has_response : bool
        Electronic steps of linear response follow those of the ground state.
    is_polarized : bool
        Spins are collinear, and there are moments.
    is_learning : bool
        The run trains or uses a machine-learned force field.
    """

    numbers: np.ndarray
    limits: ElectronicLimits
    origin: RunOrigin
    adds_energy: bool
    has_pressure: bool
    has_response: bool
    is_polarized: bool
    is_learning: bool


def read_head(text: str) -> VasprunHead:
    """Read the text before the first step.

    Raises
    ------
    DataError
        If atoms are missing or contradict each other.
    """
    incar = _tags(_section(text, "incar"))
    tags = {**incar, **_tags(_RESPONSE.sub("", _section(text, "parameters")))}
    tags.update({name: incar[name] for name in HUBBARD_TAGS if name in incar})
    generator = _tags(_section(text, "generator"))
    numbers, types = _atoms(_section(text, "atominfo"))
    titles = tuple(title for _, _, title in types)
    n_points = _n_kpoints(_section(text, "kpoints"))
    valence = sum(count * electrons for count, electrons, _ in types)
    n_electrons = tag_number(tags, "NELECT")
    origin = RunOrigin(
        program=program_name(generator.get("VERSION", "")),
        titles=titles,
        date=_date(generator.get("DATE", ""), generator.get("TIME", "")),
        digest=settings_digest(
            tags,
            titles,
            kpoints_times_atoms=None if n_points is None else n_points * len(numbers),
            charge=None if n_electrons is None else n_electrons - valence,
        ),
    )
    return VasprunHead(
        numbers=numbers,
        limits=ElectronicLimits.of_tags(tags),
        origin=origin,
        adds_energy=adds_energy(tags),
        has_pressure=tag_number(tags, "PSTRESS") not in {None, 0.0},
        has_response=tag_number(tags, "IBRION") in {7.0, 8.0} or is_true(tags.get("LEPSILON", "F")),
        is_polarized=tag_number(tags, "ISPIN") == 2.0 and not is_true(tags.get("LNONCOLLINEAR", "F")),
        is_learning=is_true(tags.get("ML_LMLFF", "F")),
    )


def atomic_number(symbol: str, title: str) -> int:
    """Return the number of an element; where VASP cut its symbol, the title of its POTCAR tells.

    Raises
    ------
    DataError
        If neither is an element.
    """
    words = title.split()
    named = words[1] if len(words) > 1 else ""
    for name in (symbol.strip(), named.split("_")[0].split(".")[0]):
        if name in atomic_numbers and name != "X":
            return int(atomic_numbers[name])
    raise DataError(f"{symbol.strip()!r} is no chemical element", fix=DAMAGED_FIX)


def _section(text: str, name: str) -> str:
    begin = text.find(f"<{name}>")
    end = text.find(f"</{name}>", begin)
    return text[begin : end if end >= 0 else len(text)] if begin >= 0 else ""


def _tags(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for _, name, value in _TAG.findall(text):
        found.setdefault(name.upper(), value.strip())
    return found


def _date(date: str, time: str) -> str | None:
    words = date.split()
    if len(words) != 3 or not all(word.isdecimal() for word in words):
        return None
    return "-".join(words) + (f"T{time}" if re.fullmatch(r"\d\d:\d\d:\d\d", time) else "")


def _rows(text: str, array: str, n_columns: int) -> list[list[str]]:
    begin = text.find(f'<array name="{array}"')
    part = text[begin : text.find("</array>", begin)] if begin >= 0 else ""
    rows = [_COLUMN.findall(row) for row in _ROW.findall(part)]
    if not rows or len(rows) != part.count("<rc>") or any(len(row) != n_columns for row in rows):
        raise DataError(f"the list of {array} is missing or damaged", fix=DAMAGED_FIX)
    return rows


def _atoms(text: str) -> tuple[np.ndarray, list[tuple[int, float, str]]]:
    """Return atomic numbers, and of each type the number of atoms, valence electrons and title."""
    atoms, rows = _rows(text, "atoms", 2), _rows(text, "atomtypes", 5)
    try:
        types = [(int(row[0]), float(row[3]), " ".join(row[4].split())) for row in rows]
        numbers = [atomic_number(row[1], row[4]) for row in rows]
        kinds = np.array([int(kind) for _, kind in atoms])
        stated = _N_ATOMS.search(text)
        n_atoms = len(atoms) if stated is None else int(stated[1])
    except ValueError as error:
        raise DataError(f"the list of atoms is damaged: {error}", fix=DAMAGED_FIX) from None
    counts = [int(np.sum(kinds == kind)) for kind in range(1, len(types) + 1)]
    if n_atoms != len(atoms) or counts != [count for count, _, _ in types] or sum(counts) != n_atoms:
        raise DataError("the number of atoms and those listed contradict each other", fix=DAMAGED_FIX)
    return np.array(numbers, dtype=np.int64)[kinds - 1], types


def _n_kpoints(text: str) -> int | None:
    """Count the points of the whole mesh; where it is given point by point, those listed."""
    found = _DIVISIONS.search(text)
    if found is not None:
        words = found[1].split()
        return math.prod(map(int, words)) if all(word.isdecimal() for word in words) else None
    begin = text.find('name="kpointlist"')
    points = text[begin : text.find("</varray>", begin)].count("<v>") if begin >= 0 else 0
    return points or None
