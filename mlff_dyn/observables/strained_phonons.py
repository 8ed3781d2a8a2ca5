"""Phonons of a strained crystal, from the force field of the unstrained one.

Order 2 of a strained crystal follows from the higher orders and the local part of the same model: forces of
its rows at small displacements, linear in the parameters, so samples of the posterior cost a product each.
Where a strain leaves forces on the sites, they move to where the posterior mean has none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from phonopy import Phonopy

from mlff_dyn.formats.born_file import phonopy_dipoles
from mlff_dyn.formats.phonopy_cells import compact_array, phonopy_cells
from mlff_dyn.model.force_constants import ForceConstants, whole_force_constants
from mlff_dyn.model.harmonic_forces import SMALL_STEP

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.model.expansion import SupercellExpansion
    from mlff_dyn.model.force_field import ForceField
    from mlff_dyn.observables.sampled_phonons import SampledPhonons


@dataclass(frozen=True)
class RelaxationLimits:
    """How sites of a strained crystal move to where they have no force.

    Attributes
    ----------
    n_relaxations : int
        Steps; each one squares the error.
    least_stiffness : float
        Over the largest force constant, below which sites do not move: they would as a whole.
    """

    n_relaxations: int = 3
    least_stiffness: float = 1e-6


_LIMITS = RelaxationLimits()


class StrainedPhonons:
    """Phonons of the crystal under a strain.

    Parameters
    ----------
    phonons : SampledPhonons
        Without it.
    strain : ndarray, shape (3, 3)
        Symmetric.
    has_symmetry : bool
        Whether the symmetry of the strained crystal is searched, which only meshes need.
    """

    def __init__(
        self, phonons: SampledPhonons, strain: NDArray[np.float64], *, has_symmetry: bool = True
    ) -> None:
        torus, force_field = phonons.torus, phonons.force_field
        cells = phonopy_cells(torus)
        cells["unitcell"].cell = cells["unitcell"].cell @ (np.eye(3) + strain)
        self._phonon = Phonopy(**cells, is_symmetry=has_symmetry, log_level=0)
        dipoles = phonopy_dipoles(phonons.phonon, force_field, torus)
        if dipoles is not None:
            self._phonon.nac_params = dipoles
        self._unstrained, self._torus = phonons.phonon.supercell, torus
        supercell = force_field.expansion.on(torus, strain)
        moved = relaxed_sites(force_field, supercell)
        self._blocks = _second_derivatives(supercell, moved, phonons.parameters)

    def choose(self, number: int) -> Phonopy:
        """Return phonopy with the force constants of a sample; 0 is the posterior mean."""
        torus = self._torus
        first = torus.n_cells * np.arange(torus.crystal.n_sites)
        pairs = np.stack(np.meshgrid(first, np.arange(torus.n_atoms), indexing="ij"), axis=-1)
        constants = ForceConstants(2, torus, pairs.reshape(-1, 2), self._blocks[number].reshape(-1, 3, 3))
        p2s_map = np.array(self._phonon.primitive.p2s_map)
        self._phonon.force_constants = compact_array(constants, self._unstrained, p2s_map)
        return self._phonon


def _second_derivatives(
    supercell: SupercellExpansion, displacements: NDArray[np.float64], parameters: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Of the energy by atoms of cell 0 and all atoms, shape (n_samples, n_sites, n_atoms, 3, 3), eV/Å²."""
    torus = supercell.torus
    found = np.empty((len(parameters), torus.crystal.n_sites, torus.n_atoms, 3, 3))
    for site in range(torus.crystal.n_sites):
        for axis in range(3):
            there, back = (displacements.copy() for _ in range(2))
            there[site * torus.n_cells, axis] += SMALL_STEP
            back[site * torus.n_cells, axis] -= SMALL_STEP
            slopes = (supercell.rows(back)[0] - supercell.rows(there)[0]) / (2.0 * SMALL_STEP)
            found[:, site, :, axis] = (parameters @ slopes.T).reshape(len(parameters), -1, 3)
    if supercell.dipoles is not None:
        blocks = supercell.dipoles.strained(supercell.strain).blocks
        shape = (torus.crystal.n_sites, 3, torus.crystal.n_sites, 3, torus.n_cells)
        found += blocks.reshape(shape).transpose(0, 2, 4, 1, 3).reshape(found.shape[1:])
    return found


def relaxed_sites(force_field: ForceField, supercell: SupercellExpansion) -> NDArray[np.float64]:
    """Displacements of the sites of a strained crystal to where they have no force, by the posterior mean.

    Forces that the unstrained crystal has at rest are left alone.

    Parameters
    ----------
    force_field : ForceField
    supercell : SupercellExpansion
        Strained.

    Returns
    -------
    ndarray, shape (n_atoms, 3), Å
    """
    torus = supercell.torus
    n_sites, n_cells = torus.crystal.n_sites, torus.n_cells
    mean = force_field.posterior.mean
    constants = whole_force_constants(force_field.expansion, mean, 2, torus)
    stiffness = np.zeros((n_sites, n_sites, 3, 3))
    np.add.at(stiffness, tuple(constants.clusters.T // n_cells), constants.blocks)
    matrix = stiffness.swapaxes(1, 2).reshape(3 * n_sites, -1)
    values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.T))
    stiff = np.abs(values) > _LIMITS.least_stiffness * np.abs(constants.blocks).max()
    compliance = (vectors[:, stiff] / values[stiff]) @ vectors[:, stiff].T
    moved = np.zeros((n_sites, 3))
    rest = force_field.static_forces[0]
    for _ in range(_LIMITS.n_relaxations):
        everywhere = np.repeat(moved, n_cells, axis=0)
        forces = (supercell.rows(everywhere)[0] @ mean).reshape(-1, 3)
        if supercell.dipoles is not None:
            forces += supercell.dipoles.energy_forces(everywhere, supercell.strain)[1]
        net = forces.reshape(n_sites, n_cells, 3).mean(axis=1) - rest
        moved += (compliance @ net.ravel()).reshape(-1, 3)
    return np.repeat(moved, n_cells, axis=0)
