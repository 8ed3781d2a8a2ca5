"""Anharmonic free energy of a crystal at constant volume, by thermodynamic integration.

The energy E is switched on from its own order 2, E_0, whose free energy is known in closed form:

    F - F_0 = int_0^1 dx <E - E_0>_x,    sampled with x E + (1 - x) E_0

at the points of Gauss and Legendre. With the forces f, E + u . f / 2 vanishes in each frame of the harmonic
crystal, and has the mean <E> - 3 (N - 1) kT / 2 in any one: energies and heat capacities beyond the
harmonic ones are averages of it, with little noise. All of it is classical, of N atoms whose center of mass
is at rest; quantum statistics enter with the harmonic crystal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import DataError
from mlff_dyn.kernels.harmonic import HarmonicTorus
from mlff_dyn.model.force_constants import whole_force_constants
from mlff_dyn.model.harmonic_modes import harmonic_modes
from mlff_dyn.observables.canonical_samples import canonical_samples
from mlff_dyn.observables.thermal_averages import (
    ThermalAverage,
    statistical_error,
    thermal_covariance,
    thermal_mean,
)
from mlff_dyn.units import BOLTZMANN_EV_PER_K, HBAR_EV_FS

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.model.expansion import Expansion
    from mlff_dyn.model.force_field import ForceField
    from mlff_dyn.observables.canonical_samples import Sampling


@dataclass(frozen=True, eq=False)
class AnharmonicPart:
    """What the energy beyond order 2 adds to a crystal of N atoms, for each atom, classical.

    Attributes
    ----------
    couplings : ndarray, shape (n_points,)
    differences : ndarray, shape (n_points,)          <E - E_0> at each coupling, eV
    difference_errors : ndarray, shape (n_points,)    Monte Carlo errors, eV
    free_energy : ThermalAverage
        F - F_0, eV; its gradient is that of F, <dE/dtheta>, without that of F_0.
    energy : ThermalAverage                           U - U_0, eV
    heat_capacity : ThermalAverage                    at constant volume, eV/K
    """

    couplings: NDArray[np.float64]
    differences: NDArray[np.float64]
    difference_errors: NDArray[np.float64]
    free_energy: ThermalAverage
    energy: ThermalAverage
    heat_capacity: ThermalAverage

    def entropy(self, temperature_kelvin: float) -> ThermalAverage:
        """S - S_0, eV/K, its gradient as that of the free energy."""
        free, energy = self.free_energy, self.energy
        return ThermalAverage(
            (energy.value - free.value) / temperature_kelvin,
            float(np.hypot(energy.statistical_error, free.statistical_error)) / temperature_kelvin,
            (energy.gradient - free.gradient) / temperature_kelvin,
        )


def anharmonic_part(
    force_field: ForceField,
    torus: Torus,
    sampling: Sampling,
    *,
    n_points: int = 4,
    tell: Callable[[int], None] = lambda _: None,
) -> AnharmonicPart:
    """Integrate from the harmonic crystal to the whole energy on a supercell.

    Parameters
    ----------
    force_field : ForceField
    torus : Torus
    sampling : Sampling
        Of each point, and of the whole energy.
    n_points : int
    tell : callable, optional
        Called with the number of steps of all runs that are made.

    Raises
    ------
    SimulationError
        If an atom leaves its site.
    """
    harmonic = harmonic_torus(force_field.expansion, force_field.posterior.mean, torus)
    supercell = force_field.expansion.on(torus)
    kernel = force_field.on(torus).kernel
    points, weights = np.polynomial.legendre.leggauss(n_points)
    couplings = 0.5 * (1.0 + points)
    series = []
    for number, coupling in enumerate(couplings.tolist()):
        switched = supercell.switched_kernel(force_field.posterior.mean, harmonic, coupling)
        frames = canonical_samples(switched, torus.masses, sampling, _after(number * sampling.n_steps, tell))
        series.append([kernel.energy_forces(u)[0] - harmonic.energy_forces(u)[0] for u in frames])
    differences = np.array(series) / torus.n_atoms
    errors = np.array([statistical_error(each) for each in differences])
    frames = canonical_samples(kernel, torus.masses, sampling, _after(n_points * sampling.n_steps, tell))
    change, energy, heat_capacity = _at_full_coupling(force_field, torus, frames, sampling.temperature_kelvin)
    free = ThermalAverage(
        float(0.5 * weights @ differences.mean(axis=1)), float(np.linalg.norm(0.5 * weights * errors)), change
    )
    return AnharmonicPart(couplings, differences.mean(axis=1), errors, free, energy, heat_capacity)


def _after(n_steps: int, tell: Callable[[int], None]) -> Callable[[int], None]:
    """Tell steps of a run that follows so many others."""
    return lambda step: tell(n_steps + step)


def _at_full_coupling(
    force_field: ForceField, torus: Torus, frames: NDArray[np.float64], temperature_kelvin: float
) -> tuple[NDArray[np.float64], ThermalAverage, ThermalAverage]:
    """Gradient of the free energy; energy and heat capacity beyond the harmonic ones; for each atom."""
    kernel, supercell, n_atoms = force_field.on(torus).kernel, force_field.expansion.on(torus), torus.n_atoms
    thermal_energy = BOLTZMANN_EV_PER_K * temperature_kelvin
    energies, excesses = np.empty(len(frames)), np.empty(len(frames))
    slopes = np.empty((len(frames), len(force_field.posterior.mean)))
    excess_slopes = np.empty_like(slopes)
    for k, u in enumerate(frames):
        energies[k], forces = kernel.energy_forces(u)
        excesses[k] = energies[k] + 0.5 * float((u * forces).sum())
        force_rows, slopes[k] = supercell.rows(u)
        excess_slopes[k] = slopes[k] + 0.5 * u.ravel() @ force_rows
    energy = thermal_mean(excesses, excess_slopes, slopes, thermal_energy)
    pair, pair_slopes = (excesses, energies), (excess_slopes, slopes)
    capacity = thermal_covariance(pair, pair_slopes, slopes, thermal_energy)
    return (
        slopes.mean(axis=0) / n_atoms,
        _times(energy, 1.0 / n_atoms),
        _times(capacity, 1.0 / (n_atoms * thermal_energy * temperature_kelvin)),
    )


def _times(average: ThermalAverage, factor: float) -> ThermalAverage:
    return ThermalAverage(
        factor * average.value, abs(factor) * average.statistical_error, factor * average.gradient
    )


def harmonic_torus(expansion: Expansion, parameters: NDArray[np.float64], torus: Torus) -> HarmonicTorus:
    """Order 2 of the whole energy between all atoms of a supercell.

    Parameters
    ----------
    expansion : Expansion
    parameters : ndarray, shape (n_parameters,)
    torus : Torus
    """
    constants = whole_force_constants(expansion, parameters, 2, torus)
    n_sites, n_cells = torus.crystal.n_sites, torus.n_cells
    blocks = np.zeros((n_sites, torus.n_atoms, 3, 3))
    blocks[constants.clusters[:, 0] // n_cells, constants.clusters[:, 1]] = constants.blocks
    ordered = blocks.reshape(n_sites, n_sites, n_cells, 3, 3).transpose(0, 3, 1, 4, 2)
    return HarmonicTorus(torus.grid, np.ascontiguousarray(ordered.reshape(3 * n_sites, 3 * n_sites, n_cells)))


def harmonic_free_energy(
    expansion: Expansion, parameters: NDArray[np.float64], torus: Torus, temperature_kelvin: float
) -> float:
    """Classical free energy of the harmonic crystal on a supercell, eV for each atom, kT ln(hbar w / kT).

    Parameters
    ----------
    expansion : Expansion
    parameters : ndarray, shape (n_parameters,)
    torus : Torus
    temperature_kelvin : float

    Raises
    ------
    DataError
        If a mode is not stable.
    """
    modes = harmonic_modes(expansion, parameters, torus)
    squares = modes.squares[modes.is_vibration]
    if not (squares > 0.0).all():
        raise DataError(
            "the harmonic crystal has imaginary modes and no free energy",
            fix="leave free_energy out of thermodynamics.quantities, or train where this phase is stable",
        )
    thermal_energy = BOLTZMANN_EV_PER_K * temperature_kelvin
    logarithms = 0.5 * np.log(squares) + np.log(HBAR_EV_FS / thermal_energy)
    return float(thermal_energy * logarithms.sum() / torus.n_atoms)
