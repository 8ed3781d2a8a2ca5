"""Temperature of the atoms from their kinetic energy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlff_dyn.units import BOLTZMANN_EV_PER_K

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def temperatures(kinetic_energies: NDArray[np.float64], n_atoms: int) -> NDArray[np.float64]:
    """Temperature (K) of each sample, whose center of mass is at rest.

    Parameters
    ----------
    kinetic_energies : ndarray, shape (n_samples,)     eV, of all atoms
    n_atoms : int
    """
    degrees = 3 * max(1, n_atoms - 1)
    return 2.0 * kinetic_energies / (degrees * BOLTZMANN_EV_PER_K)


def mean_temperature(kinetic_energies: NDArray[np.float64], n_atoms: int) -> float:
    """Mean temperature (K); arguments as those of `temperatures`."""
    return float(temperatures(kinetic_energies, n_atoms).mean())


def energy_drift(energies: NDArray[np.float64], times_femtoseconds: NDArray[np.float64]) -> float:
    """Slope of an energy along a trajectory, eV/ps; 0 for fewer than two samples.

    Parameters
    ----------
    energies : ndarray, shape (n_samples,)              eV
    times_femtoseconds : ndarray, shape (n_samples,)    any origin
    """
    times = 1.0e-3 * (times_femtoseconds - times_femtoseconds.mean())
    square = float(times @ times)
    return float(times @ energies) / square if square > 0.0 else 0.0
