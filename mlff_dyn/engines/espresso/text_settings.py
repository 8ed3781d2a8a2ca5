"""Settings in the text output of pw.x, which it prints before the first self-consistent calculation."""

from __future__ import annotations

import re
from math import lcm, prod
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.engines.espresso.settings import (
    SAWTOOTH_FIELD,
    PwSettings,
    file_name,
    iso_date,
    mesh_of_weights,
    short_dispersion,
    short_functional,
    short_smearing,
    uniform_field,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

_NUMBER = r"[-+]?\d+\.\d+"
_START = re.compile(
    r"Program PWSCF v\.?\s*(\d+(?:\.\d+)*)\S*.*? starts on\s+(\d+\s*\w{3}\d{4}) at\s+([\d: ]+\d)"
)
_FUNCTIONAL = re.compile(r"Exchange-correlation\s*=\s*([^(\n]+)")
_EXX = re.compile(rf"EXX-fraction\s*=\s*({_NUMBER})")
_CUTOFF = re.compile(rf"kinetic-energy cutoff\s*=\s*({_NUMBER})")
_DENSITY_CUTOFF = re.compile(rf"charge density cutoff\s*=\s*({_NUMBER})")
_SMEARING = re.compile(rf"number of k points=\s*\d+\s+(\S.*?)\s*(?:smearing)?, width \(Ry\)=\s*({_NUMBER})")
_N_KPOINTS = re.compile(r"number of k points=\s*(\d+)")
_KPOINT = re.compile(r"^[ \t]*k\(\s*\d+\s*\) = \(([^)]*)\), wk =\s*(\d+\.\d+)", re.MULTILINE)
_PSEUDOPOTENTIAL = re.compile(
    r"PseudoPot\. #\s*\d+ for\s+(\S+)\s+read from file:?\s*(\S+)[ \t]*"
    r"(?:\n\s*MD5 check sum:\s*([0-9a-f]{32}))?"
)
_HUBBARD = re.compile(rf"^[ \t]*U\((\w+)-\w+\)\s*=\s*({_NUMBER})", re.MULTILINE)
_OLD_HUBBARD = re.compile(
    r"LDA\+U calculation.*?\n\s*atomic species\s+L\s+U[^\n]*\n((?:\s*\S+\s+\d\s+[-.\d ]+\n)+)", re.DOTALL
)
_FIELD = re.compile(r"Using Berry phase electric field\s*\n.*\n((?:\s*[-.\d]+\n){3})")
_DISPERSION = re.compile(r"DFT-D3 Dispersion|Grimme-D2|XDM|Tkatchenko|Many-Body Dispersion")
_SAWTOOTH = "Adding external electric field"
_ELECTRONS = re.compile(rf"number of electrons\s*=\s*({_NUMBER})")
_VALENCE = re.compile(
    r"^[ \t]*atomic species\s+valence.*\n((?:\s*\S+\s+\d+\.\d+\s+\d+\.\d+\s+.*\n)+)", re.MULTILINE
)
_VALENCE_ROW = re.compile(rf"^[ \t]*(\S+)\s+({_NUMBER})\s", re.MULTILINE)
_OLD_HUBBARD_ROW = re.compile(rf"^[ \t]*(\S+)\s+\d\s+({_NUMBER})\s", re.MULTILINE)
_LARGEST_DIVISION = 64


def parse_settings(text: str, axes: np.ndarray | None, labels: Sequence[str]) -> PwSettings:
    """Read the settings at the beginning of an output, before its first self-consistent calculation.

    Parameters
    ----------
    text : str
    axes : ndarray, shape (3, 3), or None
        Cell vectors in units of the lattice parameter.
    labels : sequence of str
        Species of each atom.
    """
    text = text.partition("Self-consistent Calculation")[0]
    start, functional, exx = _START.search(text), _FUNCTIONAL.search(text), _EXX.search(text)
    smearing = _SMEARING.search(text)
    files = {label: (path, md5) for label, path, md5 in _PSEUDOPOTENTIAL.findall(text)}
    mesh = _mesh(text, axes)
    name = short_functional(functional[1]) if functional else "unknown"
    return PwSettings(
        functional=f"{name} with {float(exx[1]):g} EXX" if exx else name,
        wave_function_cutoff_rydberg=_value(_CUTOFF, text),
        density_cutoff_rydberg=_value(_DENSITY_CUTOFF, text),
        kpoints_times_atoms=None if mesh is None else mesh * len(labels),
        smearing=short_smearing(smearing[1], float(smearing[2])) if smearing else _tetrahedra(text),
        spin=_spin(text),
        hubbard_ev=_hubbard(text),
        charge=_charge(text, labels),
        others=_others(text),
        pseudopotentials={label: file_name(path) for label, (path, _) in sorted(files.items())},
        checksums={label: md5 for label, (_, md5) in files.items() if md5},
        version=start[1] if start else None,
        date=iso_date(start[2], start[3]) if start else None,
    )


def _tetrahedra(text: str) -> str | None:
    return "tetrahedra" if "tetrahedron method" in text else None


def _value(pattern: re.Pattern[str], text: str) -> float | None:
    found = pattern.search(text)
    return float(found[1]) if found else None


def _mesh(text: str, axes: np.ndarray | None) -> int | None:
    """Return the number of points of the mesh whose irreducible points are listed."""
    count = _N_KPOINTS.search(text)
    if count is None or axes is None:
        return None
    rows = [(re.findall(_NUMBER, row), weight) for row, weight in _KPOINT.findall(text)[: int(count[1])]]
    if not rows or len(rows) != int(count[1]) or any(len(row) != 3 for row, _ in rows):
        return None
    points = np.array([row for row, _ in rows], dtype=float) @ axes.T
    by_axis = [_division(column) for column in points.T]
    by_weight = mesh_of_weights([float(weight) for _, weight in rows])
    return None if by_weight is None or None in by_axis else lcm(by_weight, prod(filter(None, by_axis)))


def _division(coordinates: np.ndarray) -> int | None:
    """Return n of a mesh along one axis, whose points are at i / n or, shifted, at (i + 1/2) / n."""
    for n in range(1, _LARGEST_DIVISION):
        for shift in (0.0, 0.5):
            distance = n * coordinates + shift
            if np.all(np.abs(distance - np.round(distance)) < 1e-4 * n):
                return n
    return None


def _spin(text: str) -> str:
    if (
        "Noncollinear calculation with spin-orbit" in text
        or "Non magnetic calculation with spin-orbit" in text
    ):
        return "spin-orbit"
    if "Noncollinear calculation" in text:
        return "noncollinear"
    return "collinear" if "Starting magnetic structure" in text else "none"


def _hubbard(text: str) -> dict[str, float]:
    found = {species: float(u) for species, u in _HUBBARD.findall(text)}
    old = _OLD_HUBBARD.search(text)
    if old is not None:
        found |= {species: float(u) for species, u in _OLD_HUBBARD_ROW.findall(old[1])}
    return {species: u for species, u in sorted(found.items()) if u}


def _charge(text: str, labels: Sequence[str]) -> float:
    electrons, table = _value(_ELECTRONS, text), _VALENCE.search(text)
    if electrons is None or table is None:
        return 0.0
    valence = {label: float(number) for label, number in _VALENCE_ROW.findall(table[1])}
    if not labels or not set(labels) <= set(valence):
        return 0.0
    return round(sum(valence[label] for label in labels) - electrons, 2) + 0.0


def _others(text: str) -> tuple[str, ...]:
    field, corrections = _FIELD.search(text), {short_dispersion(each) for each in _DISPERSION.findall(text)}
    fields = [uniform_field([float(x) for x in field[1].split()])] if field else []
    return (*sorted(corrections), *fields, *([SAWTOOTH_FIELD] if _SAWTOOTH in text else []))
