"""Elastic constants at rest, with error bars, from second derivatives of the energy.

Strains e and displacements u of the sites of a primitive cell that go with them,

    C_kl = d stress_k / d e_l - (1 / V) Lambda_k K^+ Lambda_l,   Lambda_k = d²E / du de_k,   K = d²E / du du

in Voigt's order xx, yy, zz, yz, xz, xy, shears counted twice. All three derivatives are linear in the
parameters, and sites relax to where the energy is least, so

    C'_kl = (d stress_k / d e_l)' + (Lambda'_k w_l + w_k Lambda'_l + w_k K' w_l) / V,   w = -K^+ Lambda

is exact, the dash being a derivative by a parameter, and standard deviations need no samples. At a stress,
constants are those of stress and strain.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import DataError
from mlff_dyn.kernels.strain.moves import unit_strains
from mlff_dyn.lattice.torus import Torus
from mlff_dyn.observables.parameter_errors import error_factor
from mlff_dyn.observables.sampled_phonons import Estimate
from mlff_dyn.units import EV_PER_ANGSTROM3_GPA

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from mlff_dyn.model.force_field import ForceField, SupercellForceField


@dataclass(frozen=True)
class ElasticLimits:
    """How derivatives are taken.

    Attributes
    ----------
    step : float
        Strain, and displacement in Å; a power of two, by which nothing is rounded. Twice of it changes
        constants by 1e-5 of their size.
    least_stiffness : float
        Over the largest one, below which sites do not move: they would as a whole.
    """

    step: float = 2.0**-12
    least_stiffness: float = 1e-6


_LIMITS = ElasticLimits()
AVERAGES = ("bulk_voigt", "bulk_reuss", "bulk_hill", "shear_voigt", "shear_reuss", "shear_hill")


@dataclass(frozen=True, eq=False)
class ElasticConstants:
    """Elastic constants, GPa; components xx, yy, zz, yz, xz, xy.

    Attributes
    ----------
    values : ndarray, shape (6, 6)                  symmetric
    gradient : ndarray, shape (6, 6, n_parameters)  per parameter of the force field
    covariance : ndarray, shape (36, 36)            GPa², calibrated, with the part of truncation
    moves : ndarray, shape (6, n_sites, 3)          displacements of the sites per strain, Å
    """

    values: NDArray[np.float64]
    gradient: NDArray[np.float64]
    covariance: NDArray[np.float64]
    moves: NDArray[np.float64]

    @property
    def sds(self) -> NDArray[np.float64]:
        """Standard deviations of the data, shape (6, 6), GPa."""
        return np.sqrt(np.diag(self.covariance)).reshape(6, 6)

    @cached_property
    def averages(self) -> dict[str, Estimate]:
        """Moduli of a polycrystal by Voigt, Reuss and Hill, by the names of `AVERAGES`, GPa."""
        found = self._derived(lambda matrix: np.array(list(averages_of(matrix).values())))
        return {
            name: Estimate(found.value[k], found.sd[k]) for k, name in enumerate(averages_of(self.values))
        }

    @cached_property
    def softest(self) -> Estimate:
        """Smallest eigenvalue, GPa; the crystal is mechanically stable where it is positive."""
        return self._derived(lambda matrix: np.asarray(np.linalg.eigvalsh(matrix)[..., 0], np.float64))

    def _derived(self, function: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Estimate:
        """Linear propagation of the covariance, by differences that are small against the constants."""
        step = _LIMITS.step * max(1e-300, float(np.abs(self.values).max()))
        slopes = []
        for i in range(6):
            for j in range(6):
                change = np.zeros((6, 6))
                change[i, j] += 0.5 * step
                change[j, i] += 0.5 * step
                ahead, behind = (function(self.values + each) for each in (change, -change))
                slopes.append((ahead - behind) / (2.0 * step))
        jacobian = np.array(slopes)
        variance = np.einsum("i...,ij,j...->...", jacobian, self.covariance, jacobian)
        return Estimate(np.asarray(function(self.values)), np.sqrt(np.maximum(variance, 0.0)))


def averages_of(constants: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Moduli by Voigt (equal strain), Reuss (equal stress) and Hill (their mean).

    Parameters
    ----------
    constants : ndarray, shape (6, 6)
        Of any unit, which is that of the moduli.

    References
    ----------
    Hill, Proc. Phys. Soc. A 65, 349 (1952).
    """
    compliances = np.linalg.inv(constants)
    bulk_voigt = constants[:3, :3].sum() / 9.0
    bulk_reuss = 1.0 / compliances[:3, :3].sum()
    shear_voigt = (1.5 * np.trace(constants[:3, :3]) - 0.5 * constants[:3, :3].sum()) / 15.0
    shear_voigt += np.trace(constants[3:, 3:]) / 5.0
    stretched = 6.0 * np.trace(compliances[:3, :3]) - 2.0 * compliances[:3, :3].sum()
    shear_reuss = 15.0 / (stretched + 3.0 * np.trace(compliances[3:, 3:]))
    moduli = (bulk_voigt, bulk_reuss, 0.5 * (bulk_voigt + bulk_reuss))
    shears = (shear_voigt, shear_reuss, 0.5 * (shear_voigt + shear_reuss))
    return dict(zip(AVERAGES, map(np.asarray, (*moduli, *shears)), strict=True))


def elastic_constants(force_field: ForceField) -> ElasticConstants:
    """Elastic constants of the crystal at rest, its sites relaxed.

    The local part of the energy, dipoles (without a macroscopic field) and the stress at rest, where one was
    fitted, are contained.

    Parameters
    ----------
    force_field : ForceField

    Raises
    ------
    DataError
        If the crystal is not periodic in three dimensions, which has no stress.
    """
    crystal = force_field.basis.crystal
    if not all(crystal.periodic):
        raise DataError(
            "elastic constants are those of crystals that are periodic in three dimensions",
            fix="leave elastic constants and thermal expansion out for a sheet or a chain",
        )
    cell = force_field.on(Torus(crystal, np.eye(3, dtype=np.int64)))
    volume = abs(float(np.linalg.det(crystal.lattice)))
    stresses, couplings = _by_strain(cell)
    stiffness = _by_displacement(cell)
    moves = -site_compliance(stiffness[0]) @ couplings[0].T
    clamped = 0.5 * (stresses[0] + stresses[0].T)
    values = clamped + couplings[0] @ moves / volume
    of_coupling = np.einsum("kxp,xl->klp", couplings[1], moves)
    gradient = (
        0.5 * (stresses[1] + stresses[1].swapaxes(0, 1))
        + (
            of_coupling
            + of_coupling.swapaxes(0, 1)
            + np.einsum("xk,xyp,yl->klp", moves, stiffness[1], moves, optimize=True)
        )
        / volume
    )
    flat = EV_PER_ANGSTROM3_GPA * gradient.reshape(36, -1)
    factor = flat @ error_factor(force_field)
    return ElasticConstants(
        values=EV_PER_ANGSTROM3_GPA * 0.5 * (values + values.T),
        gradient=flat.reshape(6, 6, -1),
        covariance=factor @ factor.T,
        moves=moves.T.reshape(6, crystal.n_sites, 3),
    )


_Derivative = tuple["NDArray[np.float64]", "NDArray[np.float64]"]
"""A derivative, and its own by the parameters along a last axis."""


def _by_strain(cell: SupercellForceField) -> tuple[_Derivative, _Derivative]:
    """Slopes of the stress, (6, 6), by strain last; and minus those of the forces, (6, 3 * n_sites)."""
    rest, expansion = np.zeros((cell.torus.n_atoms, 3)), cell.force_field.expansion
    found: list[list[NDArray[np.float64]]] = [[], [], [], []]
    for unit in unit_strains():
        ends = []
        for sign in (1.0, -1.0):
            strained = cell.strained(sign * _LIMITS.step * unit)
            supercell = expansion.on(cell.torus, strained.strain)
            forces = strained.energy_forces(rest)[1].ravel()
            ends.append((strained.stress(rest), supercell.stress_rows(rest), forces, supercell.rows(rest)[0]))
        for part, (there, back) in zip(found, zip(*ends, strict=True), strict=True):
            part.append((there - back) / (2.0 * _LIMITS.step))
    stress, of_stress, force, of_force = map(np.array, found)
    return (stress.T, of_stress.swapaxes(0, 1)), (-force, -of_force)


def _by_displacement(cell: SupercellForceField) -> _Derivative:
    """Second derivatives by the displacements of the sites, (3 * n_sites, 3 * n_sites)."""
    supercell = cell.force_field.expansion.on(cell.torus)

    def slopes(measure: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> NDArray[np.float64]:
        return np.array([measure(-u) - measure(u) for u in _displacements(cell)]) / (2.0 * _LIMITS.step)

    return (
        slopes(lambda u: cell.energy_forces(u)[1].ravel()),
        slopes(lambda u: supercell.rows(u)[0]),
    )


def _displacements(cell: SupercellForceField) -> Iterator[NDArray[np.float64]]:
    for each in np.eye(3 * cell.torus.n_atoms):
        yield _LIMITS.step * each.reshape(-1, 3)


def site_compliance(stiffness: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverse of the stiffness of the sites, for all but displacements of the whole crystal.

    Parameters
    ----------
    stiffness : ndarray, shape (3 * n_sites, 3 * n_sites)
    """
    values, vectors = np.linalg.eigh(0.5 * (stiffness + stiffness.T))
    stiff = np.abs(values) > _LIMITS.least_stiffness * max(1.0, np.abs(values).max())
    return np.asarray((vectors[:, stiff] / values[stiff]) @ vectors[:, stiff].T)
