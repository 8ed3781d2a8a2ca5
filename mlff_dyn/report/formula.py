"""Chemical formulas as chemists write them."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

from ase.data import chemical_symbols

if TYPE_CHECKING:
    from collections.abc import Iterable

_NOBLE_GASES = (0, 2, 10, 18, 36, 54, 86, 118)
_HYDROGEN_PLACE = 15.5


def reduced_formula(numbers: Iterable[int]) -> str:
    """Formula of the smallest unit, electropositive elements first.

    Parameters
    ----------
    numbers : iterable of int
        Atomic numbers of all atoms.

    References
    ----------
    Nomenclature of Inorganic Chemistry, IUPAC Recommendations 2005, table VI: down the groups from the noble
    gases over 1 to 17, hydrogen between 15 and 16.

    Examples
    --------
    >>> reduced_formula([33, 33, 5, 5]), reduced_formula([8] * 6 + [22, 22, 56, 56])
    ('BAs', 'BaTiO3')
    >>> reduced_formula([1, 6, 1, 1, 1]), reduced_formula([17, 11]), reduced_formula([6, 14, 6, 14])
    ('CH4', 'NaCl', 'SiC')
    """
    counts = Counter(int(number) for number in numbers)
    unit = math.gcd(*counts.values())
    ordered = sorted(counts.items(), key=lambda item: (_group(item[0]), -item[0]))
    return "".join(chemical_symbols[z] + (str(n // unit) if n > unit else "") for z, n in ordered)


def _group(number: int) -> float:
    """Group of the periodic table, lanthanides and actinides in 3, noble gases in 0."""
    if number == 1:
        return _HYDROGEN_PLACE
    before, last = next(pair for pair in pairwise(_NOBLE_GASES) if number <= pair[1])
    place, length = number - before, last - before
    if place <= 2:
        return 0.0 if number == last else float(place)
    from_end = length - place
    return 0.0 if from_end == 0 else float(max(3, 18 - from_end))
