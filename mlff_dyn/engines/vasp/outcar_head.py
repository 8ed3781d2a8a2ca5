"""What an OUTCAR says before its first step: program, settings, atoms and pseudopotentials."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.engines.vasp.convergence import ElectronicLimits, tag_number
from mlff_dyn.engines.vasp.numbers import DAMAGED_FIX, split_numbers
from mlff_dyn.engines.vasp.settings import HUBBARD_TAGS, RunOrigin, adds_energy, program_name, settings_digest
from mlff_dyn.engines.vasp.vasprun_head import atomic_number
from mlff_dyn.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

_TAG = re.compile(r"\b([A-Z][A-Za-z0-9_]{2,})\s*=\s*([^\s;]+)")
_WHOLE_LINE = re.compile(rf"\b({'|'.join(HUBBARD_TAGS)})\s*=\s*(.*)")
_DATE = re.compile(r"date (\d{4})\.(\d\d)\.(\d\d)\s+(\d\d:\d\d:\d\d)")
_KPOINT = re.compile(r"^\s*-?\d+\.\d+\s+-?\d+\.\d+\s+-?\d+\.\d+\s+(\d+\.\d+)\s*$")
_N_POINTS = re.compile(r"\bNKPTS\s*=\s*(\d+)")
_COUNT_WIDTH = 4
_POSITIONS = "position of ions in"


@dataclass(frozen=True, eq=False)
class OutcarRun:
    """The run of an OUTCAR.

    Attributes
    ----------
    numbers : ndarray of int, shape (n_atoms,)
    limits : ElectronicLimits
    origin : RunOrigin
    adds_energy : bool
        Energies of steps have a part that electronic steps have not, such as dispersion.
    is_collinear : bool
    cell : list of list of str, or None
        As printed last before the first step, if it cannot change.
    fractional : list of list of str, or None
        Positions of the first step, to more decimals than later; None where they are not printed.
    """

    numbers: np.ndarray
    limits: ElectronicLimits
    origin: RunOrigin
    adds_energy: bool
    is_collinear: bool
    cell: list[list[str]] | None
    fractional: list[list[str]] | None


def read_outcar_head(lines: Sequence[str]) -> OutcarRun:
    """Read the lines before the first step.

    Raises
    ------
    DataError
        If atoms are missing or contradict each other.
    """
    tags = _tags(lines)
    titles = tuple(
        " ".join(line.partition("=")[2].split()) for line in lines if line.lstrip().startswith("TITEL")
    )
    counts = _counts(_last(lines, "ions per type"), len(titles))
    elements = [line.partition("=")[2].partition(":")[0].strip() for line in lines if "VRHFIN" in line]
    n_atoms = _integers(_last(lines, "number of ions     NIONS"))
    if not counts or len(counts) != len(titles) or len(elements) not in {0, len(titles)}:
        raise DataError(
            "the number of species and of pseudopotentials contradict each other", fix=DAMAGED_FIX
        )
    if n_atoms[-1:] != [sum(counts)]:
        raise DataError("the numbers of atoms contradict each other", fix=DAMAGED_FIX)
    names = elements or [""] * len(titles)
    kinds = [atomic_number(name, title) for name, title in zip(names, titles, strict=True)]
    valence = [_float(word) for word in split_numbers(_last(lines, "   ZVAL   ="))]
    n_points = _n_kpoints(lines)
    electrons = tag_number(tags, "NELECT")
    charge = None
    if electrons is not None and len(valence) == len(counts):
        charge = electrons - sum(n * (each or 0.0) for n, each in zip(counts, valence, strict=True))
    keeps_cell = tag_number(tags, "ISIF") in {0, 1, 2}
    origin = RunOrigin(
        program=program_name(next((line for line in lines if "vasp" in line.lower()), "")),
        titles=titles,
        date=_date(lines),
        digest=settings_digest(
            tags,
            titles,
            kpoints_times_atoms=None if n_points is None else n_points * sum(counts),
            charge=charge,
        ),
    )
    return OutcarRun(
        numbers=np.repeat(np.array(kinds, dtype=np.int64), counts),
        limits=ElectronicLimits.of_tags(tags, energy_ev=_largest(tags.get("EDIFF"))),
        origin=origin,
        adds_energy=adds_energy(tags),
        is_collinear=tags.get("LNONCOLLINEAR", "F") == "F",
        cell=_table_after(lines, "direct lattice vectors", 3) if keeps_cell else None,
        fractional=_fractional(lines, sum(counts)),
    )


def _counts(text: str, n_species: int) -> list[int]:
    """Read numbers of atoms; those of a thousand and more touch, in columns of four."""
    counts = _integers(text)
    if len(counts) == n_species:
        return counts
    line = text.rstrip()
    columns = [line[max(0, end - _COUNT_WIDTH) : end] for end in range(len(line), 0, -_COUNT_WIDTH)]
    return [int(column) for column in reversed(columns[:n_species]) if column.strip().isdecimal()]


def _largest(text: str | None) -> float | None:
    """Largest number that is printed like this: EDIFF is printed with one digit, as in 0.1E-03."""
    value = _float(text)
    if value is None or text is None:
        return None
    mantissa, _, exponent = text.upper().partition("E")
    n_decimals = len(mantissa.partition(".")[2])
    return value + 0.5 * 10.0 ** (int(exponent or 0) - n_decimals)


def _tags(lines: Sequence[str]) -> dict[str, str]:
    """Collect what is set; where INCAR is repeated first, what VASP made of it comes later and counts."""
    found: dict[str, str] = {}
    for line in lines:
        if "=" in line:
            found.update({name.upper(): value for name, value in _TAG.findall(line)})
            whole = _WHOLE_LINE.search(line)
            if whole is not None:
                found[whole[1]] = whole[2]
    if "LDAUTYPE" in found:
        found.setdefault("LDAU", "T")
    return found


def _last(lines: Sequence[str], mark: str) -> str:
    """Return what is behind the equals sign of the last line with a mark."""
    found = [line for line in lines if mark in line]
    return found[-1].partition(mark)[2].partition("=")[2] or found[-1].partition(mark)[2] if found else ""


def _integers(text: str) -> list[int]:
    return [int(word) for word in text.split() if word.isdecimal()]


def _float(text: str | None) -> float | None:
    try:
        value = float("nan" if text is None else text)
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def _date(lines: Sequence[str]) -> str | None:
    found = next((match for line in lines[:20] if (match := _DATE.search(line))), None)
    return None if found is None else f"{found[1]}-{found[2]}-{found[3]}T{found[4]}"


def _n_kpoints(lines: Sequence[str]) -> int | None:
    """Count the points of the whole mesh, which is the sum of the weights of those that are left of it."""
    begin = next((i for i, line in enumerate(lines) if "Following reciprocal coordinates" in line), None)
    if begin is not None:
        weights: list[float] = []
        for line in lines[begin + 2 :]:
            found = _KPOINT.match(line)
            if found is None:
                break
            weights.append(float(found[1]))
        total = round(sum(weights))
        if total > 1 or len(weights) == 1:
            return max(total, 1)
    found_points = next((match for line in lines if (match := _N_POINTS.search(line))), None)
    return None if found_points is None else int(found_points[1])


def _fractional(lines: Sequence[str], n_atoms: int) -> list[list[str]] | None:
    is_printed = any(_POSITIONS in line for line in lines)
    return _table_after(lines, f"{_POSITIONS} fractional", n_atoms) if is_printed else None


def _table_after(lines: Sequence[str], mark: str, n_rows: int) -> list[list[str]]:
    begin = max((i for i, line in enumerate(lines) if mark in line), default=None)
    return [] if begin is None else [split_numbers(line) for line in lines[begin + 1 : begin + 1 + n_rows]]
