"""Phonon dispersion of order 2 along the special path of the lattice, by phonopy, with its error band.

Frequencies are those of the posterior mean; their standard deviations are those of samples of the posterior,
scaled as all error bars of the force field. Modes are told apart by their place in the order of frequency.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from phonopy import Phonopy

from mlff_dyn.formats.born_file import phonopy_dipoles
from mlff_dyn.formats.phonopy_cells import compact_array, phonopy_cells
from mlff_dyn.model.force_constants import whole_force_constants

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.model.force_field import ForceField


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
    """

    path: BandPath
    frequencies_thz: NDArray[np.float64]
    sds_thz: NDArray[np.float64]

    @property
    def is_stable(self) -> bool:
        """Whether no frequency is imaginary beyond three standard deviations."""
        return bool(np.all(self.frequencies_thz > -3.0 * self.sds_thz - _ACOUSTIC_THZ))


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
    phonon = Phonopy(**phonopy_cells(torus), log_level=0)
    dipoles = phonopy_dipoles(phonon, force_field, torus)
    if dipoles is not None:
        phonon.nac_params = dipoles
    path = band_path(phonon, n_points)
    mean = force_field.posterior.mean
    samples = force_field.posterior.sample(n_samples, np.random.default_rng(seed))
    spread = np.array([_frequencies(phonon, force_field, each, torus, path) for each in samples])
    return Dispersion(
        path=path,
        frequencies_thz=_frequencies(phonon, force_field, mean, torus, path),
        sds_thz=force_field.calibration * np.asarray(np.std(spread, axis=0, ddof=1)),
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


def _frequencies(
    phonon: Phonopy, force_field: ForceField, parameters: NDArray[np.float64], torus: Torus, path: BandPath
) -> NDArray[np.float64]:
    constants = whole_force_constants(force_field.expansion, parameters, 2, torus)
    p2s_map = np.array(phonon.primitive.p2s_map)
    phonon.force_constants = compact_array(constants, phonon.supercell, p2s_map)
    phonon.run_qpoints(path.wavevectors)
    return np.asarray(phonon.qpoints.frequencies)
