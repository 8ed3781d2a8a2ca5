"""Bravais lattices of pw.x: cell vectors from ``ibrav`` with ``celldm`` or A, B, C and cosines.

Vectors are those of the description of the input of pw.x; a version may turn them, never deform them.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import DataError
from mlff_dyn.units import BOHR_ANGSTROM

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_Vectors = list[list[float]]
_COSINE_OF = {5: "cosab", -5: "cosab", 12: "cosab", 13: "cosab", -12: "cosac", -13: "cosac"}
"""Cosine that celldm(4), or for -12 and -13 celldm(5), is."""


def lattice_of(ibrav: int, celldm: Sequence[float]) -> np.ndarray:
    """Cell vectors of a Bravais lattice.

    Parameters
    ----------
    ibrav : int
        1 to 14 with the negative variants of pw.x, and 91.
    celldm : sequence of 6 float
        Length in Bohr, ratios, cosines, as pw.x takes them; zero where not given.

    Returns
    -------
    ndarray, shape (3, 3)
        Rows, Å.

    Raises
    ------
    DataError
        If the lattice is unknown, or lengths or cosines cannot be.
    """
    if ibrav not in _LATTICES:
        known = ", ".join(str(each) for each in _LATTICES)
        raise DataError(f"ibrav = {ibrav} is unknown", fix=f"use 0 with CELL_PARAMETERS, or one of {known}")
    a, ratios, cosines = celldm[0], celldm[1:3], celldm[3:6]
    needed = _RATIOS.get(ibrav, ())
    wrong = [f"celldm({i + 2})" for i in needed if ratios[i] <= 0.0]
    if a <= 0.0:
        wrong.insert(0, "celldm(1) or A")
    if wrong or any(abs(cosine) >= 1.0 for cosine in cosines):
        what = f"needs {' and '.join(wrong)}" if wrong else "has a cosine that is not between -1 and 1"
        raise DataError(f"ibrav = {ibrav} {what}", fix="complete namelist &system")
    try:
        vectors = _LATTICES[ibrav](*ratios, *cosines)
    except ValueError:
        raise DataError(f"ibrav = {ibrav}: no cell has these cosines", fix="check &system") from None
    return a * BOHR_ANGSTROM * np.array(vectors)


def celldm_of(ibrav: int, system: Mapping[str, object]) -> list[float] | None:
    """Return celldm of a namelist, from A, B, C and cosines where those are given; None without either."""
    if any(key.startswith("celldm") for key in system):
        return [_number(system, f"celldm({i})") for i in range(1, 7)]
    a = _number(system, "a")
    if a <= 0.0:
        return None
    found = [a / BOHR_ANGSTROM, _number(system, "b") / a, _number(system, "c") / a, 0.0, 0.0, 0.0]
    if ibrav in _COSINE_OF:
        found[4 if ibrav in (-12, -13) else 3] = _number(system, _COSINE_OF[ibrav])
    elif ibrav == 14:
        found[3:] = [_number(system, name) for name in ("cosbc", "cosac", "cosab")]
    return found


def _number(system: Mapping[str, object], key: str) -> float:
    value = system.get(key, 0.0)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise DataError(f"{key} = {value!r} is no number", fix="correct namelist &system")
    return float(value)


def _trigonal(_b: float, _c: float, cosine: float, *_: float) -> _Vectors:
    x, y, z = sqrt((1 - cosine) / 2), sqrt((1 - cosine) / 6), sqrt((1 + 2 * cosine) / 3)
    return [[x, -y, z], [0, 2 * y, z], [-x, -y, z]]


def _trigonal_111(_b: float, _c: float, cosine: float, *_: float) -> _Vectors:
    y, z = sqrt((1 - cosine) / 6), sqrt((1 + 2 * cosine) / 3)
    u, v = (z - 2 * sqrt(2) * y) / sqrt(3), (z + sqrt(2) * y) / sqrt(3)
    return [[u, v, v], [v, u, v], [v, v, u]]


def _triclinic(b: float, c: float, bc: float, ac: float, ab: float) -> _Vectors:
    sine = sqrt(1 - ab**2)
    height = sqrt(1 + 2 * bc * ac * ab - bc**2 - ac**2 - ab**2) / sine
    return [[1, 0, 0], [b * ab, b * sine, 0], [c * ac, c * (bc - ac * ab) / sine, c * height]]


def _sine(cosine: float) -> float:
    return sqrt(1 - cosine**2)


_RATIOS: dict[int, tuple[int, ...]] = {
    **dict.fromkeys((4, 6, 7), (1,)),
    **dict.fromkeys((8, 9, -9, 91, 10, 11, 12, -12, 13, -13, 14), (0, 1)),
}
_LATTICES: dict[int, Callable[..., _Vectors]] = {
    1: lambda *_: [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    2: lambda *_: [[-0.5, 0, 0.5], [0, 0.5, 0.5], [-0.5, 0.5, 0]],
    3: lambda *_: [[0.5, 0.5, 0.5], [-0.5, 0.5, 0.5], [-0.5, -0.5, 0.5]],
    -3: lambda *_: [[-0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.5, 0.5, -0.5]],
    4: lambda _b, c, *_: [[1, 0, 0], [-0.5, sqrt(3) / 2, 0], [0, 0, c]],
    5: _trigonal,
    -5: _trigonal_111,
    6: lambda _b, c, *_: [[1, 0, 0], [0, 1, 0], [0, 0, c]],
    7: lambda _b, c, *_: [[0.5, -0.5, c / 2], [0.5, 0.5, c / 2], [-0.5, -0.5, c / 2]],
    8: lambda b, c, *_: [[1, 0, 0], [0, b, 0], [0, 0, c]],
    9: lambda b, c, *_: [[0.5, b / 2, 0], [-0.5, b / 2, 0], [0, 0, c]],
    -9: lambda b, c, *_: [[0.5, -b / 2, 0], [0.5, b / 2, 0], [0, 0, c]],
    91: lambda b, c, *_: [[1, 0, 0], [0, b / 2, -c / 2], [0, b / 2, c / 2]],
    10: lambda b, c, *_: [[0.5, 0, c / 2], [0.5, b / 2, 0], [0, b / 2, c / 2]],
    11: lambda b, c, *_: [[0.5, b / 2, c / 2], [-0.5, b / 2, c / 2], [-0.5, -b / 2, c / 2]],
    12: lambda b, c, ab, *_: [[1, 0, 0], [b * ab, b * _sine(ab), 0], [0, 0, c]],
    -12: lambda b, c, _, ac, *__: [[1, 0, 0], [0, b, 0], [c * ac, 0, c * _sine(ac)]],
    13: lambda b, c, ab, *_: [[0.5, 0, -c / 2], [b * ab, b * _sine(ab), 0], [0.5, 0, c / 2]],
    -13: lambda b, c, _, ac, *__: [[0.5, b / 2, 0], [-0.5, b / 2, 0], [c * ac, 0, c * _sine(ac)]],
    14: _triclinic,
}
