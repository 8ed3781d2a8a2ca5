"""Errors of a self-consistent crystal: its own response to what changes the average."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.observables.effective.fixed_point import propagated
from mlff_dyn.observables.effective.potential import Potential

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.kernels.harmonic import HarmonicTorus
    from mlff_dyn.observables.effective.self_consistent_crystal import Average, SelfConsistentCrystal
    from mlff_dyn.observables.sampled_phonons import SampledPhonons


@dataclass(frozen=True, eq=False)
class PropagatedErrors:
    """Changes of the self-consistent point.

    Attributes
    ----------
    of_monte_carlo : ndarray, shape (n_blocks, n)   their products add up to the covariance
    of_data : ndarray, shape (n_samples, n)         for each sample of the posterior
    harmonics : list of HarmonicTorus               order 2 at rest of each sample
    energies : ndarray, shape (n_samples,)          change of the free energy of all atoms, eV
    """

    of_monte_carlo: NDArray[np.float64]
    of_data: NDArray[np.float64]
    harmonics: list[HarmonicTorus]
    energies: NDArray[np.float64]


def propagate_errors(
    problem: SelfConsistentCrystal,
    phonons: SampledPhonons,
    point: NDArray[np.float64],
    noise: NDArray[np.float64],
    last: Average,
) -> PropagatedErrors:
    """Carry the errors of the average over to the self-consistent point.

    Parameters
    ----------
    problem : SelfConsistentCrystal
    phonons : SampledPhonons
    point : ndarray, shape (n,)
    noise : ndarray, shape (n_pairs, n_atoms, 3)
    last : Average
        At the point, with all noise.
    """
    here = problem.average(point, noise)
    moved = np.repeat(problem.center(point), problem.torus.n_cells, axis=0)
    drawn = [moved + sign * u for u in here.crystal.displacements(noise) for sign in (1.0, -1.0)]
    own = np.array([problem.potential.kernel.energy_forces(u)[0] for u in drawn])
    changes, energies, harmonics = [], [], []
    for parameters in phonons.parameters[1:]:
        other = Potential(phonons.force_field.expansion, parameters, problem.torus)
        changes.append(problem.average(point, noise, other).image - here.image)
        energies.append(np.mean([other.kernel.energy_forces(u)[0] for u in drawn] - own))
        harmonics.append(other.harmonic)
    vectors = last.metric.forward(np.vstack([last.deviations, changes]))
    lengths = np.linalg.norm(vectors, axis=1)
    step = max(float(np.median(lengths)), problem.limits.rounding * last.force_rms)

    def slope(direction: NDArray[np.float64]) -> NDArray[np.float64]:
        there = point + last.metric.back(step * direction)
        return last.metric.forward(problem.average(there, noise).image - here.image) / step

    found = last.metric.back(propagated(vectors, slope))
    of_monte_carlo, of_data = np.split(found, [len(last.deviations)])
    return PropagatedErrors(of_monte_carlo, of_data, harmonics, np.array(energies))
