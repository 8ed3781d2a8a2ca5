"""A crystal whose reference structure is a saddle: eight wells around each site of one species."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from ase.calculators.calculator import Calculator, all_changes

if TYPE_CHECKING:
    from ase import Atoms

_STEPS = np.array(list(itertools.product((-2, 0, 2), repeat=3)))
_FIRST = _STEPS[np.sum(_STEPS**2, axis=1) == 4]
_SECOND = _STEPS[np.sum(_STEPS**2, axis=1) == 8]
_CAGE = np.array(list(itertools.product((-1, 1), repeat=3)))


class DoubleWell(Calculator):
    """A cubic crystal AB whose B atoms, the heavier ones, have eight wells off the center of their cage.

    Springs (eV/Å²) hold the A atoms at their distances to first and second neighbors of their kind, the first
    being ``distance_angstrom`` long, and weakly the B atoms. With s the displacement of a B atom from the
    mean of its eight A neighbors, its energy is

        quadratic / 2 |s|² + quartic / 4 (|s|⁴ + Σ sₖ⁴)

    (eV/Å², eV/Å⁴). The wells at s along (1, 1, 1) are 0.20 eV deep, those between neighboring ones 0.18 eV.

    The cell has edges along the cubic axes, at least three conventional cells long, and a site at its origin.
    Neighbors are those of the ideal crystal; atoms stay within 1 Å of their sites along each axis.
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
        first, cell = self.distance_angstrom, self.atoms.cell.array
        halves = 2 * np.rint(self.atoms.cell.lengths() / first).astype(int)
        step = cell / halves[:, None]
        exact = self.atoms.positions @ np.linalg.inv(step)
        sites = np.rint(exact).astype(int)
        moved = (exact - sites) @ step
        atom_at = np.zeros(halves, dtype=int)
        atom_at[tuple((sites % halves).T)] = np.arange(len(sites))

        def neighbors(steps: np.ndarray) -> np.ndarray:
            return atom_at[tuple(np.moveaxis((sites[:, None] + steps) % halves, -1, 0))]

        is_heavy = self.atoms.numbers == self.atoms.numbers.max()
        springs = np.where(is_heavy, self.weak_spring, self.spring)
        energy, forces = 0.0, np.zeros_like(moved)
        for steps, length in ((_FIRST, first), (_SECOND, np.sqrt(2.0) * first)):
            apart = steps @ step + moved[neighbors(steps)] - moved[:, None]
            lengths = np.linalg.norm(apart, axis=-1)
            stretch = lengths - length
            energy += 0.25 * float(springs @ np.sum(stretch**2, axis=1))
            forces += springs[:, None] * np.einsum("ij,ijk->ik", stretch / lengths, apart)
        around = neighbors(_CAGE)
        off = np.where(is_heavy[:, None], moved - moved[around].mean(axis=1), 0.0)
        squares = np.sum(off**2, axis=1)
        fourth = squares @ squares + np.sum(off**4)
        energy += 0.5 * self.quadratic * float(squares.sum()) + 0.25 * self.quartic * float(fourth)
        slope = self.quadratic * off + self.quartic * (squares[:, None] * off + off**3)
        forces += slope[around].mean(axis=1) - slope
        self.results = {"energy": energy, "forces": forces}
