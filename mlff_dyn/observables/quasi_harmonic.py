"""Thermal expansion by the quasi-harmonic free energy.

    G(x, T) = H(x) + F(x, T)

with the enthalpy H of the crystal at rest under the symmetric strain x, and the free energy F of its phonons
there, quantum or classical, to second order in x about the unstrained crystal. The least G gives x(T), and
its derivative the coefficients of expansion. Modes are those of phonopy on a mesh.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import DataError
from mlff_dyn.observables.harmonic_properties import coarse_mesh
from mlff_dyn.observables.strained_phonons import StrainedPhonons
from mlff_dyn.observables.thermal_sums import thermal_sums

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from phonopy import Phonopy

    from mlff_dyn.observables.rest_energy import RestEnergy
    from mlff_dyn.observables.sampled_phonons import SampledPhonons


@dataclass(frozen=True)
class QuasiHarmonicLimits:
    """How the least free energy is found.

    Attributes
    ----------
    strain : float
        Amount of a symmetric strain for the derivatives of the free energy of phonons.
    temperature_share : float
        Step of the temperature for the derivative of the strain, over the temperature.
    n_steps : int
        Of Newton's method with the curvature of the temperature before; each one divides the error by ten.
    tolerance : float          of the strain
    largest : float            step of the strain beyond which there is no minimum
    """

    strain: float = 0.006
    temperature_share: float = 0.02
    n_steps: int = 40
    tolerance: float = 1e-8
    largest: float = 0.1


_LIMITS = QuasiHarmonicLimits()
STATISTICS = ("quantum", "classical")


@dataclass(frozen=True, eq=False)
class QuasiHarmonic:
    """Quasi-harmonic thermal expansion.

    Attributes
    ----------
    temperatures_kelvin : ndarray, shape (n_temperatures,)
    amounts : ndarray, shape (n_temperatures, n_strains)            of the symmetric strains
    rates : ndarray, shape (n_temperatures, n_strains)              by the temperature, 1/K
    amount_samples, rate_samples : ndarray, shape (n_samples, n_temperatures, n_strains)
        What they differ by in samples of the posterior, not calibrated.
    """

    temperatures_kelvin: NDArray[np.float64]
    amounts: NDArray[np.float64]
    rates: NDArray[np.float64]
    amount_samples: NDArray[np.float64]
    rate_samples: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Phonons:
    """Slope and curvature of the free energy by strain at several temperatures, eV for a primitive cell."""

    slopes: NDArray[np.float64]
    curvatures: NDArray[np.float64]


def quasi_harmonic(
    phonons: SampledPhonons,
    rest: RestEnergy,
    mesh: Sequence[int],
    temperatures_kelvin: Sequence[float],
    tell: Callable[[int], None] = lambda _: None,
) -> dict[str, QuasiHarmonic]:
    """Find the strain of least free energy, by the names of `STATISTICS`.

    Parameters
    ----------
    phonons : SampledPhonons
    rest : RestEnergy
    mesh : sequence of int
        The coarse one of it is taken for samples.
    temperatures_kelvin : sequence of float
        Above zero.
    tell : callable, optional
        Called with the number of samples that are done.

    Raises
    ------
    DataError
        If there is no least free energy.
    """
    around = _around(phonons, len(rest.strains), rest)
    kelvin = np.array(temperatures_kelvin, dtype=np.float64)
    share = _LIMITS.temperature_share
    three = np.concatenate([kelvin, (1.0 - share) * kelvin, (1.0 + share) * kelvin])
    coarse = coarse_mesh(mesh)

    def measure(number: int, wanted: Sequence[int]) -> dict[str, _Phonons]:
        return {
            each: _derivatives(around, number, wanted, three, is_classical=each == "classical")
            for each in STATISTICS
        }

    mean, first = measure(0, mesh), measure(0, coarse)
    found = {each: _least(rest, mean[each], three) for each in STATISTICS}
    samples: dict[str, list[NDArray[np.float64]]] = {each: [] for each in STATISTICS}
    inverses = {each: _inverse_curvatures(rest, mean[each], found[each]) for each in STATISTICS}
    changed = {each: [rest.slope_rows(amounts) for amounts in found[each]] for each in STATISTICS}
    for number in range(1, phonons.n_samples + 1):
        sampled = measure(number, coarse)
        moved = phonons.parameters[number] - phonons.parameters[0]
        for each in STATISTICS:
            slopes = sampled[each].slopes - first[each].slopes
            slopes = slopes + np.array([rows[:, : len(moved)] @ moved for rows in changed[each]])
            samples[each].append(-np.einsum("tij,tj->ti", inverses[each], slopes))
        tell(number)
    return {each: _result(kelvin, found[each], np.array(samples[each])) for each in STATISTICS}


def _result(
    kelvin: NDArray[np.float64], amounts: NDArray[np.float64], samples: NDArray[np.float64]
) -> QuasiHarmonic:
    n, steps = len(kelvin), 2.0 * _LIMITS.temperature_share * kelvin[:, None]
    return QuasiHarmonic(
        kelvin,
        amounts[:n],
        (amounts[2 * n :] - amounts[n : 2 * n]) / steps,
        samples[:, :n],
        (samples[:, 2 * n :] - samples[:, n : 2 * n]) / steps,
    )


def _around(
    phonons: SampledPhonons, n_strains: int, rest: RestEnergy
) -> dict[tuple[int, ...], Callable[[int], Phonopy]]:
    """Phonons at no strain, at each one and its negative, and at the sums of two."""
    steps = [tuple(row) for row in np.vstack([np.eye(n_strains), -np.eye(n_strains)]).astype(int).tolist()]
    for i in range(n_strains):
        steps += [tuple(int(k in (i, j)) for k in range(n_strains)) for j in range(i)]
    found: dict[tuple[int, ...], Callable[[int], Phonopy]] = {(0,) * n_strains: phonons.choose}
    for each in steps:
        found[each] = StrainedPhonons(phonons, rest.strain(_LIMITS.strain * np.array(each))).choose
    return found


def _derivatives(
    around: dict[tuple[int, ...], Callable[[int], Phonopy]],
    number: int,
    mesh: Sequence[int],
    kelvin: NDArray[np.float64],
    *,
    is_classical: bool,
) -> _Phonons:
    values = {
        step: thermal_sums(choose(number), mesh, kelvin, is_classical=is_classical)["free_energy"]
        for step, choose in around.items()
    }
    n, h = len(next(iter(around))), _LIMITS.strain
    units = np.eye(n, dtype=int)
    none = values[(0,) * n]
    there, back = ([values[tuple((sign * row).tolist())] for row in units] for sign in (1, -1))
    slopes = np.array([(a - b) / (2.0 * h) for a, b in zip(there, back, strict=True)]).T
    curvatures = np.zeros((len(kelvin), n, n))
    for i in range(n):
        curvatures[:, i, i] = (there[i] + back[i] - 2.0 * none) / h**2
        for j in range(i):
            both = values[tuple((units[i] + units[j]).tolist())]
            mixed = both - there[i] - there[j] + none
            curvatures[:, i, j] = curvatures[:, j, i] = mixed / h**2
    return _Phonons(slopes, curvatures)


def _least(rest: RestEnergy, phonons: _Phonons, kelvin: NDArray[np.float64]) -> NDArray[np.float64]:
    """Amounts of least free energy at each temperature, shape (n_temperatures, n_strains)."""
    found, amounts = np.empty((len(kelvin), len(rest.strains))), rest.amounts
    for k in np.argsort(kelvin):
        curvature = rest.curvature(amounts) + phonons.curvatures[k]
        for _ in range(_LIMITS.n_steps):
            slope = rest.slope(amounts) + phonons.slopes[k] + phonons.curvatures[k] @ amounts
            change = np.linalg.solve(curvature, -slope)
            amounts = amounts + change
            if not _LIMITS.tolerance < np.abs(change).max() < _LIMITS.largest:
                break
        if np.linalg.eigvalsh(curvature)[0] <= 0.0 or not np.abs(change).max() <= _LIMITS.tolerance:
            raise DataError(
                f"the quasi-harmonic free energy has no minimum at {kelvin[k]:.0f} K",
                fix="lower thermodynamics.temperatures_kelvin, or leave expansion out of its quantities",
            )
        found[k] = amounts
    return found


def _inverse_curvatures(
    rest: RestEnergy, phonons: _Phonons, amounts: NDArray[np.float64]
) -> NDArray[np.float64]:
    of_rest = np.array([rest.curvature(each) for each in amounts])
    return np.linalg.inv(of_rest + phonons.curvatures).astype(np.float64)
