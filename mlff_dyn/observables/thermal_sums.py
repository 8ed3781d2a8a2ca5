"""Thermal properties of the modes on a mesh, by phonopy, with quantum or classical statistics."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from phonopy.physical_units import get_physical_units

from mlff_dyn.observables.harmonic_properties import LIMITS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from phonopy import Phonopy

NAMES = ("free_energy", "entropy", "heat_capacity")


def thermal_sums(
    phonon: Phonopy, mesh: Sequence[int], temperatures_kelvin: NDArray[np.float64], *, is_classical: bool
) -> dict[str, NDArray[np.float64]]:
    """Sums over the modes by the names of `NAMES`, eV or Boltzmann constants for each primitive cell.

    Parameters
    ----------
    phonon : Phonopy
    mesh : sequence of int
    temperatures_kelvin : ndarray, shape (n_temperatures,)
    is_classical : bool
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        phonon.run_mesh(mesh, is_gamma_center=True)
        phonon.run_thermal_properties(
            temperatures=temperatures_kelvin,
            cutoff_frequency=LIMITS.least_thz,
            classical=is_classical,
            exclude_gamma_acoustic=True,
        )
    found, units = phonon.thermal_properties, get_physical_units()
    boltzmann = 1e3 * units.EvTokJmol * units.KB
    values = (found.free_energy / units.EvTokJmol, found.entropy / boltzmann, found.heat_capacity / boltzmann)
    return {name: np.asarray(value, np.float64) for name, value in zip(NAMES, values, strict=True)}
