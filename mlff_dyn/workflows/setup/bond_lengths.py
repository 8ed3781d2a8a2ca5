"""Distances between atoms that no crystal has: the structure is in another unit, or another one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.neighborlist import neighbor_list

if TYPE_CHECKING:
    from mlff_dyn.lattice.crystal import Crystal

_NOBLE_GASES = (2, 10, 18, 36, 54, 86)


@dataclass(frozen=True)
class BondLimits:
    """Shortest distance over the sum of covalent radii, of the pair where this is least.

    In the crystals of all elements, as ASE has them, it is 0.73 (U) to 1.24 (Np), in twelve compounds 0.84
    (CsCl) to 1.09 (LiF), and more in noble gases alone; in bohr it is 1.89 times more.

    Attributes
    ----------
    least, most : float
    """

    least: float = 0.6
    most: float = 1.35


BOND_LIMITS = BondLimits()


def distance_warnings(crystal: Crystal) -> list[str]:
    """Warn where the nearest atoms are too near or too far for their elements."""
    if set(crystal.numbers.tolist()) <= set(_NOBLE_GASES):
        return []
    atoms = Atoms(
        numbers=crystal.numbers, positions=crystal.positions, cell=crystal.lattice, pbc=crystal.periodic
    )
    reach = 2.0 * BOND_LIMITS.most * float(covalent_radii[crystal.numbers].max())
    first, second, distances = neighbor_list("ijd", atoms, reach)
    sums = covalent_radii[crystal.numbers[first]] + covalent_radii[crystal.numbers[second]]
    ratio = float(np.min(distances / sums, initial=np.inf))
    if BOND_LIMITS.least <= ratio <= BOND_LIMITS.most:
        return []
    how = "near" if ratio < BOND_LIMITS.least else "far"
    distance = f"{crystal.nearest_neighbor_distance:.3g} Å"
    found = f"the nearest atoms are {distance} apart, very {how} for their elements"
    return [f"{found}: check that structure.file is in Å"]
