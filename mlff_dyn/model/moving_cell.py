"""A supercell whose strain changes from one structure to the next, as a barostat wants it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.lattice.deformation import stress_of_virial

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.kernels.strain.series import StrainSeries
    from mlff_dyn.model.force_field import SupercellForceField


class MovingCell:
    """Energy, forces and stress at any strain, as of `SupercellForceField.strained`, without new tables.

    Parameters
    ----------
    plain : SupercellForceField
        Without strain.
    series : StrainSeries
        Of its kernel.
    """

    def __init__(self, plain: SupercellForceField, series: StrainSeries) -> None:
        self._plain = plain
        self._series = series

    @classmethod
    def of(cls, plain: SupercellForceField) -> MovingCell | None:
        """Return that of a supercell; None where new tables for each strain take less time."""
        series = plain.strained_kernel.series
        return None if series is None else cls(plain, series)

    def energy_forces_stress(
        self, displacements: NDArray[np.float64], strain: NDArray[np.float64], *, stress: bool = True
    ) -> tuple[float, NDArray[np.float64], NDArray[np.float64] | None]:
        """Energy (eV), forces (eV/Å) and stress (eV/Å³, shape (6,); None if not asked for).

        Parameters
        ----------
        displacements : ndarray, shape (n_atoms, 3), Å
            From the strained sites.
        strain : ndarray, shape (3, 3)
        stress : bool

        Raises
        ------
        DataError
            If an atom is farther from its site than the local part knows neighbors for.
        """
        plain = self._plain
        plain.check_displacements(displacements)
        energy, forces, virial = self._series.energy_forces_virial(displacements, strain, virial=stress)
        energy += plain.reference_energy
        if virial is None:
            return energy, forces, None
        volume = plain.volume * float(np.linalg.det(np.eye(3) + strain))
        return energy, forces, np.asarray(stress_of_virial(virial, forces, displacements, strain) / volume)
