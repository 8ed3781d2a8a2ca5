"""Grüneisen parameters of the modes, by phonopy from the force constants at three volumes.

gamma = -d ln omega / d ln V
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from phonopy.gruneisen.core import GruneisenBase
from phonopy.gruneisen.mesh import GruneisenMesh
from phonopy.physical_units import get_physical_units

from mlff_dyn.observables.harmonic_properties import LIMITS, coarse_mesh
from mlff_dyn.observables.sampled_phonons import Estimate
from mlff_dyn.observables.strained_phonons import StrainedPhonons

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from mlff_dyn.model.expansion import Expansion
    from mlff_dyn.observables.sampled_phonons import SampledPhonons


STRAIN = 2.0e-3
"""Of each periodic axis. Twice and half change Grüneisen parameters by its square."""

_POINTS_OF_AN_SD = 4
"""Standard deviations along a path are interpolated between every so many of its points."""


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
    unit = np.diag(phonons.torus.crystal.periodic_directions.astype(float))
    strains = (STRAIN * unit, -STRAIN * unit)
    around = tuple(StrainedPhonons(phonons, strain, has_symmetry=False) for strain in strains)
    places = np.unique([*range(0, len(path), _POINTS_OF_AN_SD), len(path) - 1])

    def measure(
        number: int, wanted: Sequence[int], points: NDArray[np.float64]
    ) -> dict[str, NDArray[np.float64]]:
        three = [phonons.choose(number), *(each.choose(number) for each in around)]
        matrices = [each.dynamical_matrix for each in three]
        found = GruneisenBase(*matrices, qpoints=points)
        of_path = np.where(_is_slow(found.get_eigenvalues()), np.nan, found.get_gruneisen())
        symmetry = three[0].primitive_symmetry
        on_mesh = GruneisenMesh(*matrices, mesh=wanted, is_gamma_center=True, primitive_symmetry=symmetry)
        return {"path": of_path, "means": _means(on_mesh, temperatures_kelvin)}

    with np.errstate(divide="ignore", invalid="ignore"):
        mean = measure(0, mesh, path)
        sds = phonons.spread(lambda number: measure(number, coarse_mesh(mesh), path[places]), tell)
    sds["path"] = np.where(np.isnan(mean["path"]), np.nan, _between(places, sds["path"], len(path)))
    return Gruneisen(*(Estimate(mean[name], sds[name]) for name in ("path", "means")))


def _between(places: NDArray[np.int64], values: NDArray[np.float64], n_points: int) -> NDArray[np.float64]:
    """Values of each column at all points, from those at some places that are numbers."""
    found = np.full((n_points, values.shape[1]), np.nan)
    for each, column in zip(found.T, values.T, strict=True):
        known = ~np.isnan(column)
        if known.any():
            each[:] = np.interp(np.arange(n_points), places[known], column[known])
    return found


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
