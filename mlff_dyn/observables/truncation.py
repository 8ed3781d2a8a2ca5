"""What the expansion leaves out changes the parameters that it has: an error that no amount of data removes.

A fit takes forces that are left out for noise, as if they were independent. Yet a missing even order of the
energy acts, along the thermal displacements of the data, much like a change of order 2 does, and all frames
agree on it. How much is seen one step below: without the highest that the expansion has, the same posterior
would have other parameters, and a known misfit. What is missing now is taken to act in the same way, in
proportion to its misfit. A polynomial ends with its highest even order. A local part ends in several ways,
with the functions of most bodies, of the highest degrees, and of the last radial functions, and any of them
may be what is missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import orth, solve_triangular

from mlff_dyn.model.harmonic_forces import is_of_order_2

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.local.basis import LocalBasis
    from mlff_dyn.model.force_field import ForceField
    from mlff_dyn.regression.fit.posterior import Posterior


@dataclass(frozen=True)
class TruncationLimits:
    """Numbers that decide the error bars of order 2.

    Attributes
    ----------
    even_shares : tuple of float
        Share of the misfit that even orders of the energy make, which frames cannot tell from odd ones, that
        leave order 2 alone, where a polynomial is all there is: where the highest order is 2, so the next one
        is odd; where it is odd; and where it is even, so clusters of even orders are missing as well as the
        next order. Half and twice of it change these error bars by 0.7 and 1.4. Copper (EMT) and silicon
        (Tersoff), each share for 1 to 4 frames at 300 K: frequencies err by 0.4 to 1.0, 0.9 to 1.2, 0.5 to
        1.6 of them.
    harmonic_part : float
        Change of the forces of order 2 over the misfit that goes with it, where the model has no even order
        above 2. Copper and silicon at 300 K, order 4 left out: 0.5 to 0.9.
    n_last : int
        Degrees and radial functions that a local part is looked at without, at most: without the last, and
        without the last two. With 1 frequencies of copper (EMT) and silicon err by 1.2 of these error bars in
        the mean over 2 to 8 frames, with 2 by 1.1, and their elastic constants by 0.7 and 0.6.
    least_relative : float
        Standard deviations smaller than so many times the largest one count as none.
    """

    even_shares: tuple[float, float, float] = (0.1, 1.0, 0.5)
    harmonic_part: float = 0.7
    n_last: int = 2
    least_relative: float = 1e-12


_LIMITS = TruncationLimits()


@lru_cache(maxsize=1)
def truncation_changes(force_field: ForceField) -> NDArray[np.float64]:
    """Standard deviations of what truncation does to the parameters, shape (n_parameters, n_changes).

    All parameters change together, by each column times a number of unit variance of its own. Those of the
    force field that was asked for last are kept: many error bars are made of them.

    Parameters
    ----------
    force_field : ForceField
    """
    posterior, noise = force_field.posterior, force_field.posterior.noise
    amplitude = noise.reference_amplitude
    left_out = float(noise.truncation_variance(amplitude)) * _even_share(force_field)
    if left_out <= 0.0:
        return np.zeros((len(posterior.mean), 1))
    parts = _last_parts(force_field)
    if not parts:
        trained = force_field.training.force_rms_ev_per_angstrom
        relative = _LIMITS.harmonic_part * np.sqrt(left_out) / trained
        return np.where(is_of_order_2(force_field.expansion), relative * posterior.mean, 0.0)[:, None]
    changes = []
    for part in parts:
        change, misfit = _without(posterior, *part)
        share = left_out / (misfit * float(noise.variance(amplitude))) if misfit > 0.0 else 0.0
        changes.append(np.sqrt(share / len(parts)) * change)
    columns = np.column_stack(changes)
    if force_field.local is None:
        columns[_is_last_even(force_field)] = 0.0
    return columns


def _even_share(force_field: ForceField) -> float:
    if force_field.local is not None:
        return 1.0
    highest = max(force_field.basis.orders)
    alone, odd, even = _LIMITS.even_shares
    if highest == 2:
        return alone
    return odd if highest % 2 else even


_Part = tuple["NDArray[np.float64]", "NDArray[np.float64]"]
"""Factor, shape (n, n_parameters), and mean, shape (n,), of the posterior of combinations of parameters."""


def _last_parts(force_field: ForceField) -> list[_Part]:
    """What the expansion ends with, in each respect."""
    factor, mean, local = (
        force_field.posterior.covariance_factor,
        force_field.posterior.mean,
        force_field.local,
    )
    if local is None:
        last = _is_last_even(force_field)
        return [(factor[last], mean[last])] if last.any() else []
    own = slice(len(mean) - local.n_parameters, None)
    parts = []
    for last in _last_functions(local):
        if local.structure is None:
            parts.append((factor[own][last], mean[own][last]))
        else:
            independent = orth(local.structure[last].T).T
            parts.append((independent @ factor[own], independent @ mean[own]))
    return parts


def _is_last_even(force_field: ForceField) -> NDArray[np.bool_]:
    """Parameters of the highest even order above 2."""
    orders = force_field.expansion.parameter_orders
    return np.asarray((orders > 2) & (orders == orders[orders % 2 == 0].max(initial=0)))


def _last_functions(local: LocalBasis) -> list[NDArray[np.bool_]]:
    last = [local.bodies == local.bodies.max()]
    for values in (local.degrees, local.radial_indices.max(axis=1)):
        last += [values > values.max() - step for step in range(1, _LIMITS.n_last + 1)]
    return [each for each in last if not each.all()] or last[:1]


def _without(
    posterior: Posterior, factor: NDArray[np.float64], mean: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """Change of the parameters where combinations vanish, and the misfit of a target, in its variances."""
    directions, triangle = np.linalg.qr(factor.T)
    diagonal = np.abs(np.diag(triangle))
    if diagonal.min() <= _LIMITS.least_relative * max(1.0, diagonal.max()):
        return np.zeros_like(posterior.mean), 0.0
    steps = solve_triangular(triangle, mean, trans="T")
    change = -posterior.covariance_factor @ (directions @ steps)
    return change, float(steps @ steps) / posterior.n_targets
