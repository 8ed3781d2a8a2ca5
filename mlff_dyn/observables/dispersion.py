"""Phonon dispersion of order 2 along the special path of the lattice, by phonopy, with its error band.

Frequencies are those of the posterior mean; their standard deviations are those of samples of the posterior,
scaled as all error bars of the force field. Modes are told apart by their place in the order of frequency.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.observables.sampled_phonons import Estimate, sampled_phonons

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from phonopy import Phonopy

    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.model.force_field import ForceField
    from mlff_dyn.observables.sampled_phonons import SampledPhonons


@dataclass(frozen=True, eq=False)
class BandPath:
    """Wave vectors along lines between special points.

    Attributes
    ----------
    wavevectors : ndarray, shape (n, 3)
        In vectors of the reciprocal cell of phonopy's primitive cell.
    distances : ndarray, shape (n,)
        Length of the path, 1/Å.
    ticks : tuple of (float, str)
        Places and names of special points.
    """

    wavevectors: NDArray[np.float64]
    distances: NDArray[np.float64]
    ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True, eq=False)
class Dispersion:
    """Frequencies along a path.

    Attributes
    ----------
    path : BandPath
    frequencies_thz, sds_thz : ndarray, shape (n, n_modes)
        Imaginary frequencies are negative; standard deviations by the posterior.
    speeds : Estimate of shape (n, n_modes)
        Lengths of the group velocities, Å THz (100 m/s).
    """

    path: BandPath
    frequencies_thz: NDArray[np.float64]
    sds_thz: NDArray[np.float64]
    speeds: Estimate

    @property
    def is_stable(self) -> bool:
        """Whether no frequency is imaginary beyond three standard deviations."""
        return bool(np.all(self.frequencies_thz > -3.0 * self.sds_thz - _ACOUSTIC_THZ))


_POINTS_OF_A_SPEED_SD = 4
"""Group velocities take most of the time: their standard deviations are interpolated between few points."""

_ACOUSTIC_THZ = 0.05
"""Rounding of the frequencies that vanish at the zone center."""


def dispersion(
    force_field: ForceField, torus: Torus, *, n_points: int = 151, n_samples: int = 16, seed: int = 0
) -> Dispersion:
    """Phonon dispersion of a force field.

    Parameters
    ----------
    force_field : ForceField
    torus : Torus
        Supercell of the force constants, a repetition of the cell that the user gave.
    n_points : int
        Wave vectors along the whole path.
    n_samples : int
        Samples of the posterior, two at least.
    seed : int
        Of the samples.

    Raises
    ------
    UsageError
        If the supercell is not a repetition of that cell.
    """
    phonons = sampled_phonons(force_field, torus, n_samples=n_samples, seed=seed)
    return dispersion_of(phonons, n_points)


def dispersion_of(
    phonons: SampledPhonons, n_points: int = 151, tell: Callable[[int], None] = lambda _: None
) -> Dispersion:
    """Dispersion with group velocities, of phonons that are prepared."""
    path = band_path(phonons.phonon, n_points)
    places = np.unique([*range(0, len(path.distances), _POINTS_OF_A_SPEED_SD), len(path.distances) - 1])

    def speeds_at(phonon: Phonopy, wavevectors: NDArray[np.float64]) -> NDArray[np.float64]:
        phonon.run_qpoints(wavevectors, with_group_velocities=True)
        return np.asarray(np.linalg.norm(phonon.qpoints.group_velocities, axis=2))

    def measure(number: int) -> dict[str, NDArray[np.float64]]:
        phonon = phonons.choose(number)
        speeds = speeds_at(phonon, path.wavevectors[places])
        phonon.run_qpoints(path.wavevectors)
        return {"frequencies": np.asarray(phonon.qpoints.frequencies), "speeds": speeds}

    sds = phonons.spread(measure, tell)
    every = np.arange(len(path.distances))
    speed_sds = np.stack([np.interp(every, places, each) for each in sds["speeds"].T], axis=1)
    speeds = speeds_at(phonons.choose(0), path.wavevectors)
    return Dispersion(
        path=path,
        frequencies_thz=np.asarray(phonons.phonon.qpoints.frequencies),
        sds_thz=sds["frequencies"],
        speeds=Estimate(speeds, speed_sds),
    )


def band_path(phonon: Phonopy, n_points: int) -> BandPath:
    """Special path of the Bravais lattice of a primitive cell, as ASE knows it."""
    from ase.cell import Cell

    path = Cell(phonon.primitive.cell).bandpath(npoints=n_points)
    distances, places, names = path.get_linear_kpoint_axis()
    ticks: dict[float, list[str]] = {}
    for place, name in zip(places.tolist(), names, strict=True):
        found = ticks.setdefault(round(place, 9), [])
        if name not in found:
            found.append(name)
    return BandPath(
        wavevectors=np.asarray(path.kpts),
        distances=np.asarray(distances),
        ticks=tuple((place, "|".join(each).replace("G", "Γ")) for place, each in ticks.items()),
    )
