"""What limits a conductivity, and how many further calculations bring its error under a limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.model.force_constant_slopes import force_constant_slopes
from mlff_dyn.model.harmonic_modes import harmonic_modes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.observables.conductivity.parameter_slopes import ConductivitySlopes
    from mlff_dyn.observables.conductivity.solver import ThreePhonons


@dataclass(frozen=True)
class ForecastLimits:
    """Numbers that decide the forecast.

    Attributes
    ----------
    temperature_kelvin : float
        Of harmonic frames, before they are scaled to the displacements of the data: it does not matter.
    most_frames : int
        That are tried one after the other; beyond, the variance falls as one over their number.
    most_shells : int
        Groups of clusters that are told apart; those with farther atoms are one group.
    same_angstrom : float
        Distances that differ by less are the same.
    """

    temperature_kelvin: float = 300.0
    most_frames: int = 8
    most_shells: int = 5
    same_angstrom: float = 0.05


_LIMITS = ForecastLimits()


def variance_after_frames(phonons: ThreePhonons, slopes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Variance of a quantity by the posterior after no, one, two... further calculations, calibrated.

    Parameters
    ----------
    phonons : ThreePhonons
    slopes : ndarray, shape (n_parameters,)
        Of the quantity by the parameters.

    Returns
    -------
    ndarray, shape (1 + n_frames,)
    """
    force_field, torus = phonons.force_field, phonons.torus
    supercell = force_field.expansion.on(torus)
    modes = harmonic_modes(force_field.expansion, force_field.posterior.mean, torus)
    generator, posterior = np.random.default_rng(0), force_field.posterior
    found = [float(np.sum((slopes @ posterior.covariance_factor) ** 2))]
    each = np.full(torus.n_atoms, 3)
    for _ in range(_LIMITS.most_frames):
        moved = modes.sample(_LIMITS.temperature_kelvin, generator)
        moved *= force_field.training.displacement_rms_angstrom / np.sqrt(np.mean(moved**2))
        noise = posterior.hyperparameters.weight_variances(supercell.force_conditions(moved), each)
        posterior = posterior.after(supercell.rows(moved)[0], np.repeat(noise, 3))
        found.append(float(np.sum((slopes @ posterior.covariance_factor) ** 2)))
    return force_field.calibration**2 * np.array(found)


def frames_for(variances: NDArray[np.float64], limit: float) -> int | None:
    """Further calculations that bring a variance under a limit; None: no number of them.

    Parameters
    ----------
    variances : ndarray, shape (1 + n_frames,)
        Of `variance_after_frames`.
    limit : float
        Of the variance.
    """
    if limit <= 0.0:
        return None
    reached = np.flatnonzero(variances <= limit)
    if len(reached):
        return int(reached[0])
    last = len(variances) - 1
    return int(np.ceil(last * variances[-1] / limit))


def shares_by_size(
    phonons: ThreePhonons, slopes: ConductivitySlopes, number: int
) -> list[tuple[float, float]]:
    """Shares of clusters of order 3 in the variance of the conductivity by their longest distance.

    Parameters
    ----------
    phonons : ThreePhonons
    slopes : ConductivitySlopes
    number : int
        Of the temperature.

    Returns
    -------
    list of (float, float)
        Longest distance (Å) of a group of clusters, and its share: covariance of what it contributes and of
        the whole, over the variance of the whole. The shares of all groups, and of order 2, add up to one.
    """
    factor = phonons.force_field.posterior.covariance_factor
    whole = (slopes.second + slopes.third)[number, :3].mean(axis=0) @ factor
    sizes = _longest_distances(phonons.torus)
    known = phonons.in_torus(phonons.constants(3)).any(axis=(3, 4, 5))
    distances = np.unique(np.round(sizes[known] / _LIMITS.same_angstrom)) * _LIMITS.same_angstrom
    edges = np.append(distances[: _LIMITS.most_shells - 1], distances[-1])
    found, lowest = [], -1.0
    for edge in np.unique(edges).tolist():
        inside = (sizes > lowest) & (sizes <= edge + _LIMITS.same_angstrom)
        weights = np.where(inside[..., None, None, None], slopes.by_constants, 0.0)
        part = force_constant_slopes(phonons.force_field.expansion, weights, phonons.torus) @ factor
        found.append((float(sizes[inside & known].max(initial=0.0)), float(part @ whole / (whole @ whole))))
        lowest = edge + _LIMITS.same_angstrom
    return found


def _longest_distances(torus: Torus) -> NDArray[np.float64]:
    """Longest distance of a site in cell 0 and two atoms, Å, shape (n_sites, n_atoms, n_atoms)."""
    from ase.geometry import get_distances

    positions = torus.positions
    between = get_distances(positions, cell=torus.lattice, pbc=torus.crystal.periodic)[1]
    home = between[torus.n_cells * np.arange(torus.crystal.n_sites)]
    return np.asarray(np.maximum(np.maximum(home[:, :, None], home[:, None, :]), between[None]))
