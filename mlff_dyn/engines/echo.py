"""Whether a result belongs to its input: the structure that a program says it used against the given one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

ECHO_TOLERANCE_ANGSTROM = 1e-4
"""Programs print 6 to 10 digits; frames of rattling, dynamics and finite strain differ by 100 times more."""


def structure_difference(
    given: tuple[ArrayLike, ArrayLike, ArrayLike], found: tuple[ArrayLike, ArrayLike, ArrayLike]
) -> str | None:
    """Say in what a structure differs from the given one, or return None.

    Parameters
    ----------
    given, found : tuple
        Atomic numbers or symbols, shape (n_atoms,); cell, shape (3, 3), Å; positions, shape (n_atoms, 3), Å.
        Positions may differ by vectors of the lattice.

    Examples
    --------
    >>> cell, positions = 4 * np.eye(3), np.array([[0.0, 0.0, 0.0], [2.0, 2.0, 2.0]])
    >>> given = ([11, 17], cell, positions)
    >>> structure_difference(given, ([11, 17], cell, positions - [0, 4, 0]))
    >>> structure_difference(given, ([11, 17], cell, positions + [[0, 0, 0], [0, 0, 0.3]]))
    'atom 2 is 0.3 Å from where it should be'
    """
    (kinds, cell, positions), (kinds_found, cell_found, positions_found) = (
        tuple(np.asarray(part) for part in structure) for structure in (given, found)
    )
    if len(kinds) != len(kinds_found):
        return f"it has {len(kinds_found)} atoms instead of {len(kinds)}"
    other = np.flatnonzero(kinds != kinds_found)
    if len(other):
        first = other[0]
        return f"atom {first + 1} is {kinds_found[first]} instead of {kinds[first]}"
    strain = np.abs(cell_found - cell).max()
    if not strain <= ECHO_TOLERANCE_ANGSTROM:
        return f"its cell differs by {strain:.2g} Å"
    shifts = positions_found - positions
    shifts -= np.rint(shifts @ np.linalg.inv(cell)) @ cell
    distances = np.linalg.norm(shifts, axis=1)
    worst = int(np.argmax(distances))
    if not distances[worst] <= ECHO_TOLERANCE_ANGSTROM:
        return f"atom {worst + 1} is {distances[worst]:.2g} Å from where it should be"
    return None
