"""Structures that do not match the crystal because their lengths are in another unit: the unit is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import DataError
from mlff_dyn.lattice.matching import match_structure
from mlff_dyn.units import BOHR_ANGSTROM

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from mlff_dyn.lattice.crystal import Crystal
    from mlff_dyn.lattice.matching import Match

_ANGSTROM = {"bohr": BOHR_ANGSTROM, "nm": 10.0}


def match_frame(
    crystal: Crystal,
    cell: ArrayLike,
    positions: ArrayLike,
    numbers: ArrayLike,
    magnetic_moments: NDArray[np.float64] | None = None,
) -> Match:
    """Return `match_structure`, whose errors name another unit of length if the structure matches in that.

    Parameters
    ----------
    crystal : Crystal
    cell : array_like, shape (3, 3)          rows, Å
    positions : array_like, shape (n, 3)     Cartesian, Å
    numbers : array_like, shape (n,)         atomic numbers
    magnetic_moments : ndarray, shape (n,), optional

    Raises
    ------
    DataError
        As `match_structure`.
    """
    try:
        return match_structure(crystal, cell, positions, numbers, magnetic_moments)
    except DataError as error:
        found = _other_lengths(crystal, np.asarray(cell, float), np.asarray(positions, float), numbers)
        if found is None:
            raise
        raise DataError(f"{error.message}; {found}", fix="convert to Å") from None


def _other_lengths(
    crystal: Crystal, cell: NDArray[np.float64], positions: NDArray[np.float64], numbers: ArrayLike
) -> str | None:
    """What looks like another unit; None where the structure matches in none."""
    ways = {"positions look like fractions of the cell": (cell, positions @ cell)}
    for unit, factor in _ANGSTROM.items():
        ways |= {
            f"cell and positions look like {unit}": (factor * cell, factor * positions),
            f"positions look like {unit}": (cell, factor * positions),
            f"the cell looks like {unit}": (factor * cell, positions),
            f"lengths of structure.file look like {unit}": (cell / factor, positions / factor),
        }
    for what, (lattice, points) in ways.items():
        try:
            match_structure(crystal, lattice, points, numbers)
        except DataError:
            continue
        return what
    return None
