"""Collinear magnetic moments: what they split, which operations keep their order, what is another order.

Without spin-orbit coupling the energy does not change under an operation in space that leaves every moment as
it is, nor under one that reverses all of them: the reversal of all spins is a symmetry by itself. Moments are
numbers along one axis, in Bohr magnetons.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import spglib
from ase.data import chemical_symbols

from mlff_dyn.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

SPGLIB_ERROR: type[Exception] = getattr(spglib, "SpglibError", RuntimeError)
_MOST_SPECIES = 118


@dataclass(frozen=True)
class MagneticLimits:
    """When moments are equal, and when they are another magnetic state.

    Codes integrate a moment over a sphere of their own, and a structure names it as it is in the free ion:
    sizes are compared roughly, signs exactly.

    Attributes
    ----------
    none_bohr_magneton : float
        Smaller moments are none.
    same_bohr_magneton : float
        Moments of one element whose sizes differ by less belong to one species.
    lost_share : float
        A moment is lost below this share of the reference's, unless the two differ by less than
        `unseen_bohr_magneton`.
    unseen_bohr_magneton : float
    induced_bohr_magneton : float
        Largest moment at an atom that has none in the reference.
    imbalance : float
        Largest change of the total over the absolute magnetization, where a code tells no more.
    """

    none_bohr_magneton: float = 0.1
    same_bohr_magneton: float = 0.2
    lost_share: float = 0.4
    unseen_bohr_magneton: float = 0.3
    induced_bohr_magneton: float = 0.75
    imbalance: float = 0.25


MAGNETIC_LIMITS = MagneticLimits()


def collinear_moments(moments: ArrayLike) -> NDArray[np.float64]:
    """Moments along their common axis.

    Parameters
    ----------
    moments : array_like, shape (n,) or (n, 3)     Bohr magnetons

    Returns
    -------
    ndarray, shape (n,)

    Raises
    ------
    DataError
        If a number is not finite or the moments are not collinear.
    """
    values = np.array(moments, float)
    if not np.isfinite(values).all():
        raise DataError(
            "a magnetic moment is not a finite number",
            fix="give every atom a moment in Bohr magnetons, 0 for none",
        )
    if values.ndim == 1:
        return values
    sizes = np.linalg.norm(values, axis=1)
    axis = values[sizes.argmax()] / max(sizes.max(), 1e-12)
    along = np.asarray(values @ axis)
    if np.linalg.norm(values - along[:, None] * axis, axis=1).max() > MAGNETIC_LIMITS.none_bohr_magneton:
        raise DataError("the magnetic moments are not collinear", fix="give moments along one axis")
    return along


def magnetic_levels(
    numbers: NDArray[np.int64], moments: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Signed number of the size of each moment, and moments that are equal within a species.

    Parameters
    ----------
    numbers : ndarray of int, shape (n,)     atomic numbers
    moments : ndarray, shape (n,)            Bohr magnetons

    Returns
    -------
    levels : ndarray of int, shape (n,)      0 without a moment, else sign times 1, 2, ... for each element
    equal : ndarray, shape (n,)              median of its species, Bohr magnetons
    """
    levels = np.zeros(len(numbers), np.int64)
    equal = np.zeros(len(numbers))
    sizes = np.abs(moments)
    for number in np.unique(numbers):
        left = (numbers == number) & (sizes >= MAGNETIC_LIMITS.none_bohr_magneton)
        level = 0
        while left.any():
            level += 1
            largest = sizes[left].max()
            chosen = left & (sizes > largest - MAGNETIC_LIMITS.same_bohr_magneton)
            levels[chosen] = (np.sign(moments[chosen]) * level).astype(np.int64)
            equal[chosen] = np.sign(moments[chosen]) * np.median(sizes[chosen])
            left &= ~chosen
    return levels, equal


def species_of_levels(numbers: NDArray[np.int64], levels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Numbers that tell species apart: atomic numbers, and unused ones for further species of an element."""
    species = np.array(numbers, np.int64)
    unused = [n for n in range(_MOST_SPECIES, 0, -1) if n not in set(numbers.tolist())]
    for number in np.unique(numbers).tolist():
        here = numbers == number
        for level in np.unique(levels[here]).tolist()[:-1]:
            if not unused:
                raise DataError(
                    "the magnetic moments are of too many sizes", fix="give equal atoms equal moments"
                )
            species[here & (levels == level)] = unused.pop(0)
    return species


def has_reversal(levels: NDArray[np.int64]) -> bool:
    """Whether moments point both ways, so that operations may reverse them."""
    return bool(levels.min() < 0 < levels.max())


def magnetic_operations(
    lattice: NDArray[np.float64],
    fractional: NDArray[np.float64],
    numbers: NDArray[np.int64],
    levels: NDArray[np.int64],
    *,
    symprec: float,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Operations that leave all moments alone or reverse all of them.

    Parameters
    ----------
    lattice : ndarray, shape (3, 3)          rows, Å
    fractional : ndarray, shape (n, 3)
    numbers : ndarray of int, shape (n,)     atomic numbers
    levels : ndarray of int, shape (n,)      see `magnetic_levels`
    symprec : float                          Å

    Returns
    -------
    rotations : ndarray of int, shape (n_operations, 3, 3)     acting on columns of fractional coordinates
    translations : ndarray, shape (n_operations, 3)

    Raises
    ------
    DataError
        If spglib finds no group.
    """
    cell = (lattice, fractional, numbers, levels.astype(float))
    try:
        found = spglib.get_magnetic_symmetry(cell, symprec=symprec, mag_symprec=0.5)
    except SPGLIB_ERROR:
        found = None
    if found is None:
        raise DataError(
            "the magnetic symmetry of the structure cannot be found",
            fix="change structure.symprec_angstrom, or give a structure of higher accuracy",
        )
    return np.array(found["rotations"], np.int64), np.array(found["translations"], float)


def another_order(
    numbers: NDArray[np.int64], reference: NDArray[np.float64] | None, found: NDArray[np.float64]
) -> str | None:
    """What makes moments another magnetic order than those of the reference; None if nothing does.

    The order with all moments reversed is the same.

    Parameters
    ----------
    numbers : ndarray of int, shape (n,)     atomic numbers
    reference : ndarray, shape (n,), or None
        Bohr magnetons; None for a crystal without moments, whose atoms of one element must be parallel.
    found : ndarray, shape (n,)
        Moments of the same atoms, Bohr magnetons.
    """
    if reference is None:
        return _antiparallel(numbers, found)
    turned = found * (-1.0 if reference @ found < 0.0 else 1.0)
    sizes = np.abs(reference)
    is_lost = turned * np.sign(reference) < MAGNETIC_LIMITS.lost_share * sizes
    is_lost &= np.abs(turned - reference) > MAGNETIC_LIMITS.unseen_bohr_magneton
    is_new = np.abs(turned) > MAGNETIC_LIMITS.induced_bohr_magneton
    wrong = np.flatnonzero(np.where(sizes > 0.0, is_lost, is_new))
    if not len(wrong):
        return None
    atom = int(wrong[0])
    others = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
    return (
        f"{chemical_symbols[numbers[atom]]} atom {atom + 1}{others} has a moment of {turned[atom]:.2f} Bohr "
        f"magnetons, {reference[atom]:.2f} in the reference"
    )


def _antiparallel(numbers: NDArray[np.int64], found: NDArray[np.float64]) -> str | None:
    limit = MAGNETIC_LIMITS.induced_bohr_magneton
    for number in np.unique(numbers):
        moments = found[numbers == number]
        if moments.max() > limit and moments.min() < -limit:
            return (
                f"{chemical_symbols[number]} atoms have moments from {moments.min():.2f} to "
                f"{moments.max():.2f} Bohr magnetons, the reference structure has none"
            )
    return None
