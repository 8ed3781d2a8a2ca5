"""Temperature of the atoms from their kinetic energy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlff_dyn.units import BOLTZMANN_EV_PER_K

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def mean_temperature(kinetic_energies: NDArray[np.float64], n_atoms: int) -> float:
    """Mean temperature (K) of samples whose center of mass is at rest.

    Parameters
    ----------
    kinetic_energies : ndarray, shape (n_samples,)     eV, of all atoms
    n_atoms : int
    """
    degrees = 3 * max(1, n_atoms - 1)
    return float(2.0 * kinetic_energies.mean() / (degrees * BOLTZMANN_EV_PER_K))
