"""Phonons of effective force constants by phonopy: errors by Monte Carlo and of the data apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from phonopy.physical_units import get_physical_units

from mlff_dyn.observables.harmonic_properties import LIMITS, coarse_mesh
from mlff_dyn.observables.sampled_phonons import spread_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from phonopy import Phonopy

    from mlff_dyn.formats.effective_file import EffectiveForceConstants
    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.observables.sampled_phonons import Measure


@dataclass(frozen=True, eq=False)
class ArrayPhonons:
    """Phonons of given force constants and samples of them.

    Attributes
    ----------
    torus : Torus
    phonon : Phonopy
        Of the same cell, with the dipoles of the force field, if it has some.
    arrays : ndarray, shape (1 + n_samples, n_sites, n_atoms, 3, 3)
        Force constants in phonopy's compact form, then those of the samples.
    scale : float
        Factor on standard deviations.
    """

    torus: Torus
    phonon: Phonopy
    arrays: NDArray[np.float64]
    scale: float

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return len(self.arrays) - 1

    def choose(self, number: int) -> Phonopy:
        """Return phonopy with the force constants of a sample, from 1; 0 is the estimate itself."""
        self.phonon.force_constants = self.arrays[number]
        return self.phonon

    def spread(
        self, measure: Measure, tell: Callable[[int], None] = lambda _: None
    ) -> dict[str, NDArray[np.float64]]:
        """Return standard deviations over the samples of what is measured on each of them."""
        return spread_of(measure, self.n_samples, self.scale, tell)


def of_data(found: EffectiveForceConstants, phonon: Phonopy, torus: Torus) -> ArrayPhonons:
    """Phonons whose samples are those of the posterior, calibrated."""
    return ArrayPhonons(
        torus, phonon, np.concatenate([found.force_constants[None], found.of_data]), found.calibration
    )


def of_monte_carlo(found: EffectiveForceConstants, phonon: Phonopy, torus: Torus) -> ArrayPhonons:
    """Phonons whose samples are those of the statistical error of the average."""
    return ArrayPhonons(
        torus, phonon, np.concatenate([found.force_constants[None], found.of_monte_carlo]), 1.0
    )


@dataclass(frozen=True, eq=False)
class EffectiveBands:
    """Frequencies at a temperature.

    Attributes
    ----------
    frequencies_thz : ndarray, shape (n_wavevectors, n_modes)
        Imaginary ones are negative.
    data_sds_thz, monte_carlo_sds_thz : ndarray, shape (n_wavevectors, n_modes)
    """

    frequencies_thz: NDArray[np.float64]
    data_sds_thz: NDArray[np.float64]
    monte_carlo_sds_thz: NDArray[np.float64]

    @property
    def sds_thz(self) -> NDArray[np.float64]:
        """Standard deviations by both."""
        return np.hypot(self.data_sds_thz, self.monte_carlo_sds_thz)

    @property
    def n_imaginary(self) -> int:
        """Modes that are imaginary beyond so many standard deviations as of the harmonic crystal."""
        limits = np.maximum(LIMITS.n_sds * self.sds_thz, LIMITS.least_thz)
        return int((self.frequencies_thz < -limits).sum())


def effective_bands(
    found: EffectiveForceConstants, phonon: Phonopy, torus: Torus, wavevectors: NDArray[np.float64]
) -> EffectiveBands:
    """Frequencies at wave vectors.

    Parameters
    ----------
    found : EffectiveForceConstants
    phonon : Phonopy
        See `ArrayPhonons`.
    torus : Torus
    wavevectors : ndarray, shape (n_wavevectors, 3)
    """
    both = (of_data(found, phonon, torus), of_monte_carlo(found, phonon, torus))

    def measure(samples: ArrayPhonons, number: int) -> dict[str, NDArray[np.float64]]:
        chosen = samples.choose(number)
        chosen.run_qpoints(wavevectors)
        return {"frequencies": np.asarray(chosen.qpoints.frequencies)}

    sds = [
        samples.spread(lambda number, samples=samples: measure(samples, number))["frequencies"]  # type: ignore[misc]
        for samples in both
    ]
    return EffectiveBands(measure(both[0], 0)["frequencies"], sds[0], sds[1])


@dataclass(frozen=True)
class FreeEnergy:
    """Helmholtz free energy of the self-consistent crystal for each primitive cell, eV.

    Attributes
    ----------
    value, data_sd, monte_carlo_sd : float
    mesh_error : float         what the mesh of wave vectors left out, which was put back
    """

    value: float
    data_sd: float
    monte_carlo_sd: float
    mesh_error: float


def free_energy(
    found: EffectiveForceConstants, phonon: Phonopy, torus: Torus, mesh: Sequence[int]
) -> FreeEnergy:
    """Free energy of self-consistent phonons: that of their vibrations and the mean of what they leave out.

    Parameters
    ----------
    found : EffectiveForceConstants
    phonon : Phonopy
        See `ArrayPhonons`.
    torus : Torus
    mesh : sequence of int
    """
    chosen = of_data(found, phonon, torus).choose(0)
    is_classical = found.statistics == "classical"

    def vibrational(points: Sequence[int]) -> float:
        chosen.run_mesh(points, is_gamma_center=True)
        chosen.run_thermal_properties(
            temperatures=[found.temperature_kelvin],
            cutoff_frequency=LIMITS.least_thz,
            exclude_gamma_acoustic=True,
            classical=is_classical,
        )
        energy = float(chosen.thermal_properties.free_energy[0])
        return energy / float(get_physical_units().EvTokJmol)

    fine, few = vibrational(mesh), coarse_mesh(mesh)
    share = float(np.prod(few) / np.prod(mesh))
    left_out = share / (1.0 - share) * (fine - vibrational(few)) if share < 1.0 else 0.0
    mean, monte_carlo_sd, data_sd = found.energies.tolist()
    return FreeEnergy(fine + left_out + mean, data_sd, monte_carlo_sd, abs(left_out))
