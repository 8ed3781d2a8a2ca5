"""The force field for a program that moves atoms: which site an atom belongs to is found once.

The cell may be turned in any way, as programs that want a lower triangular one do, and strained from call to
call. Atoms may be folded into the cell, and drift together.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from ase.data import chemical_symbols

from mlff_dyn.errors import DataError, SimulationError
from mlff_dyn.lattice.aperiodic import onto_reference
from mlff_dyn.lattice.deformation import Deformation, from_voigt, polar
from mlff_dyn.lattice.lattice_limits import LATTICE_LIMITS, LatticeLimits
from mlff_dyn.lattice.matching import match_structure
from mlff_dyn.model.moving_cell import MovingCell

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.model.force_field import ForceField


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a structure has.

    Attributes
    ----------
    energy : float                                of the cell, eV
    forces : ndarray, shape (n_atoms, 3)          eV/Å, in the order and the axes of the structure
    stress : ndarray, shape (3, 3), or None       eV/Å³, positive under tension; None if not asked for
    volume : float                                of the cell, Å³
    """

    energy: float
    forces: NDArray[np.float64]
    stress: NDArray[np.float64] | None
    volume: float

    @property
    def virial(self) -> NDArray[np.float64]:
        """Of the forces, positive under compression, shape (3, 3), eV; zeros where there is no stress."""
        return np.zeros((3, 3)) if self.stress is None else -self.volume * self.stress


class FollowedAtoms:
    """Atoms that move, each near its site.

    Parameters
    ----------
    force_field : ForceField
    torus : Torus
        Supercell that they fill.
    numbers : ndarray of int, shape (n_atoms,)
        Their atomic numbers, in the order of the other program.
    displacement_limit_angstrom : float
        Largest displacement of an atom.
    n_threads : int or None
        Threads of the kernel.
    """

    def __init__(
        self,
        force_field: ForceField,
        torus: Torus,
        numbers: NDArray[np.int64],
        displacement_limit_angstrom: float,
        *,
        n_threads: int | None = 1,
        limits: LatticeLimits = LATTICE_LIMITS,
    ) -> None:
        self.torus = torus
        self.numbers = np.asarray(numbers)
        self.displacement_limit_angstrom = displacement_limit_angstrom
        self.largest_displacement_angstrom = 0.0
        self.n_evaluations = 0
        self._limits = limits
        self._plain = self._strained = force_field.on(torus, n_threads=n_threads)
        self._last_strain = np.zeros((3, 3))
        self._atoms: NDArray[np.int64] | None = None
        self._lattice: NDArray[np.float64] | None = None
        self._deformation = Deformation(np.zeros((3, 3)), np.eye(3))
        self._inverse_lattice = np.linalg.inv(torus.lattice)

    def evaluate(
        self, cell: NDArray[np.float64], positions: NDArray[np.float64], *, stress: bool = True
    ) -> Evaluation:
        """Compute energy, forces and stress.

        Parameters
        ----------
        cell : ndarray, shape (3, 3)                 rows, Å
        positions : ndarray, shape (n_atoms, 3)      Å
        stress : bool

        Raises
        ------
        DataError
            If the first structure is not a displaced supercell of the crystal.
        SimulationError
            If an atom or the cell left the trusted region.
        """
        self._check_shapes(cell, positions)
        lattice, points, factor = onto_reference(self.torus.crystal, cell, positions)
        if self._lattice is None or not np.array_equal(lattice, self._lattice):
            self._deformation = self._deformation_of(lattice)
            self._lattice = lattice.copy()
        strain, rotation = self._deformation
        points = points @ rotation
        if strain.any():
            points = points @ np.linalg.inv(np.eye(3) + strain)
        if self._atoms is None:
            self._atoms = self._match(points)
        displacements = self._displacements(points) @ (np.eye(3) + strain)
        self._check(displacements)
        energy, forces, components = self._energy_forces_stress(displacements, strain, stress=stress)
        found = None
        if components is not None:
            found = rotation @ (from_voigt(components) / factor) @ rotation.T
        self.n_evaluations += 1
        in_order = np.empty_like(forces)
        in_order[self._atoms] = forces @ rotation.T
        return Evaluation(energy, in_order, found, abs(float(np.linalg.det(cell))))

    def _energy_forces_stress(
        self, displacements: NDArray[np.float64], strain: NDArray[np.float64], *, stress: bool
    ) -> tuple[float, NDArray[np.float64], NDArray[np.float64] | None]:
        """Of tables for this strain where it stays, else of those for any strain."""
        is_new = not np.array_equal(self._last_strain, strain)
        self._last_strain = strain
        if is_new and strain.any() and self._moving is not None:
            return self._moving.energy_forces_stress(displacements, strain, stress=stress)
        if not np.array_equal(self._strained.strain, strain):
            self._strained = self._plain.strained(strain) if strain.any() else self._plain
        energy, forces = self._strained.energy_forces(displacements)
        return energy, forces, self._strained.stress(displacements) if stress else None

    @cached_property
    def _moving(self) -> MovingCell | None:
        return MovingCell.of(self._plain)

    def _check_shapes(self, cell: NDArray[np.float64], positions: NDArray[np.float64]) -> None:
        if np.shape(positions) != (self.torus.n_atoms, 3) or len(self.numbers) != self.torus.n_atoms:
            raise DataError(
                f"{len(positions)} atoms where the supercell of the crystal has {self.torus.n_atoms}",
                fix="let the program that moves them start from the exported structure",
            )
        if not (np.isfinite(cell).all() and np.isfinite(positions).all()):
            raise SimulationError(
                "a position or a cell vector is not a finite number", fix="take a shorter time step"
            )

    def _deformation_of(self, lattice: NDArray[np.float64]) -> Deformation:
        gradient = (self._inverse_lattice @ lattice).T
        if not np.linalg.det(gradient) > 0.0:
            raise DataError(
                "the cell is not that of the supercell, or left-handed",
                fix="let the program that moves the atoms start from the exported structure",
            )
        strain, rotation = polar(gradient)
        largest = float(np.abs(np.linalg.eigvalsh(strain)).max())
        if largest > self._limits.largest_strain:
            is_first = self._atoms is None
            message = (
                f"the cell is off the supercell of the crystal by {100.0 * largest:.3g} %; the limit is "
                f"{100.0 * self._limits.largest_strain:.0f} %"
            )
            if is_first:
                raise DataError(message, fix="start from the exported structure")
            raise SimulationError(message, fix="lower the temperature or the pressure")
        return Deformation(np.zeros((3, 3)) if largest < self._limits.no_strain else strain, rotation)

    def _match(self, points: NDArray[np.float64]) -> NDArray[np.int64]:
        """Row of the structure for each atom of the torus."""
        return match_structure(self.torus.crystal, self.torus.lattice, points, self.numbers).atoms

    def _displacements(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Displacements without the drift that all atoms have together, of the unstrained cell."""
        raw = points[self._atoms] - self.torus.positions
        raw -= raw[0]
        raw -= np.rint(raw @ self._inverse_lattice) @ self.torus.lattice
        return np.asarray(raw - raw.mean(axis=0))

    def _check(self, displacements: NDArray[np.float64]) -> None:
        lengths = np.linalg.norm(displacements, axis=1)
        farthest = int(lengths.argmax())
        if lengths[farthest] > self.displacement_limit_angstrom:
            number = 0 if self._atoms is None else int(self._atoms[farthest])
            element = chemical_symbols[self.numbers[number]]
            raise SimulationError(
                f"atom {number} ({element}) is {lengths[farthest]:.3g} Å from its site; "
                f"the limit is {self.displacement_limit_angstrom:.3g} Å",
                fix="lower the temperature or the time step, or train at this temperature",
            )
        self.largest_displacement_angstrom = max(self.largest_displacement_angstrom, float(lengths[farthest]))
