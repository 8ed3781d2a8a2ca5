"""What the expansion leaves out changes the orders that it has: an error that no amount of data removes.

A fit takes forces that are left out for noise, as if they were independent. Yet a missing even order of the
energy acts, along the thermal displacements of the data, much like a change of order 2 does, and all frames
agree on it. How much is seen one step below: without its highest even order the same posterior would have
other parameters, and a known misfit. What is missing now is taken to act in the same way, in proportion to
its misfit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import solve_triangular

from mlff_dyn.model.harmonic_forces import is_of_order_2

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.model.force_field import ForceField


@dataclass(frozen=True)
class TruncationLimits:
    """Numbers that decide the error bars of order 2.

    Attributes
    ----------
    even_shares : tuple of float
        Share of the misfit that even orders of the energy make, which frames cannot tell from odd ones, that
        leave order 2 alone: where the highest order is 2, so the next one is odd; where it is odd; and where
        it is even or there is a local part, so clusters of even orders are missing as well as the next order.
        Half and twice of it change these error bars by 0.7 and 1.4. Copper (EMT) and silicon (Tersoff), each
        share for 1 to 4 frames at 300 K: frequencies err by 0.4 to 1.0, 0.9 to 1.2, 0.5 to 1.6 of them.
    harmonic_part : float
        Change of the forces of order 2 over the misfit that goes with it, where the model has no even order
        above 2. Copper and silicon at 300 K, order 4 left out: 0.5 to 0.9.
    least_relative : float
        Standard deviations smaller than so many times the largest one count as none.
    """

    even_shares: tuple[float, float, float] = (0.1, 1.0, 0.5)
    harmonic_part: float = 0.7
    least_relative: float = 1e-12


_LIMITS = TruncationLimits()


def truncation_change(force_field: ForceField) -> NDArray[np.float64]:
    """One standard deviation of what truncation does to the parameters, shape (n_parameters,).

    All of them change together, by this times one number of unit variance.

    Parameters
    ----------
    force_field : ForceField
    """
    posterior, noise = force_field.posterior, force_field.posterior.noise
    amplitude = noise.reference_amplitude
    left_out = float(noise.truncation_variance(amplitude)) * _even_share(force_field)
    if left_out <= 0.0:
        return np.zeros_like(posterior.mean)
    orders = force_field.expansion.parameter_orders
    even = [order for order in force_field.basis.orders if order > 2 and order % 2 == 0]
    if not even:
        trained = force_field.training.force_rms_ev_per_angstrom
        relative = _LIMITS.harmonic_part * np.sqrt(left_out) / trained
        return np.asarray(np.where(is_of_order_2(force_field.expansion), relative * posterior.mean, 0.0))
    change, misfit = _without(force_field, orders == even[-1])
    share = left_out / (misfit * float(noise.variance(amplitude))) if misfit > 0.0 else 0.0
    return np.asarray(np.sqrt(share) * change)


def _even_share(force_field: ForceField) -> float:
    highest = max(force_field.basis.orders)
    alone, odd, even = _LIMITS.even_shares
    if force_field.local is not None:
        return even
    if highest == 2:
        return alone
    return odd if highest % 2 else even


def _without(force_field: ForceField, left_out: NDArray[np.bool_]) -> tuple[NDArray[np.float64], float]:
    """Change of the others where some parameters are zero, and the misfit of a target, in its variances."""
    posterior = force_field.posterior
    directions, triangle = np.linalg.qr(posterior.covariance_factor[left_out].T)
    diagonal = np.abs(np.diag(triangle))
    if diagonal.min() <= _LIMITS.least_relative * max(1.0, diagonal.max()):
        return np.zeros_like(posterior.mean), 0.0
    steps = solve_triangular(triangle, posterior.mean[left_out], trans="T")
    change = -posterior.covariance_factor @ (directions @ steps)
    change[left_out] = 0.0
    return change, float(steps @ steps) / posterior.n_targets
