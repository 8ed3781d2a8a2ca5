"""Self-consistent phonons: the harmonic crystal whose own thermal motion averages the forces to its own.

    Phi = < d^2 V / du du >,   < F > = 0     over the displacements of the crystal with these force constants

It has the lowest free energy, F_vib(Phi) + < V - u Phi u / 2 >, of all harmonic crystals, an upper bound of
the true one; so what parameters of V change of it is < dV / dtheta >. The average is a least-squares fit of
forces to displacements, which for normal displacements is the mean of the second derivatives. Displacements
come from white noise that stays the same through the iterations, in pairs of opposite ones: the equations
are smooth and are solved to the end, and what is left is the error of the average alone. Errors by Monte
Carlo and of the data go through the response J of the average to the force constants, (1 - J)^-1.

References
----------
Errea, Calandra and Mauri, Phys. Rev. B 89, 064302 (2014); Bianco et al., Phys. Rev. B 96, 014111 (2017).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.observables.effective.averaged import Averaged, EffectiveSettings, monte_carlo_draws
from mlff_dyn.observables.effective.fixed_point import AndersonMixing
from mlff_dyn.observables.effective.limits import EFFECTIVE_LIMITS, EffectiveLimits
from mlff_dyn.observables.effective.response import propagate_errors
from mlff_dyn.observables.effective.reweighting import reweighted_point
from mlff_dyn.observables.effective.self_consistent_crystal import SelfConsistentCrystal

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mlff_dyn.observables.effective.correction import Correction
    from mlff_dyn.observables.effective.self_consistent_crystal import Average
    from mlff_dyn.observables.sampled_phonons import SampledPhonons


def self_consistent(
    phonons: SampledPhonons,
    correction: Correction,
    settings: EffectiveSettings,
    *,
    tell: Callable[[int, float], None] = lambda *_: None,
    limits: EffectiveLimits = EFFECTIVE_LIMITS,
) -> Averaged:
    """Self-consistent phonons at a temperature.

    Parameters
    ----------
    phonons : SampledPhonons
    correction : Correction
    settings : EffectiveSettings
    tell : callable, optional
        Called with the number of configurations that were averaged over and the relative error of that.
    limits : EffectiveLimits
    """
    problem = SelfConsistentCrystal(phonons, correction, settings, limits)
    rest = problem.potential.harmonic
    point, n_pairs = np.zeros(correction.n_parameters), limits.first_pairs
    while True:
        noise = problem.noise(n_pairs)
        point, last, is_converged = _solve(problem, point, noise)
        tell(2 * n_pairs, last.error_relative)
        most = max(n_pairs, settings.most_configurations // 2)
        growth = (limits.margin * last.error_relative / settings.error_limit_relative) ** 2
        wanted = int(min(most, n_pairs * min(growth, limits.largest_growth)))
        is_enough = last.error_relative <= settings.error_limit_relative or wanted <= n_pairs
        if is_enough or not is_converged:
            break
        n_pairs = wanted
    few = noise[: limits.pairs_for_response]
    found = propagate_errors(problem, phonons, point, few, last)
    drawn = monte_carlo_draws(found.of_monte_carlo, phonons.n_samples, settings.seed)
    n_cells, calibration = phonons.torus.n_cells, phonons.force_field.calibration
    statistical = float(np.std(last.energies, ddof=1)) / np.sqrt(n_pairs)
    of_data = calibration * float(np.std(found.energies, ddof=1))
    return Averaged(
        harmonic=rest.plus(correction.harmonic(point)),
        of_data=[
            own.plus(correction.harmonic(point + change))
            for own, change in zip(found.harmonics, found.of_data, strict=True)
        ],
        of_monte_carlo=[rest.plus(correction.harmonic(point + change)) for change in drawn],
        center=problem.center(point),
        n_configurations=2 * n_pairs,
        error_relative=last.metric.length(found.of_monte_carlo) / last.force_rms,
        is_converged=is_converged and not last.crystal.n_slow,
        energies=(float(last.energies.mean()) / n_cells, statistical / n_cells, of_data / n_cells),
    )


def _solve(
    problem: SelfConsistentCrystal, point: NDArray[np.float64], noise: NDArray[np.float64]
) -> tuple[NDArray[np.float64], Average, bool]:
    """Iterate with the same noise until what is left is small beside its Monte Carlo error.

    Many displacements tell by weights where the next ones are to be, see `reweighted_point`.
    Modes that are slower than displacements are drawn with, or imaginary, are drawn slower from step to step,
    so their amplitude grows until it makes them real.
    """
    limits = problem.limits
    mixing = AndersonMixing(limits.damping, limits.n_history)
    is_told = len(noise) >= limits.pairs_per_mode * 3 * problem.torus.n_atoms
    smallest, n_in_vain, metric = np.inf, 0, None
    for _ in range(limits.n_iterations):
        found = problem.average(point, noise)
        metric = metric or found.metric
        residual = found.image - point
        size = found.metric.length(residual[None])
        can_lower = found.crystal.n_slow and problem.least_thz > limits.least_thz
        if can_lower and problem.crystal(found.image).n_slow:
            problem.least_thz = max(limits.least_thz, limits.lowering * problem.least_thz)
            mixing.forget()
        elif (
            not can_lower
            and size <= max(limits.tolerance * found.error_relative, limits.rounding) * found.force_rms
        ):
            return point, found, True
        if found.far_share > limits.most_far:
            return point, found, False
        n_in_vain = 0 if size < smallest else n_in_vain + 1
        smallest = min(smallest, size)
        if is_told and not can_lower and n_in_vain < limits.most_in_vain:
            point = reweighted_point(problem, point, found, noise)
            mixing.forget()
            continue
        step = metric.back(mixing.step(metric.forward(point), metric.forward(residual)))
        share = _safe_share(problem, point, step, found)
        if share < 1.0:
            mixing.forget()
        point = point + share * step
    return point, found, False


def _safe_share(
    problem: SelfConsistentCrystal, point: NDArray[np.float64], step: NDArray[np.float64], found: Average
) -> float:
    """Share of a step by which no mode becomes soft at once."""
    share, limits = 1.0, problem.limits
    for _ in range(limits.n_halvings):
        squares = problem.crystal(point + share * step).squares
        if (squares >= limits.least_ratio * found.crystal.squares).all():
            break
        share *= 0.5
    return share
