"""Numbers that decide which crystals, atoms and neighbors belong together."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LatticeLimits:
    """What counts as the same crystal, as bonded and as a shell; by convention where nothing is named.

    Attributes
    ----------
    largest_strain : float
        Strains up to this (largest principal value, and rotations as small) count as the same crystal.
    no_strain : float
        Smaller deformations are rounding errors of the cell.
    slight_strain : float
        Smaller ones are taken out with the cell, positions along, and do not count as strain.
    largest_strain_of_source : float
        Between the cells of two crystals of one topology, without the change of volume, natural logarithm.
    largest_shift_of_bond : float
        Of sites that correspond in them, over the distance of nearest neighbors: below half, a site has one
        counterpart.
    longest_supercell : float
        Cell vectors and positions over vectors of the primitive cell: longer ones are typing errors.
    bond_factor : float
        Longest bond of an atom over its shortest one.
    smallest_ratio : float
        Amplitude around an atom over that of its frame, from below: an atom at rest has noise as well. Half
        or twice: errors and error bars of thermal frames (Cu, Si, c-BAs) stay the same within 0.1 %.
    shell_gap_angstrom : float
        Between the distances of two shells of neighbors.
    most_parameters : int
        Of an order, before sum rules: fits take memory and time with the square and cube of their number.
    """

    largest_strain: float = 0.1
    no_strain: float = 2e-6
    slight_strain: float = 2e-5
    largest_strain_of_source: float = 0.15
    largest_shift_of_bond: float = 0.35
    longest_supercell: float = 1e6
    bond_factor: float = 1.2
    smallest_ratio: float = 0.2
    shell_gap_angstrom: float = 0.25
    most_parameters: int = 5000


LATTICE_LIMITS = LatticeLimits()
