"""Where a trajectory starts, and how far it may go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.kernels.dynamics import MdState
from mlff_dyn.kernels.reference.random_numbers import rng_from_seed
from mlff_dyn.md.dynamics_limits import DYNAMICS_LIMITS, DynamicsLimits
from mlff_dyn.md.temperature import mean_temperature
from mlff_dyn.units import AMU_ANGSTROM2_PER_FS2_EV, BOLTZMANN_EV_PER_K

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.lattice.crystal import Crystal


def maxwell_boltzmann(
    masses: NDArray[np.float64], temperature_kelvin: float, generator: np.random.Generator
) -> NDArray[np.float64]:
    """Draw velocities with the center of mass at rest.

    Parameters
    ----------
    masses : ndarray, shape (n_atoms,)     amu
    temperature_kelvin : float
    generator : numpy.random.Generator

    Returns
    -------
    ndarray, shape (n_atoms, 3)            Å/fs
    """
    sd = np.sqrt(BOLTZMANN_EV_PER_K * temperature_kelvin / (masses * AMU_ANGSTROM2_PER_FS2_EV))
    velocities = sd[:, None] * generator.standard_normal((len(masses), 3))
    return np.asarray(velocities - (masses @ velocities) / masses.sum())


def start_at_rest_positions(
    masses: NDArray[np.float64],
    temperature_kelvin: float,
    seed: tuple[int, ...],
    *,
    keeps_energy: bool = False,
) -> MdState:
    """Start on the reference structure with Maxwell-Boltzmann velocities of twice the temperature.

    Half of the kinetic energy becomes potential energy of the (nearly harmonic) crystal, so the mean
    temperature settles at the one asked for.

    Parameters
    ----------
    masses : ndarray, shape (n_atoms,)     amu
    temperature_kelvin : float
    seed : tuple of int
        Any numbers that name this trajectory; equal seeds give equal trajectories.
    keeps_energy : bool
        No thermostat will act: the kinetic energy is scaled to its mean, which a small crystal would miss.
    """
    generator = np.random.default_rng(seed)
    velocities = maxwell_boltzmann(masses, 2.0 * temperature_kelvin, generator)
    if keeps_energy and len(masses) > 1:
        kinetic = 0.5 * AMU_ANGSTROM2_PER_FS2_EV * float(np.sum(masses[:, None] * velocities**2))
        velocities *= np.sqrt(2.0 * temperature_kelvin / mean_temperature(np.array([kinetic]), len(masses)))
    stream = rng_from_seed(int(generator.integers(1 << 62)))
    return MdState(np.zeros((len(masses), 3)), velocities, stream)


def displacement_limit(crystal: Crystal, limits: DynamicsLimits = DYNAMICS_LIMITS) -> float:
    """Largest displacement (Å) to go to where nothing is known of the vibrations."""
    return limits.fraction_of_bond * crystal.nearest_neighbor_distance
