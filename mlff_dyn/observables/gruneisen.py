"""Grüneisen parameters of the modes, by phonopy from the force constants at three volumes.

    gamma = -d ln omega / d ln V

Order 2 of a strained crystal follows from the higher orders and the local part of the same model: forces of
its rows at small displacements, linear in the parameters, so samples of the posterior cost a product each.
Where a strain leaves forces on the sites, they move to where the posterior mean has none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from phonopy import Phonopy
from phonopy.gruneisen.core import GruneisenBase
from phonopy.gruneisen.mesh import GruneisenMesh
from phonopy.physical_units import get_physical_units

from mlff_dyn.formats.born_file import phonopy_dipoles
from mlff_dyn.formats.phonopy_cells import compact_array, phonopy_cells
from mlff_dyn.model.force_constants import ForceConstants, whole_force_constants
from mlff_dyn.model.harmonic_forces import SMALL_STEP
from mlff_dyn.observables.harmonic_properties import LIMITS, coarse_mesh
from mlff_dyn.observables.sampled_phonons import Estimate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from mlff_dyn.model.expansion import Expansion, SupercellExpansion
    from mlff_dyn.observables.sampled_phonons import SampledPhonons


@dataclass(frozen=True)
class StrainLimits:
    """How the crystal is strained.

    Attributes
    ----------
    strain : float
        Of each periodic axis. Twice and half change Grüneisen parameters by its square.
    n_relaxations : int
        Steps that move sites to where they have no force; each one squares the error.
    least_stiffness : float
        Over the largest force constant, below which sites do not move: they would as a whole.
    """

    strain: float = 2.0e-3
    n_relaxations: int = 3
    least_stiffness: float = 1e-6


_LIMITS = StrainLimits()


@dataclass(frozen=True, eq=False)
class Gruneisen:
    """Grüneisen parameters.

    Attributes
    ----------
    along_path : Estimate, shape (n_wavevectors, n_modes)
        Not a number for the translations at the zone center.
    means : Estimate, shape (n_temperatures,)
        Mean over the modes of a mesh, weighted by their heat capacity.
    """

    along_path: Estimate
    means: Estimate


def has_gruneisen(expansion: Expansion) -> bool:
    """Whether a model says how its order 2 changes with the volume."""
    return 3 in expansion.basis.orders or expansion.local is not None


def gruneisen(
    phonons: SampledPhonons,
    path: NDArray[np.float64],
    mesh: Sequence[int],
    temperatures_kelvin: NDArray[np.float64],
    tell: Callable[[int], None] = lambda _: None,
) -> Gruneisen:
    """Grüneisen parameters along a path and on a mesh.

    Parameters
    ----------
    phonons : SampledPhonons
    path : ndarray, shape (n_wavevectors, 3)
    mesh : sequence of int
        The coarse one of it is taken for samples.
    temperatures_kelvin : ndarray, shape (n_temperatures,)
        Above zero.
    tell : callable, optional
        Called with the number of samples that are done.
    """
    around = tuple(_Strained(phonons, sign * _LIMITS.strain) for sign in (1.0, -1.0))

    def measure(number: int, wanted: Sequence[int]) -> dict[str, NDArray[np.float64]]:
        three = [phonons.choose(number), *(each.choose(number) for each in around)]
        matrices = [each.dynamical_matrix for each in three]
        found = GruneisenBase(*matrices, qpoints=path)
        of_path = np.where(_is_slow(found.get_eigenvalues()), np.nan, found.get_gruneisen())
        symmetry = three[0].primitive_symmetry
        on_mesh = GruneisenMesh(*matrices, mesh=wanted, is_gamma_center=True, primitive_symmetry=symmetry)
        return {"path": of_path, "means": _means(on_mesh, temperatures_kelvin)}

    with np.errstate(divide="ignore", invalid="ignore"):
        mean = measure(0, mesh)
        sds = phonons.spread(lambda number: measure(number, coarse_mesh(mesh)), tell)
    return Gruneisen(*(Estimate(mean[name], sds[name]) for name in ("path", "means")))


def _is_slow(eigenvalues: NDArray[np.float64] | None) -> NDArray[np.bool_]:
    least = (LIMITS.least_thz / get_physical_units().DefaultToTHz) ** 2
    return np.asarray(np.abs(np.asarray(eigenvalues)) < least)


def _means(found: GruneisenMesh, temperatures_kelvin: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over modes with a frequency above zero."""
    frequencies, values = found.get_frequencies(), found.get_gruneisen()
    kept = frequencies > LIMITS.least_thz
    units = get_physical_units()
    kelvin = np.where(kept, frequencies, 1.0) * units.THzToEv / units.KB
    ratios = kelvin / temperatures_kelvin[:, None, None]
    heat_capacities = ratios**2 * np.exp(-ratios) / np.expm1(-ratios) ** 2
    weights = np.where(kept, found.get_weights()[:, None], 0.0) * heat_capacities
    return np.asarray((weights * np.where(kept, values, 0.0)).sum(axis=(1, 2)) / weights.sum(axis=(1, 2)))


class _Strained:
    """Phonons of the crystal under a strain of all its periodic directions."""

    def __init__(self, phonons: SampledPhonons, strain: float) -> None:
        torus, force_field = phonons.torus, phonons.force_field
        matrix = strain * np.diag(torus.crystal.periodic_directions.astype(float))
        cells = phonopy_cells(torus)
        cells["unitcell"].cell = cells["unitcell"].cell @ (np.eye(3) + matrix)
        self._phonon = Phonopy(**cells, log_level=0)
        dipoles = phonopy_dipoles(phonons.phonon, force_field, torus)
        if dipoles is not None:
            self._phonon.nac_params = dipoles
        self._unstrained, self._torus = phonons.phonon.supercell, torus
        supercell = force_field.expansion.on(torus, matrix)
        moved = _relaxed(supercell, phonons)
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


def _relaxed(supercell: SupercellExpansion, phonons: SampledPhonons) -> NDArray[np.float64]:
    """Displacements of the sites of a strained crystal to where they have no force, shape (n_atoms, 3), Å."""
    torus = phonons.torus
    n_sites, n_cells = torus.crystal.n_sites, torus.n_cells
    mean = phonons.parameters[0]
    constants = whole_force_constants(phonons.force_field.expansion, mean, 2, torus)
    stiffness = np.zeros((n_sites, n_sites, 3, 3))
    np.add.at(stiffness, tuple(constants.clusters.T // n_cells), constants.blocks)
    matrix = stiffness.swapaxes(1, 2).reshape(3 * n_sites, -1)
    values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.T))
    stiff = np.abs(values) > _LIMITS.least_stiffness * np.abs(constants.blocks).max()
    compliance = (vectors[:, stiff] / values[stiff]) @ vectors[:, stiff].T
    moved = np.zeros((n_sites, 3))
    rest = phonons.force_field.static_forces[0]
    for _ in range(_LIMITS.n_relaxations):
        everywhere = np.repeat(moved, n_cells, axis=0)
        forces = (supercell.rows(everywhere)[0] @ mean).reshape(-1, 3)
        if supercell.dipoles is not None:
            forces += supercell.dipoles.energy_forces(everywhere, supercell.strain)[1]
        net = forces.reshape(n_sites, n_cells, 3).mean(axis=1) - rest
        moved += (compliance @ net.ravel()).reshape(-1, 3)
    return np.repeat(moved, n_cells, axis=0)
