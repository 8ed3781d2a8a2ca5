"""Cells and positions in the text output of pw.x: of its beginning, and of the cards of later steps."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.engines.espresso.output import AGAIN, Unusable
from mlff_dyn.units import BOHR_ANGSTROM

if TYPE_CHECKING:
    from collections.abc import Sequence

_NUMBER = r"[-+]?\d+\.\d+"
_ALAT = re.compile(rf"celldm\(1\)=\s*({_NUMBER})")
_AXIS = re.compile(r"^[ \t]*a\(([123])\)\s*=\s*\(([^)\n]*)\)", re.MULTILINE)
_SITES = re.compile(r"^.*positions \(a(?:lat|_0) units\).*\n", re.MULTILINE)
_SITE = re.compile(r"^[ \t]*(\d+)\s+(\S+)\s+tau\([^)]*\)\s*=\s*\(([^)]*)\)")
_VOLUME = re.compile(rf"unit-cell volume\s*=\s*({_NUMBER}) (?:\(a\.u\.\)|a\.u\.)\^3")
_CELL = re.compile(rf"^CELL_PARAMETERS\s*\(?\s*(\w+)(?:\s*=\s*({_NUMBER}))?.*\n", re.MULTILINE)
_POSITIONS = re.compile(r"^ATOMIC_POSITIONS\s*\(?\s*(\w+).*\n", re.MULTILINE)
_ATOM = re.compile(rf"^[ \t]*([A-Za-z]\S*)\s+({_NUMBER})\s+({_NUMBER})\s+({_NUMBER})(?:\s+[01]){{0,3}}\s*$")
_BARE_ROW = re.compile(r"^[ \t]*(?:[-+]?\d+\.\d{9}\s+){2}[-+]?\d+\.\d{9}\s*$", re.MULTILINE)
_VARIABLE = ("new unit-cell volume", "press convergence thresh", "CELL_PARAMETERS")
_RELATIVE = 2e-5  # volumes and axes are printed with six digits or more
_ABSOLUTE_BOHR3 = 1e-4


@dataclass(frozen=True, eq=False)
class Geometry:
    """Cell and positions of one step.

    Attributes
    ----------
    labels : tuple of str                        species of each atom
    cell : ndarray, shape (3, 3), Å
    positions : ndarray, shape (n_atoms, 3), Å
    """

    labels: tuple[str, ...]
    cell: np.ndarray
    positions: np.ndarray


@dataclass(frozen=True, eq=False)
class Start:
    """Lattice parameter, Å, and cell vectors, in units of it, of the beginning of a run."""

    alat_angstrom: float
    axes: np.ndarray

    @property
    def cell(self) -> np.ndarray:
        """Cell vectors as rows, shape (3, 3), Å."""
        return self.alat_angstrom * self.axes


def parse_start(text: str) -> Start | None:
    """Return what the beginning of a run says of its cell; None where that is not there."""
    length, axes = _ALAT.search(text), _AXIS.findall(text)[:3]
    rows = [re.findall(_NUMBER, row) for _, row in axes]
    if length is None or [i for i, _ in axes] != ["1", "2", "3"] or any(len(row) != 3 for row in rows):
        return None
    return Start(float(length[1]) * BOHR_ANGSTROM, np.array(rows, dtype=float))


def is_variable_cell(text: str) -> bool:
    """Whether the cell changes in a run with this text in it."""
    return any(mark in text for mark in _VARIABLE)


def parse_geometry(text: str, n_atoms: int, start: Start | None, *, with_cell: bool) -> Geometry:
    """Read the geometry that the calculation in a block of text starts from.

    Parameters
    ----------
    text : str
        From the end of the last calculation to that of this one.
    n_atoms : int
    start : Start or None
        Of the run.
    with_cell : bool
        Whether the cell must be in the text, because it changes from step to step.

    Raises
    ------
    Unusable
        If something of it is missing, cut, or contradicts itself.
    """
    here = parse_start(text)
    cell = _cell_card(text, start)
    if cell is None:
        may_be_old = not with_cell and _BARE_ROW.search(text) is None
        known = here or (start if may_be_old else None)
        if known is None:
            raise Unusable("its cell cannot be read", fix=AGAIN)
        cell = known.cell
    _check_volume(text, cell)
    labels, positions = _position_card(text, n_atoms, start, cell) or _sites(text, n_atoms, here)
    return Geometry(labels, cell, positions)


def free_components(text: str, n_atoms: int) -> np.ndarray | None:
    """Return which components of the forces pw.x moves atoms along, shape (n_atoms, 3); None where all."""
    for card in _POSITIONS.finditer(text):
        lines = text[card.end() :].splitlines()[:n_atoms]
        rows = [(line.split()[4:] or ["1"] * 3) if _ATOM.match(line) else [] for line in lines]
        if len(rows) == n_atoms and all(len(row) == 3 for row in rows):
            free = np.array(rows) == "1"
            return None if free.all() else free
    return None


def _check_volume(text: str, cell: np.ndarray) -> None:
    printed = _VOLUME.findall(text)
    volume = abs(float(np.linalg.det(cell))) / BOHR_ANGSTROM**3
    if printed and abs(volume - float(printed[-1])) > _ABSOLUTE_BOHR3 + _RELATIVE * volume:
        raise Unusable(
            f"the volume of its cell is {volume:.4f} bohr³, but it prints {printed[-1]}", fix=AGAIN
        )


def _units(start: Start | None) -> dict[str, float]:
    known = {"bohr": BOHR_ANGSTROM, "angstrom": 1.0}
    return known if start is None else {**known, "alat": start.alat_angstrom}


def _cell_card(text: str, start: Start | None) -> np.ndarray | None:
    cards = list(_CELL.finditer(text))
    if not cards:
        return None
    unit, length = cards[-1][1].lower(), cards[-1][2]
    units = _units(start)
    if length and unit == "alat":
        units["alat"] = float(length) * BOHR_ANGSTROM
    rows = [re.findall(_NUMBER, line) for line in text[cards[-1].end() :].splitlines()[:3]]
    if unit not in units or len(rows) != 3 or any(len(row) != 3 for row in rows):
        raise Unusable("its cell cannot be read", fix=AGAIN)
    return units[unit] * np.array(rows, dtype=float)


def _position_card(
    text: str, n_atoms: int, start: Start | None, cell: np.ndarray
) -> tuple[tuple[str, ...], np.ndarray] | None:
    cards = list(_POSITIONS.finditer(text))
    if not cards:
        return None
    lines = text[cards[-1].end() :].splitlines()[: n_atoms + 1]
    found = [_ATOM.match(line) for line in lines]
    rows = [atom.groups() for atom in found[:n_atoms] if atom]
    if len(rows) != n_atoms or any(found[n_atoms:]):
        raise Unusable(f"its positions are not those of {n_atoms} atoms", fix=AGAIN)
    labels, values = _split(rows)
    unit, units = cards[-1][1].lower(), _units(start)
    if unit == "crystal":
        return labels, values @ cell
    if unit not in units:
        raise Unusable(f"its positions in units of {unit} cannot be read", fix="use angstrom")
    return labels, values * units[unit]


def _sites(text: str, n_atoms: int, here: Start | None) -> tuple[tuple[str, ...], np.ndarray]:
    headers = list(_SITES.finditer(text))
    if not headers or here is None:
        raise Unusable("its positions are missing", fix=AGAIN)
    found: list[tuple[str, ...]] = []
    for line in text[headers[-1].end() :].splitlines():
        site = _SITE.match(line)
        values = re.findall(_NUMBER, site[3]) if site else []
        if site is None or len(values) != 3 or int(site[1]) != len(found) + 1:
            break
        found.append((site[2], *values))
    if len(found) != n_atoms:
        raise Unusable(f"its positions are those of {len(found)} of {n_atoms} atoms", fix=AGAIN)
    labels, positions = _split(found)
    return labels, here.alat_angstrom * positions


def _split(rows: Sequence[Sequence[str]]) -> tuple[tuple[str, ...], np.ndarray]:
    return tuple(row[0] for row in rows), np.array([row[1:] for row in rows], dtype=float)
