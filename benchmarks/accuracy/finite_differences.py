"""What finite differences of the reference calculator give; its forces are kept in a folder."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms
from ase.optimize import BFGS
from phonopy import Phonopy

from mlff_dyn.formats.phonopy_cells import phonopy_cells
from mlff_dyn.kernels.strain.moves import unit_strains
from mlff_dyn.lattice.deformation import strained_lattice
from mlff_dyn.units import EV_PER_ANGSTROM3_GPA

if TYPE_CHECKING:
    from collections.abc import Sequence

    from phono3py import Phono3py
    from phonopy.structure.atoms import PhonopyAtoms

    from benchmarks.accuracy.laboratory import Laboratory

STEP_ANGSTROM = 0.03
"""Of displacements, where one step has to do."""
STRAIN = 1e-3
LARGEST_FORCE = 1e-4
"""Of a relaxed atom, eV/Å."""
_KEPT = 8
"""Cells that are calculated before forces are kept."""


def silent_phono3py(laboratory: Laboratory) -> Phono3py:
    """Phono3py of the training supercell."""
    from phono3py import Phono3py

    return Phono3py(**phonopy_cells(laboratory.torus), log_level=0)


class FiniteDifferences:
    """Finite differences on the training supercell.

    Parameters
    ----------
    laboratory : Laboratory
    """

    def __init__(self, laboratory: Laboratory) -> None:
        self._laboratory = laboratory

    def second(self, step_angstrom: float, strain: float = 0.0) -> Phonopy:
        """Phonopy with order 2 by displacements of one length, there and back, under an isotropic strain."""
        phonon = Phonopy(**phonopy_cells(self._laboratory.torus), log_level=0)
        if strain:
            cell = phonon.unitcell.copy()
            cell.cell = (1.0 + strain) * cell.cell
            phonon = Phonopy(cell, phonon.supercell_matrix, phonon.primitive_matrix, log_level=0)
        phonon.generate_displacements(distance=step_angstrom, is_plusminus=True)
        name = f"order-2-{step_angstrom:g}" + (f"-{strain:+g}" if strain else "")
        phonon.forces = self._forces(name, phonon.supercells_with_displacements)
        phonon.produce_force_constants()
        phonon.symmetrize_force_constants()
        return phonon

    def third(self) -> tuple[Phono3py, int]:
        """Phono3py with orders 2 and 3, and the number of displaced cells that they took."""
        phono3py = silent_phono3py(self._laboratory)
        longest = self._laboratory.system.longest_pair_angstrom
        phono3py.generate_displacements(distance=STEP_ANGSTROM, cutoff_pair_distance=longest)
        cells = phono3py.supercells_with_displacements
        taken = [number for number, cell in enumerate(cells) if cell is not None]
        forces = np.zeros((len(cells), len(phono3py.supercell), 3))
        forces[taken] = self._forces(f"order-3-{STEP_ANGSTROM:g}", [cells[number] for number in taken])
        phono3py.forces = forces
        with contextlib.redirect_stdout(io.StringIO()):
            phono3py.produce_fc3()
            phono3py.symmetrize_fc2()
            phono3py.symmetrize_fc3()
        return phono3py, len(taken)

    def elastic_constants(self) -> np.ndarray:
        """C11, C12 and C44 of a cubic crystal, GPa, from the stress of strained cells whose atoms relax."""
        path = self._laboratory.path("elastic.npy")
        if path.exists():
            return np.load(path)
        along, shear = (self._stress_slope(unit_strains()[number]) for number in (0, 3))
        found = np.array([along[0], along[1:3].mean(), shear[3]])
        np.save(path, found)
        return found

    def energies(self, strains: Sequence[float]) -> np.ndarray:
        """Energy at rest under isotropic strains of a cubic crystal, eV for a primitive cell."""
        path = self._laboratory.path("energies.npy")
        if not path.exists():
            found = []
            for strain in strains:
                atoms = self._training_cell()
                atoms.set_cell((1.0 + strain) * atoms.cell.array, scale_atoms=True)
                atoms.calc = self._laboratory.system.make_calculator()
                found.append(atoms.get_potential_energy() / self._laboratory.torus.n_cells)
            np.save(path, found)
        return np.load(path)

    def _training_cell(self) -> Atoms:
        torus = self._laboratory.torus
        return Atoms(torus.numbers, torus.positions, cell=torus.lattice, pbc=True)

    def _stress_slope(self, unit: np.ndarray) -> np.ndarray:
        found = []
        for strain in (STRAIN * unit, -STRAIN * unit):
            atoms = self._training_cell()
            atoms.set_cell(strained_lattice(atoms.cell.array, strain), scale_atoms=True)
            atoms.calc = self._laboratory.system.make_calculator()
            BFGS(atoms, logfile=None).run(fmax=LARGEST_FORCE, steps=100)
            found.append(atoms.get_stress())
        return EV_PER_ANGSTROM3_GPA * (found[0] - found[1]) / (2.0 * STRAIN)

    def _forces(self, name: str, cells: Sequence[PhonopyAtoms]) -> np.ndarray:
        path = self._laboratory.path(f"{name}.npy")
        forces = list(np.load(path)) if path.exists() else []
        while len(forces) < len(cells):
            forces += [self._calculated(cell) for cell in cells[len(forces) : len(forces) + _KEPT]]
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, forces)
        return np.array(forces)

    def _calculated(self, cell: PhonopyAtoms) -> np.ndarray:
        atoms = Atoms(cell.symbols, scaled_positions=cell.scaled_positions, cell=cell.cell, pbc=True)
        atoms.calc = self._laboratory.system.make_calculator()
        return atoms.get_forces()
