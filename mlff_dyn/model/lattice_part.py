"""The force constants of an expansion with their kernel tables."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from mlff_dyn.kernels.gather import GatherTables, build_gather_tables
from mlff_dyn.kernels.reduction import Reduction, block_reduction
from mlff_dyn.kernels.strain.energy import StrainEnergy, build_strain_energy
from mlff_dyn.kernels.strain.moves import slot_positions
from mlff_dyn.kernels.strain.polynomial import StrainTables, build_strain_tables

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mlff_dyn.lattice.basis import ForceConstantBasis


@dataclass(frozen=True, eq=False)
class LatticePart:
    """Force constants as functions of the parameters of an expansion.

    Attributes
    ----------
    basis : ForceConstantBasis
    columns : ndarray of int, shape (basis.n_parameters,)
        Parameter of the expansion that each parameter of the basis is.
    """

    basis: ForceConstantBasis
    columns: NDArray[np.int64]

    def orbit_parameters(self, parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        """Parameters of the kernel tables from all those of the expansion."""
        return self.basis.expand(parameters[self.columns])

    @cached_property
    def tables(self) -> GatherTables:
        """Kernel tables."""
        return build_gather_tables(self.basis.polynomial)

    @cached_property
    def reduction(self) -> Reduction:
        """From columns of the tables to those of the parameters of the basis."""
        return block_reduction(self.basis.nullspaces)

    @cached_property
    def slot_positions(self) -> NDArray[np.float64]:
        """Positions of the slots of the kernel tables, shape (n_slots, 3), Å."""
        crystal = self.basis.crystal
        return slot_positions(self.tables, crystal.lattice, crystal.positions)

    @cached_property
    def strain_tables(self) -> StrainTables:
        """Tables of strained crystals."""
        crystal = self.basis.crystal
        return build_strain_tables(self.basis.polynomial, crystal.lattice, crystal.positions)

    @cached_property
    def strain_energy(self) -> StrainEnergy:
        """Energy of strained crystals at rest, per orbit parameter."""
        return build_strain_energy(self.strain_tables)
