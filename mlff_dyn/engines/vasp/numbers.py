"""Numbers as VASP writes them: fixed formats whose columns may touch, or hold asterisks."""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import DataError
from mlff_dyn.units import EV_PER_ANGSTROM3_GPA

if TYPE_CHECKING:
    from collections.abc import Iterable

DAMAGED_FIX = "copy the file again, or calculate the step again"

KILOBAR_EV_PER_ANGSTROM3 = 0.1 / EV_PER_ANGSTROM3_GPA
"""1 kB in eV/Å³: 6.2415e-4."""

_TOUCHING = re.compile(r"(?<=\d)-")
_TWO_IN_ONE = re.compile(r"^(-?\d*\.)(\d+)\.(\d+)$")


def split_numbers(text: str) -> list[str]:
    """Split a line into its numbers, those too that touch.

    Numbers of one line have equally many decimals, which tells where one without a sign begins.

    Examples
    --------
    >>> split_numbers("  0.5000 -10.1234-20.4567 100.1234200.4567")
    ['0.5000', '-10.1234', '-20.4567', '100.1234', '200.4567']
    """
    words: list[str] = []
    for word in _TOUCHING.sub(" -", text).split():
        two = _TWO_IN_ONE.match(word)
        if two is not None and len(two[2]) > len(two[3]):
            n_decimals = len(two[3])
            words += [two[1] + two[2][:n_decimals], f"{two[2][n_decimals:]}.{two[3]}"]
        else:
            words.append(word)
    return words


def read_number(text: str, what: str) -> float:
    """Read one finite number.

    Raises
    ------
    DataError
        If it is none; the message has what it is.
    """
    return float(read_numbers([text], what)[0])


def read_numbers(words: Iterable[str], what: str) -> np.ndarray:
    """Read finite numbers.

    Parameters
    ----------
    words : iterable of str
    what : str
        For the message, such as ``"forces"``.

    Returns
    -------
    ndarray, shape (n_words,)

    Raises
    ------
    DataError
        If one is no number, such as ``*****`` or ``NaN``.
    """
    words = list(words)
    try:
        values = np.array(list(map(float, words)))
    except ValueError:
        values = np.array([np.nan])
    if not np.all(np.isfinite(values)) or "_" in "".join(words):
        bad = next((word for word in words if not _is_number(word)), "")
        raise DataError(f"{what}: {bad[:40]!r} is no number", fix=DAMAGED_FIX)
    return values


def read_rows(rows: Iterable[list[str]], what: str, shape: tuple[int, int]) -> np.ndarray:
    """Read a table.

    Raises
    ------
    DataError
        If a row is missing, has too few or too many numbers, or holds something else.
    """
    rows = list(rows)
    if len(rows) != shape[0]:
        raise DataError(f"{what}: {len(rows)} lines, not {shape[0]}", fix=DAMAGED_FIX)
    if set(map(len, rows)) != {shape[1]}:
        raise DataError(f"{what}: a line has not {shape[1]} numbers", fix=DAMAGED_FIX)
    return read_numbers(chain.from_iterable(rows), what).reshape(shape)


def stress_of_kilobar(stress_kilobar: np.ndarray) -> np.ndarray:
    """Turn VASP's stress, positive where the cell wants to expand, into that of the package.

    Parameters
    ----------
    stress_kilobar : ndarray, shape (3, 3)

    Returns
    -------
    ndarray, shape (6,), eV/Å³
        xx, yy, zz, yz, xz, xy; positive under tension.
    """
    symmetric = (stress_kilobar + stress_kilobar.T) / 2.0
    voigt = symmetric[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
    return np.asarray(-voigt * KILOBAR_EV_PER_ANGSTROM3)


def _is_number(word: str) -> bool:
    try:
        return bool(np.isfinite(float(word))) and "_" not in word
    except ValueError:
        return False
