"""The expansion laid on a supercell: design matrices and force kernels from the basis."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.kernels import (
    ForceKernel,
    force_variances,
    reduced_rows,
    row_statistics,
    sample_forces,
    stress_rows,
)
from mlff_dyn.kernels.gather import GatherTables, build_gather_tables
from mlff_dyn.kernels.reduction import Reduction, block_reduction
from mlff_dyn.kernels.strain import slot_positions
from mlff_dyn.lattice.bonds import bonded_atoms, neighborhood_amplitudes, relative_amplitude
from mlff_dyn.regression.noise import Conditions, RowKind
from mlff_dyn.regression.statistics import SufficientStatistics

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.kernels.harmonic import HarmonicTorus
    from mlff_dyn.lattice.basis import ForceConstantBasis
    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.model.long_range import LongRange

_SMALLEST_AMPLITUDE = 1e-12
_SMALLEST_RATIO = 0.2


class Expansion:
    """A force-constant basis with its kernel tables; lay it on any supercell with `on`.

    Parameters
    ----------
    basis : ForceConstantBasis
    long_range : LongRange, optional
        Dipoles, whose forces are no part of the basis.
    """

    def __init__(self, basis: ForceConstantBasis, long_range: LongRange | None = None) -> None:
        self.basis = basis
        self.long_range = long_range
        self.tables: GatherTables = build_gather_tables(basis.polynomial)
        self.reduction: Reduction = block_reduction(basis.nullspaces)
        self._on: dict[bytes, SupercellExpansion] = {}

    def on(self, torus: Torus) -> SupercellExpansion:
        """Return the expansion on a supercell; the same supercell gives the same object."""
        key = torus.matrix.tobytes()
        if key not in self._on:
            self._on[key] = SupercellExpansion(self, torus)
        return self._on[key]


class SupercellExpansion:
    """The expansion on one supercell, in the atom order of its torus.

    Parameters
    ----------
    expansion : Expansion
    torus : Torus
    """

    def __init__(self, expansion: Expansion, torus: Torus) -> None:
        self.basis = expansion.basis
        self.long_range = expansion.long_range
        self.torus = torus
        self._tables = expansion.tables
        self._reduction = expansion.reduction
        self._slot_atoms = torus.atom_indices(expansion.tables.slots)

    def rows(self, displacements: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Rows of the design matrix for the forces and for the energy.

        Parameters
        ----------
        displacements : ndarray, shape (n_atoms, 3)     Å

        Returns
        -------
        force_rows : ndarray, shape (3 * n_atoms, n_parameters)     Å^(order - 1)
        energy_row : ndarray, shape (n_parameters,)                 Å^order
        """
        design = reduced_rows(self._tables, self._reduction, self._slot_atoms, displacements)
        return design, -(displacements.ravel() @ design) / self.basis.parameter_orders

    def statistics(
        self, displacements: NDArray[np.float64], forces: NDArray[np.float64]
    ) -> SufficientStatistics:
        """Sums over the force rows of one frame, which are never stored; Å, eV/Å, shape (n_atoms, 3)."""
        sums = row_statistics(self._tables, self._reduction, self._slot_atoms, displacements, forces)
        return SufficientStatistics(sums.gram, sums.moment, sums.target_sq, displacements.size)

    def force_variances(
        self,
        displacements: NDArray[np.float64],
        covariance_factor: NDArray[np.float64],
        *,
        atoms: NDArray[np.int64] | None = None,
    ) -> NDArray[np.float64]:
        """Variance of the force components, in memory that does not grow with the design matrix.

        Parameters
        ----------
        displacements : ndarray, shape (n_atoms, 3)     Å
        covariance_factor : ndarray, shape (n_parameters, any)
        atoms : ndarray, optional
            Atoms whose variances are wanted; all by default.

        Returns
        -------
        ndarray, shape (n_atoms or len(atoms), 3)     (eV/Å)²
        """
        place = (self._tables, self._reduction, self._slot_atoms)
        return force_variances(*place, displacements, covariance_factor, atoms=atoms)

    def sample_forces(
        self, displacements: NDArray[np.float64], parameters: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Forces for several sets of parameters, such as samples of a posterior, in one pass.

        Parameters
        ----------
        displacements : ndarray, shape (n_atoms, 3)     Å
        parameters : ndarray, shape (n_samples, n_parameters)

        Returns
        -------
        ndarray, shape (n_samples, n_atoms, 3)     eV/Å
        """
        place = (self._tables, self._reduction, self._slot_atoms)
        return sample_forces(*place, displacements, parameters)

    def stress_rows(self, displacements: NDArray[np.float64]) -> NDArray[np.float64]:
        """Rows of the stress at constant displacements, measured from that of the undisplaced crystal.

        The strain moves the sites; a strain that takes the displacements along does further work against the
        forces, see `SupercellForceField.stress`.

        Parameters
        ----------
        displacements : ndarray, shape (n_atoms, 3)     Å

        Returns
        -------
        ndarray, shape (6, n_parameters)
            Components xx, yy, zz, yz, xz, xy, positive under tension: stress = row @ parameters, eV/Å³.
        """
        crystal = self.basis.crystal
        positions = slot_positions(self._tables, crystal.lattice, crystal.positions)
        rows = stress_rows(self._tables, positions, self._slot_atoms, displacements)
        return self.basis.reduce_columns(rows) / abs(float(np.linalg.det(self.torus.lattice)))

    def amplitude(self, displacements: NDArray[np.float64]) -> float:
        """Relative amplitude of a frame, which truncation errors grow with (Å); displacements in Å."""
        return relative_amplitude(self._bonds, displacements)

    def force_conditions(self, displacements: NDArray[np.float64]) -> Conditions:
        """What the noise of the force on each atom depends on; displacements in Å, shape (n_atoms, 3)."""
        n_atoms = len(displacements)
        amplitude = self.amplitude(displacements)
        local = neighborhood_amplitudes(self._bonds, displacements)
        ratios = np.maximum(local / max(amplitude, _SMALLEST_AMPLITUDE), _SMALLEST_RATIO)
        return Conditions(np.full(n_atoms, amplitude), ratios, np.full(n_atoms, int(RowKind.FORCE)))

    @cached_property
    def dipole_dipole(self) -> HarmonicTorus | None:
        """Long-range interaction on this supercell; None where the crystal has no dipoles."""
        return None if self.long_range is None else self.long_range.on(self.torus)

    @cached_property
    def _bonds(self) -> NDArray[np.int32]:
        return bonded_atoms(self.torus)

    def kernel(
        self, parameters: NDArray[np.float64], *, precision: str = "double", n_threads: int = 1
    ) -> ForceKernel:
        """Compiled energy, forces and dynamics for given independent parameters, the long range included."""
        expanded = self.basis.expand(parameters)
        return ForceKernel(
            self._tables,
            expanded,
            self._slot_atoms,
            precision,
            n_threads,
            grid=self.torus.grid,
            harmonic=self.dipole_dipole,
        )
