"""Thermal expansion by the quasi-harmonic free energy.

    G(x, T) = H(x) + F(x, T)

with the enthalpy H of the crystal at rest under the symmetric strain x, and the free energy F of its phonons
there, quantum or classical. F is known to second order about the points of a grid of strains; the least G
about the point that is nearest to it gives x(T), and its derivative the coefficients of expansion. About the
unstrained crystal alone, aluminum of EMT would expand by 8 % too much at 300 K, by 39 % at 600 K. Modes are
those of phonopy on a mesh.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import DataError
from mlff_dyn.observables.harmonic_properties import coarse_mesh
from mlff_dyn.observables.strained_phonons import StrainedPhonons
from mlff_dyn.observables.thermal_sums import thermal_sums

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from mlff_dyn.observables.rest_energy import RestEnergy
    from mlff_dyn.observables.sampled_phonons import SampledPhonons


@dataclass(frozen=True)
class QuasiHarmonicLimits:
    """How the least free energy is found.

    Attributes
    ----------
    strain : float
        Step of the grid of strains.
    temperature_share : float
        Step of the temperature for the derivative of the strain, over the temperature.
    most_steps : int
        Steps of the grid from one point to the next, along each strain.
    settled : float
        Steps of the grid within which the least free energy stays; above a half, below one.
    n_newton : int
        Of Newton's method with the curvature of the point; each one divides the error by ten.
    tolerance : float          of the strain
    largest : float            strain beyond which there is no minimum
    """

    strain: float = 0.006
    temperature_share: float = 0.02
    most_steps: int = 2
    settled: float = 0.75
    n_newton: int = 40
    tolerance: float = 1e-8
    largest: float = 0.1


_LIMITS = QuasiHarmonicLimits()
CLASSICAL = "classical"
STATISTICS = ("quantum", CLASSICAL)
Point = tuple[int, ...]


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
    """Free energy of phonons on a grid of strains, eV for a primitive cell.

    Attributes
    ----------
    phonons : SampledPhonons
    rest : RestEnergy
    is_classical : bool
    kelvin : ndarray, shape (n_temperatures, 3)       each with one below and one above
    strained : dict
        By the point of the grid; filled as they are asked for.
    known : dict
        Free energies by point, sample and mesh.
    """

    phonons: SampledPhonons
    rest: RestEnergy
    is_classical: bool
    kelvin: NDArray[np.float64]
    strained: dict[Point, StrainedPhonons]
    known: dict[tuple[Point, int, Sequence[int]], NDArray[np.float64]] = field(default_factory=dict)

    def free_energy(self, point: Point, number: int, mesh: Sequence[int]) -> NDArray[np.float64]:
        """Of a sample at all temperatures, shape as ``kelvin``."""
        key = (point, number, mesh)
        if key not in self.known:
            if point not in self.strained:
                strain = self.rest.strain(_LIMITS.strain * np.array(point))
                self.strained[point] = StrainedPhonons(self.phonons, strain)
            phonon, kelvin = self.strained[point].choose(number), self.kelvin.ravel()
            found = thermal_sums(phonon, mesh, kelvin, is_classical=self.is_classical)["free_energy"]
            self.known[key] = found.reshape(self.kelvin.shape)
        return self.known[key]

    def slope(self, point: Point, number: int, mesh: Sequence[int]) -> NDArray[np.float64]:
        """By the strains, shape (n_temperatures, 3, n_strains)."""
        every = [
            self.free_energy(_moved(point, row), number, mesh)
            - self.free_energy(_moved(point, -row), number, mesh)
            for row in np.eye(len(point), dtype=int)
        ]
        return np.stack(every, axis=-1) / (2.0 * _LIMITS.strain)

    def curvature(self, point: Point, mesh: Sequence[int]) -> NDArray[np.float64]:
        """Second derivatives, shape (n_temperatures, 3, n_strains, n_strains)."""
        n, units = len(point), np.eye(len(point), dtype=int)
        found = np.zeros((*self.kelvin.shape, n, n))
        here, *there = (
            self.free_energy(_moved(point, row), 0, mesh) for row in np.vstack([0 * units[:1], units])
        )
        for i in range(n):
            found[..., i, i] = there[i] + self.free_energy(_moved(point, -units[i]), 0, mesh) - 2.0 * here
            for j in range(i):
                both = self.free_energy(_moved(point, units[i] + units[j]), 0, mesh)
                found[..., i, j] = found[..., j, i] = both - there[i] - there[j] + here
        return found / _LIMITS.strain**2


def _moved(point: Point, steps: NDArray[np.int64]) -> Point:
    return tuple((np.array(point) + steps).tolist())


@dataclass(frozen=True, eq=False)
class _Least:
    """Least free energy at a temperature.

    Attributes
    ----------
    point : tuple of int
        Of the grid, about which phonons are expanded.
    amounts : ndarray, shape (3, n_strains)
        There, and at the temperatures below and above.
    inverse : ndarray, shape (3, n_strains, n_strains)
        Of the second derivatives of the free energy.
    rows : ndarray, shape (3, n_strains, n_parameters)
        Derivatives of the slope of the enthalpy at rest by the parameters.
    """

    point: Point
    amounts: NDArray[np.float64]
    inverse: NDArray[np.float64]
    rows: NDArray[np.float64]


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
    kelvin, share = np.array(temperatures_kelvin, dtype=np.float64), _LIMITS.temperature_share
    three = kelvin[:, None] * np.array([1.0, 1.0 - share, 1.0 + share])
    strained: dict[Point, StrainedPhonons] = {}
    every = {name: _Phonons(phonons, rest, name == CLASSICAL, three, strained) for name in STATISTICS}
    wanted, coarse = tuple(mesh), tuple(coarse_mesh(mesh))
    found = {name: _least(each, wanted) for name, each in every.items()}
    samples: dict[str, list[NDArray[np.float64]]] = {name: [] for name in STATISTICS}
    for number in range(1, phonons.n_samples + 1):
        for name, each in every.items():
            samples[name].append(_change(each, found[name], number, coarse))
        tell(number)
    return {name: _result(kelvin, found[name], np.array(samples[name])) for name in STATISTICS}


def _result(
    kelvin: NDArray[np.float64], found: Sequence[_Least], samples: NDArray[np.float64]
) -> QuasiHarmonic:
    amounts, steps = np.array([each.amounts for each in found]), 2.0 * _LIMITS.temperature_share * kelvin
    return QuasiHarmonic(
        kelvin,
        amounts[:, 0],
        (amounts[:, 2] - amounts[:, 1]) / steps[:, None],
        samples[:, :, 0],
        (samples[:, :, 2] - samples[:, :, 1]) / steps[:, None],
    )


def _change(
    phonons: _Phonons, found: Sequence[_Least], number: int, mesh: Sequence[int]
) -> NDArray[np.float64]:
    """What the least free energies of a sample differ by, shape (n_temperatures, 3, n_strains)."""
    parameters = phonons.phonons.parameters
    moved, changes = parameters[number] - parameters[0], []
    for k, least in enumerate(found):
        slopes = phonons.slope(least.point, number, mesh)[k] - phonons.slope(least.point, 0, mesh)[k]
        changes.append(-np.einsum("tij,tj->ti", least.inverse, slopes + least.rows @ moved))
    return np.array(changes)


def _least(phonons: _Phonons, mesh: Sequence[int]) -> list[_Least]:
    """Least free energies at all temperatures; each is looked for from where the one below it is."""
    rest, kelvin, n_parameters = phonons.rest, phonons.kelvin, phonons.phonons.parameters.shape[1]
    found: dict[int, _Least] = {}
    point = _moved((0,) * len(rest.strains), np.rint(rest.amounts / _LIMITS.strain).astype(int))
    for k in np.argsort(kelvin[:, 0]).tolist():
        point = _nearest(phonons, mesh, k, point)
        amounts = np.array([_newton(phonons, mesh, (k, number), point) for number in range(3)])
        of_rest = np.array([rest.curvature(each) for each in amounts])
        inverse = np.linalg.inv(of_rest + phonons.curvature(point, mesh)[k])
        rows = np.array([rest.slope_rows(each)[:, :n_parameters] for each in amounts])
        found[k] = _Least(point, amounts, inverse, rows)
    return [found[k] for k in range(len(kelvin))]


def _nearest(phonons: _Phonons, mesh: Sequence[int], k: int, point: Point) -> Point:
    """Point of the grid that is next to the least free energy at a temperature, from another one."""
    rest, step = phonons.rest, _LIMITS.strain
    while np.abs(point).max() * step <= _LIMITS.largest:
        here = step * np.array(point)
        slope = rest.slope(here) + phonons.slope(point, 0, mesh)[k, 0]
        curvature = rest.curvature(here) + phonons.curvature(point, mesh)[k, 0]
        # Where G is not convex the way is downhill.
        values, vectors = np.linalg.eigh(curvature)
        steps = -(vectors / np.abs(values)) @ vectors.T @ slope / step
        if np.abs(steps).max() <= _LIMITS.settled and values[0] > 0.0:
            return point
        whole = np.rint(np.clip(steps, -_LIMITS.most_steps, _LIMITS.most_steps)).astype(int)
        if not whole.any():
            break
        point = _moved(point, whole)
    raise _no_minimum(phonons.kelvin[k, 0])


def _newton(
    phonons: _Phonons, mesh: Sequence[int], which: tuple[int, int], point: Point
) -> NDArray[np.float64]:
    rest, center = phonons.rest, _LIMITS.strain * np.array(point)
    slope, curvature = phonons.slope(point, 0, mesh)[which], phonons.curvature(point, mesh)[which]
    amounts, whole = center, rest.curvature(center) + curvature
    for _ in range(_LIMITS.n_newton):
        change = np.linalg.solve(whole, -(rest.slope(amounts) + slope + curvature @ (amounts - center)))
        amounts = amounts + change
        if np.abs(change).max() < _LIMITS.tolerance:
            return np.asarray(amounts)
        if np.abs(amounts).max() > _LIMITS.largest:
            break
    raise _no_minimum(phonons.kelvin[which])


def _no_minimum(kelvin: float) -> DataError:
    return DataError(
        f"the quasi-harmonic free energy has no minimum at {kelvin:.0f} K",
        fix="lower thermodynamics.temperatures_kelvin, or leave expansion out of its quantities",
    )
