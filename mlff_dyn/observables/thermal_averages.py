"""How thermal averages depend on the parameters of a linear model, from one trajectory.

The energy is linear in the parameters theta, and samples follow exp(-E / kT), so

    d<A>/dtheta = <dA/dtheta> - cov(A, dE/dtheta) / kT
    d cov(A, B)/dtheta = cov(dA/dtheta, B) + cov(A, dB/dtheta) - k(A, B, dE/dtheta) / kT

k being the third cumulant. A gradient g and the covariance S of the posterior give the standard deviation
(g S g)^(1/2) that the data leave, without further dynamics. The Monte Carlo error is that of the mean of a
correlated series; a covariance is the mean of products of deviations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.md.correlated_means import correlated_mean

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class ThermalAverage:
    """A quantity that follows from samples.

    Attributes
    ----------
    value : float
    statistical_error : float                        Monte Carlo error, one standard deviation
    gradient : ndarray, shape (n_parameters,)        by the parameters
    """

    value: float
    statistical_error: float
    gradient: NDArray[np.float64]


def thermal_mean(
    series: NDArray[np.float64],
    slopes: NDArray[np.float64] | None,
    energy_slopes: NDArray[np.float64],
    thermal_energy: float,
) -> ThermalAverage:
    """Mean of a quantity A.

    Parameters
    ----------
    series : ndarray, shape (n_samples,)                          A
    slopes : ndarray, shape (n_any, n_parameters), or None
        dA/dtheta, of all samples or of some; None: A is known without parameters.
    energy_slopes : ndarray, shape (n_samples, n_parameters)      dE/dtheta
    thermal_energy : float                                        kT, in the unit of E
    """
    gradient = -covariances(series, energy_slopes) / thermal_energy
    if slopes is not None:
        gradient = gradient + slopes.mean(axis=0)
    return ThermalAverage(float(series.mean()), statistical_error(series), gradient)


def thermal_covariance(
    pair: tuple[NDArray[np.float64], NDArray[np.float64]],
    slopes: tuple[NDArray[np.float64], NDArray[np.float64]],
    energy_slopes: NDArray[np.float64],
    thermal_energy: float,
) -> ThermalAverage:
    """Covariance of two quantities A and B.

    Parameters
    ----------
    pair : tuple of ndarray, shape (n_samples,)                     A and B
    slopes : tuple of ndarray, shape (n_samples, n_parameters)      dA/dtheta and dB/dtheta
    energy_slopes : ndarray, shape (n_samples, n_parameters)
    thermal_energy : float
    """
    products = np.prod([each - each.mean() for each in pair], axis=0)
    gradient = covariances(pair[1], slopes[0]) + covariances(pair[0], slopes[1])
    gradient = gradient - covariances(products, energy_slopes) / thermal_energy
    return ThermalAverage(float(products.mean()), statistical_error(products), gradient)


def covariances(series: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Covariance of a series, shape (n_samples,), with each of others, shape (n_samples, n_others)."""
    return np.asarray((series - series.mean()) @ (others - others.mean(axis=0)) / len(series))


def statistical_error(series: NDArray[np.float64]) -> float:
    """Monte Carlo error of the mean of a correlated series; infinite where it is too short to know."""
    found = correlated_mean(series[None]).statistical_error
    return np.inf if found is None else found
