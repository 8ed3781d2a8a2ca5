"""Labelled supercells as rows of the linear model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mlff_dyn.errors import check_shape
from mlff_dyn.lattice.deformation import stress_of_displacing, stress_of_strain_slope, to_voigt

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.model.expansion import SupercellExpansion
    from mlff_dyn.regression.data.conditions import Conditions

_N_STRESS = 6


@dataclass(frozen=True)
class FitOptions:
    """Kinds of rows in the likelihood beyond forces.

    Attributes
    ----------
    energies : bool
    stress : bool
    """

    energies: bool = True
    stress: bool = False


DEFAULT_OPTIONS = FitOptions()


class Targets(NamedTuple):
    """Forces (3 * n_atoms,), energy and stress (6,) that rows are to give; eV/Å, eV, eV/Å³."""

    forces: NDArray[np.float64]
    energy_ev: float | None
    stress_ev_per_angstrom3: NDArray[np.float64] | None


@dataclass(frozen=True, eq=False)
class LabelledFrame:
    """One labelled supercell as rows of the linear model, which are made when they are needed.

    Attributes
    ----------
    supercell : SupercellExpansion
    displacements : ndarray, shape (n_atoms, 3)               Å
    forces : ndarray, shape (3 * n_atoms,)                    eV/Å
    energy_ev : float or None
    stress_ev_per_angstrom3 : ndarray, shape (6,), or None    xx, yy, zz, yz, xz, xy, positive under tension
    origin : int                                              snapshots of one origin share the zero of energy
    """

    supercell: SupercellExpansion
    displacements: NDArray[np.float64]
    forces: NDArray[np.float64]
    energy_ev: float | None
    stress_ev_per_angstrom3: NDArray[np.float64] | None = None
    origin: int = 0

    @cached_property
    def amplitude_angstrom(self) -> float:
        """Relative amplitude, see `SupercellExpansion.amplitude`."""
        return self.supercell.amplitude(self.displacements)

    @cached_property
    def conditions(self) -> Conditions:
        """What the noise of the force on each atom depends on."""
        return self.supercell.force_conditions(self.displacements)

    @cached_property
    def targets(self) -> Targets:
        """What the rows are to give: the labels without the long-range interaction."""
        if self.supercell.long_range is None:
            return Targets(self.forces, self.energy_ev, self.stress_ev_per_angstrom3)
        energy, forces = _of_dipoles(self.supercell, self.displacements)
        stress = self.stress_ev_per_angstrom3
        return Targets(
            self.forces - forces.ravel(),
            None if self.energy_ev is None else self.energy_ev - energy,
            None if stress is None else stress - _dipole_stress(self.supercell, self.displacements, forces),
        )

    @property
    def n_atoms(self) -> int:
        """Atoms of the supercell."""
        return len(self.displacements)

    @property
    def n_cells(self) -> int:
        """Primitive cells of the supercell."""
        return self.supercell.torus.n_cells


def labelled_frame(
    supercell: SupercellExpansion,
    displacements: NDArray[np.float64],
    forces: NDArray[np.float64],
    energy_ev: float | None,
    stress_ev_per_angstrom3: NDArray[np.float64] | None = None,
    *,
    origin: int = 0,
) -> LabelledFrame:
    """Turn one labelled supercell into rows.

    Parameters
    ----------
    supercell : SupercellExpansion
    displacements, forces : ndarray, shape (n_atoms, 3)     Å, eV/Å; in the atom order of the torus
    energy_ev : float or None
    stress_ev_per_angstrom3 : ndarray, shape (6,), optional
    origin : int
        Snapshots of one origin share the zero of energy.
    """
    check_shape("forces", forces, displacements.shape)
    return LabelledFrame(
        supercell=supercell,
        displacements=displacements,
        forces=(forces - forces.mean(axis=0)).ravel(),
        energy_ev=energy_ev,
        stress_ev_per_angstrom3=stress_ev_per_angstrom3,
        origin=origin,
    )


def stress_design(
    supercell: SupercellExpansion, displacements: NDArray[np.float64], force_rows: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Rows of the stress of a strain that moves sites and displaced atoms alike, as ASE defines it.

    Parameters
    ----------
    supercell : SupercellExpansion
    displacements : ndarray, shape (n_atoms, 3)                        Å
    force_rows : ndarray, shape (3 * n_atoms, n_parameters)

    Returns
    -------
    ndarray, shape (6, n_parameters)
        Measured from the stress of the undisplaced crystal: stress = row @ parameters, eV/Å³.
    """
    by_axis = force_rows.reshape(len(displacements), 3, -1)
    return np.asarray(supercell.stress_rows(displacements) + _taken_along(supercell, displacements, by_axis))


def _taken_along(
    supercell: SupercellExpansion, displacements: NDArray[np.float64], forces: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Stress of displaced atoms that a strain takes along against forces (n_atoms, 3, ...)."""
    return stress_of_displacing(forces, displacements, supercell.strain) / supercell.volume


def _of_dipoles(
    supercell: SupercellExpansion, displacements: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    """Energy and forces of the long-range interaction, measured from the unstrained crystal at rest."""
    if supercell.strain.any() and supercell.dipoles is not None:
        return supercell.dipoles.energy_forces(displacements, supercell.strain)
    if supercell.dipole_dipole is not None:
        return supercell.dipole_dipole.energy_forces(displacements)
    return 0.0, np.zeros_like(displacements)


def _dipole_stress(
    supercell: SupercellExpansion, displacements: NDArray[np.float64], forces: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Stress of the long-range interaction, whose forces are given, beyond that of the crystal at rest."""
    if supercell.dipoles is None:
        return np.zeros(_N_STRESS)
    slope = to_voigt(supercell.dipoles.virial(displacements, supercell.strain))
    of_strain = stress_of_strain_slope(slope, supercell.strain) / supercell.volume
    return np.asarray(of_strain + _taken_along(supercell, displacements, forces))
