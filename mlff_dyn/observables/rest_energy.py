"""Energy of the crystal at rest under strains that keep its symmetry, at a pressure.

Such strains are e = sum_i x_i b_i with b_i : b_j = 1 or 0: one for a cubic crystal, two for a uniaxial one.
Sites relax at each of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import DataError
from mlff_dyn.kernels.strain.moves import strain_components, unit_strains
from mlff_dyn.lattice.deformation import from_voigt
from mlff_dyn.lattice.torus import Torus
from mlff_dyn.observables.strained_phonons import relaxed_sites

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.lattice.crystal import Crystal
    from mlff_dyn.model.force_field import ForceField, SupercellForceField


@dataclass(frozen=True)
class StrainSteps:
    """How strains of rest are found.

    Attributes
    ----------
    step : float             for second derivatives
    n_newton : int           steps of Newton's method, most
    tolerance : float        of the strain
    largest : float          strain beyond which there is no minimum
    """

    step: float = 2.0**-11
    n_newton: int = 30
    tolerance: float = 1e-9
    largest: float = 0.1


STEPS = StrainSteps()


def symmetric_strains(crystal: Crystal) -> NDArray[np.float64]:
    """Orthonormal strains that keep the symmetry of a crystal, shape (n_strains, 3, 3).

    Parameters
    ----------
    crystal : Crystal
    """
    rotations = crystal.cartesian_rotations
    means = [
        np.einsum("gab,bc,gdc->ad", rotations, unit, rotations) / len(rotations) for unit in unit_strains()
    ]
    _, sizes, directions = np.linalg.svd(np.array(means).reshape(6, 9))
    found = directions[: int((sizes > 1e-9).sum())].reshape(-1, 3, 3)
    found = np.array([np.where(np.abs(each) > 1e-12, each, 0.0) for each in found])
    return np.asarray([each if np.trace(each) >= 0.0 else -each for each in found])


@dataclass(frozen=True, eq=False)
class RestEnergy:
    """Enthalpy of a primitive cell at rest as a function of strains that keep its symmetry.

    Attributes
    ----------
    force_field : ForceField
    pressure : float      eV/Å³
    """

    force_field: ForceField
    pressure: float

    @cached_property
    def strains(self) -> NDArray[np.float64]:
        """Symmetric strains b, shape (n_strains, 3, 3)."""
        return symmetric_strains(self.force_field.basis.crystal)

    @cached_property
    def _cell(self) -> SupercellForceField:
        return self.force_field.on(Torus(self.force_field.basis.crystal, np.eye(3, dtype=np.int64)))

    @cached_property
    def volume(self) -> float:
        """Volume of the unstrained cell, Å³."""
        return abs(float(np.linalg.det(self._cell.lattice)))

    def strain(self, amounts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Strain, shape (3, 3), of amounts x of the symmetric ones."""
        return np.asarray(np.einsum("i,iab->ab", amounts, self.strains))

    def slope(self, amounts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Derivative of the enthalpy by the amounts, shape (n_strains,), eV."""
        strain, cell = self.strain(amounts), self._cell
        virial = cell.strained(strain).strained_kernel.virial(self._sites(strain))
        return np.asarray(np.einsum("iab,ab->i", self.strains, virial) + self.work(strain))

    def work(self, strain: NDArray[np.float64]) -> NDArray[np.float64]:
        """Derivative of the pressure times the volume by the amounts, shape (n_strains,), eV."""
        deformed = np.eye(3) + strain
        tensor = self.pressure * self.volume * float(np.linalg.det(deformed)) * np.linalg.inv(deformed)
        return np.asarray(np.einsum("iab,ab->i", self.strains, tensor))

    def curvature(self, amounts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Second derivative, shape (n_strains, n_strains), eV."""
        steps = STEPS.step * np.eye(len(amounts))
        ends = [(self.slope(amounts + each), self.slope(amounts - each)) for each in steps]
        found = np.array([(ahead - behind) / (2.0 * STEPS.step) for ahead, behind in ends])
        return np.asarray(0.5 * (found + found.T))

    def _sites(self, strain: NDArray[np.float64]) -> NDArray[np.float64]:
        """Where the sites are at a strain, which move only where there is more than one."""
        torus = self._cell.torus
        if torus.n_atoms == 1 or not strain.any():
            return np.zeros((torus.n_atoms, 3))
        return relaxed_sites(self.force_field, self.force_field.expansion.on(torus, strain))

    def slope_rows(self, amounts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Derivative of the slope by the parameters, then by the stress at rest.

        Shape (n_strains, n_parameters + 6); sites stay where they are, which is where the energy is least.
        """
        strain, cell = self.strain(amounts), self._cell
        supercell = self.force_field.expansion.on(cell.torus, strain)
        stress = from_voigt(supercell.stress_rows(self._sites(strain))) * supercell.volume
        of_strain = np.einsum("ab...,bc->ac...", stress, np.linalg.inv(np.eye(3) + strain))
        of_stress = self.volume * np.array([strain_components(each) for each in self.strains])
        return np.hstack([np.einsum("iab,abp->ip", self.strains, of_strain), of_stress])

    def check(self) -> None:
        """Refuse a pressure that the crystal at rest does not bear.

        Raises
        ------
        DataError
            If there is no strain at which it would.
        """
        _ = self.amounts

    @cached_property
    def amounts(self) -> NDArray[np.float64]:
        """Amounts of the strains at which the crystal at rest bears the pressure, shape (n_strains,).

        Raises
        ------
        DataError
            If there are none.
        """
        found = np.zeros(len(self.strains))
        for _ in range(STEPS.n_newton):
            change = np.linalg.solve(self.curvature(found), -self.slope(found))
            found = found + change
            if np.abs(found).max() > STEPS.largest:
                break
            if np.abs(change).max() < STEPS.tolerance:
                return found
        raise DataError(
            "the crystal at rest has no strain at which it bears the pressure",
            fix="lower thermodynamics.pressure_gigapascal, or relax the structure under it and train there",
        )
