"""The average over a harmonic crystal by displacements and forces of another one, with weights.

    g(p) = g(p0) + L sum_k (w_k - 1) z_k,    w_k = rho_p(u_k) / rho_p0(u_k),  of mean 1

z_k is what displacements k leave in the normal equations at p0, and L takes their sum to the change of the
solution. That is the average over p as long as p and g(p0) are near p0, to second order in how far they are.
Weights have a Monte Carlo error of their own, which vanishes with the step, so a point that g maps onto
itself is a step to be looked at with displacements of its own, not a result. Sites stay where they are at p0;
where the forces there lead them is part of g.

References
----------
Errea, Calandra and Mauri, Phys. Rev. B 89, 064302 (2014), whose weights these are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.observables.effective.fixed_point import AndersonMixing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.observables.effective.gaussian_crystal import GaussianCrystal
    from mlff_dyn.observables.effective.self_consistent_crystal import Average, SelfConsistentCrystal


class Reweighting:
    """Averages from the displacements and forces of one.

    Parameters
    ----------
    found : Average
    noise : ndarray, shape (n_pairs, n_atoms, 3)
        That it was made with.
    """

    def __init__(self, found: Average, noise: NDArray[np.float64]) -> None:
        self._found = found
        self._waves = found.crystal.waves(noise)

    def weights(self, crystal: GaussianCrystal) -> NDArray[np.float64]:
        """Weights of the pairs for another crystal, of mean 1, shape (n_pairs,)."""
        logarithms = self._found.crystal.log_ratios(self._waves, crystal)
        weights = np.exp(logarithms - logarithms.max())
        return np.asarray(weights / weights.mean())

    def image(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Point that the average with these weights leads to."""
        return np.asarray(self._found.image + self._found.lever @ ((weights - 1.0) @ self._found.scores))


def effective_share(weights: NDArray[np.float64]) -> float:
    """How many samples without weights tell as much as these, over their number."""
    return float(weights.sum() ** 2 / (len(weights) * (weights @ weights)))


def reweighted_point(
    problem: SelfConsistentCrystal, point: NDArray[np.float64], found: Average, noise: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Self-consistent point by the weights of one average, or as far towards it as they tell enough.

    Parameters
    ----------
    problem : SelfConsistentCrystal
    point : ndarray, shape (n,)
        Of the average.
    found : Average
    noise : ndarray, shape (n_pairs, n_atoms, 3)
    """
    limits, metric = problem.limits, found.metric
    reweighting = Reweighting(found, noise)
    mixing = AndersonMixing(limits.damping, limits.n_history)
    image, target = found.image, limits.tolerance_of_weights * limits.tolerance * found.error_relative
    for _ in range(limits.n_iterations):
        residual = metric.forward(image - point)
        if float(np.linalg.norm(residual)) <= max(target, limits.rounding) * found.force_rms:
            break
        step = metric.back(mixing.step(metric.forward(point), residual))
        for halving in range(limits.n_halvings + 1):
            there = point + 0.5**halving * step
            weights = reweighting.weights(problem.crystal(there))
            if effective_share(weights) >= limits.least_share:
                break
        else:
            return point
        point, image = there, reweighting.image(weights)
    return point
