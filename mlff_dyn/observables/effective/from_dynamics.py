"""Effective force constants from the dynamics of the model: least squares of order 2 on its forces.

    F(u) - F_2(u) = f - Phi' u       over trajectories at constant temperature

Errors of the data, without further dynamics: forces are linear in the parameters theta of the model, and the
weight of a configuration changes by

    d ln w / d theta = -(dE/d theta - < dE/d theta >) / kT

so samples of theta are evaluated on the same configurations, once for their forces and once for the weights.

References
----------
Hellman, Abrikosov and Simak, Phys. Rev. B 84, 180301 (2011).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.observables.effective.averaged import Averaged, EffectiveSettings, monte_carlo_draws
from mlff_dyn.observables.effective.correction import BlockSums, Correction
from mlff_dyn.observables.effective.fixed_point import Metric
from mlff_dyn.observables.effective.limits import EFFECTIVE_LIMITS, EffectiveLimits
from mlff_dyn.observables.effective.potential import Potential
from mlff_dyn.observables.effective.trajectories import TrajectoryPlan, sampled_chunks
from mlff_dyn.units import BOLTZMANN_EV_PER_K

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mlff_dyn.kernels.harmonic import HarmonicTorus
    from mlff_dyn.md.chunks import Chunk
    from mlff_dyn.observables.sampled_phonons import SampledPhonons


def effective_from_dynamics(
    phonons: SampledPhonons,
    correction: Correction,
    settings: EffectiveSettings,
    plan: TrajectoryPlan,
    *,
    watch: Callable[[Chunk, int], None] = lambda *_: None,
    limits: EffectiveLimits = EFFECTIVE_LIMITS,
) -> Averaged:
    """Effective force constants of dynamics at a temperature.

    Parameters
    ----------
    phonons : SampledPhonons
    correction : Correction
    settings : EffectiveSettings
    plan : TrajectoryPlan
    watch : callable, optional
        See `sampled_chunks`.
    limits : EffectiveLimits
    """
    torus = phonons.torus
    potential = Potential(phonons.force_field.expansion, phonons.parameters[0], torus)
    frames = _frames(potential, phonons, settings.temperature_kelvin, plan, watch)
    sums = BlockSums(limits.n_blocks, correction.n_parameters, limits.singular)
    for number, u in enumerate(frames):
        forces = potential.anharmonic(u)[1]
        sums.add(number * limits.n_blocks // len(frames), correction.rows(u), forces.ravel())
    deviations = sums.deviations()
    stride = -(-len(frames) // limits.configurations_for_data)
    some = frames[::stride]
    thermal = BOLTZMANN_EV_PER_K * settings.temperature_kelvin
    changes, harmonics = _data_changes(phonons, correction, some, sums.solution, thermal)
    harmonic = potential.harmonic.plus(correction.harmonic(sums.solution))
    squares = [np.mean(harmonic.energy_forces(u)[1] ** 2) for u in some]
    metric = Metric(sums.gram / (3 * torus.n_atoms * len(frames)))

    def effective(change: NDArray[np.float64], rest: HarmonicTorus) -> HarmonicTorus:
        return rest.plus(correction.harmonic(sums.solution + change))

    drawn = monte_carlo_draws(deviations, phonons.n_samples, settings.seed)
    return Averaged(
        harmonic=harmonic,
        of_data=[effective(change, own) for change, own in zip(changes, harmonics, strict=True)],
        of_monte_carlo=[effective(change, potential.harmonic) for change in drawn],
        center=frames.mean(axis=0).reshape(torus.crystal.n_sites, -1, 3).mean(axis=1),
        n_configurations=len(frames),
        error_relative=metric.length(deviations) / float(np.sqrt(np.mean(squares))),
        is_converged=True,
    )


def _frames(
    potential: Potential,
    phonons: SampledPhonons,
    temperature_kelvin: float,
    plan: TrajectoryPlan,
    watch: Callable[[Chunk, int], None],
) -> NDArray[np.float64]:
    """Displacements of all replicas, one after the other, shape (n_frames, n_atoms, 3), Å."""
    found: list[list[NDArray[np.float64]]] = [[] for _ in range(plan.n_replicas)]
    for replica, chunk in sampled_chunks(potential.kernel, phonons.torus, temperature_kelvin, plan, watch):
        found[replica].append(chunk.run.displacements)
    return np.concatenate([each for replica in found for each in replica])


def _data_changes(
    phonons: SampledPhonons,
    correction: Correction,
    frames: NDArray[np.float64],
    solution: NDArray[np.float64],
    thermal_energy: float,
) -> tuple[NDArray[np.float64], list[HarmonicTorus]]:
    """Change of the correction for each sample of the posterior, shape (n_samples, n), and its order 2."""
    expansion = phonons.force_field.expansion
    harmonics = []
    energies = np.empty((len(phonons.parameters), len(frames)))
    forces = np.empty((len(phonons.parameters), len(frames), frames[0].size))
    for k, parameters in enumerate(phonons.parameters):
        potential = Potential(expansion, parameters, phonons.torus)
        for s, u in enumerate(frames):
            energies[k, s], found = potential.anharmonic(u)
            forces[k, s] = found.ravel()
        harmonics.append(potential.harmonic)
    energies = energies[1:] - energies[0]
    weights = -(energies - energies.mean(axis=1, keepdims=True)) / thermal_energy
    sums = BlockSums(1, correction.n_parameters, EFFECTIVE_LIMITS.singular)
    moments = np.zeros((phonons.n_samples, correction.n_parameters))
    for s, u in enumerate(frames):
        rows = correction.rows(u)
        residual = rows.T @ (forces[0, s] - rows @ solution)
        moments += (forces[1:, s] - forces[0, s]) @ rows + weights[:, s, None] * residual
        sums.add(0, rows, forces[0, s])
    return np.asarray(moments @ sums.inverse), harmonics[1:]
