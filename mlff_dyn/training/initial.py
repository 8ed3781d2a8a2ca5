"""First structures, before any force field exists."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def rattled_displacements(n_atoms: int, sd_angstrom: float, seed: tuple[int, ...]) -> NDArray[np.float64]:
    """Independent normal displacements without rigid shift.

    Parameters
    ----------
    n_atoms : int
    sd_angstrom : float
        Standard deviation of a component.
    seed : tuple of int
        Any numbers that name this structure.

    Returns
    -------
    ndarray, shape (n_atoms, 3)     Å
    """
    drawn = sd_angstrom * np.random.default_rng(seed).standard_normal((n_atoms, 3))
    return np.asarray(drawn - drawn.mean(axis=0))
