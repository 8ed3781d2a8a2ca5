"""A crystal whose reference structure is a saddle: eight wells around each site of one species."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from ase.calculators.calculator import Calculator, all_changes
from ase.neighborlist import neighbor_list

if TYPE_CHECKING:
    from ase import Atoms


class DoubleWell(Calculator):
    """A cubic crystal AB whose B atoms, the heavier ones, have eight wells off the center of their cage.

    Springs (eV/Å²) hold the A atoms at their distances to first and second neighbors of their kind, the first
    being ``distance_angstrom`` long, and weakly the B atoms. With s the displacement of a B atom from the
    mean of its eight A neighbors, its energy is

        quadratic / 2 |s|² + quartic / 4 (|s|⁴ + Σ sₖ⁴)

    (eV/Å², eV/Å⁴). The wells at s along (1, 1, 1) are 0.20 eV deep, those between neighboring ones 0.18 eV.
    """

    implemented_properties: ClassVar[list[str]] = ["energy", "forces"]
    spring = 4.0
    weak_spring = 0.2
    quadratic = -4.0
    quartic = 15.0
    distance_angstrom = 4.0

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: tuple[str, ...] = ("energy",),
        system_changes: list[str] = all_changes,
    ) -> None:
        """Energy and forces."""
        super().calculate(atoms, properties, system_changes)
        numbers, first = self.atoms.numbers, self.distance_angstrom
        is_heavy = numbers == numbers.max()
        i, j, steps, lengths = neighbor_list("ijDd", self.atoms, 1.6 * first)
        at_rest = np.where(lengths < 1.2 * first, first, np.sqrt(2.0) * first)
        is_like = (numbers[i] == numbers[j]) & (lengths > 0.8 * first)
        springs = np.where(is_heavy[i], self.weak_spring, self.spring) * is_like
        stretch = lengths - at_rest
        energy = 0.25 * float(springs @ stretch**2)
        forces = np.zeros((len(numbers), 3))
        np.add.at(forces, i, (springs * stretch / lengths)[:, None] * steps)
        in_cage = is_heavy[i] & (numbers[i] != numbers[j]) & (lengths < 1.2 * first)
        counts = np.maximum(np.bincount(i[in_cage], minlength=len(numbers)), 1)[:, None]
        off = np.zeros_like(forces)
        np.subtract.at(off, i[in_cage], steps[in_cage])
        off *= is_heavy[:, None] / counts
        squares = np.sum(off**2, axis=1)
        fourth = squares @ squares + np.sum(off**4)
        energy += 0.5 * self.quadratic * float(squares.sum()) + 0.25 * self.quartic * float(fourth)
        slope = self.quadratic * off + self.quartic * (squares[:, None] * off + off**3)
        forces -= slope
        np.add.at(forces, j[in_cage], (slope / counts)[i[in_cage]])
        self.results = {"energy": energy, "forces": forces}
