"""Density of states, thermal properties and <u^2> of harmonic phonons on a mesh of wave vectors, by phonopy.

The mesh holds the zone center, whose three translations are left out. What they leave out falls as the
volume of a step of the mesh for thermal properties, as its length for <u^2>, and as its square at 0 K. Sums
on a mesh with half of the points along each axis tell how much it is, and it is put back. Samples take that
mesh.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from phonopy.physical_units import get_physical_units

from mlff_dyn.observables.sampled_phonons import Estimate
from mlff_dyn.observables.state_density import DensityMesh

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from phonopy import Phonopy

    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.observables.sampled_phonons import SampledPhonons

Arrays = dict[str, "NDArray[np.float64]"]


@dataclass(frozen=True)
class MeshLimits:
    """Numbers that decide sums over modes.

    Attributes
    ----------
    least_thz : float
        Modes below it are left out of sums: rounding at the zone center. Twice it changes nothing where no
        acoustic mode of the mesh is as slow.
    n_frequencies : int
        Points of the density of states. Half of them draw it coarser, twice cost twice the time.
    margin : float
        By which they go beyond the largest frequency, for that of samples.
    n_sds : float
        Standard deviations by which a frequency has to be imaginary.
    least_halved : int
        Points along an axis from which on there is a coarser mesh; one point alone is the zone center.
    """

    least_thz: float = 0.01
    n_frequencies: int = 200
    margin: float = 1.05
    n_sds: float = 3.0
    least_halved: int = 4


LIMITS = MeshLimits()
_THERMAL = ("free_energy", "entropy", "heat_capacity")


@dataclass(frozen=True, eq=False)
class HarmonicProperties:
    """Sums over the modes of a mesh.

    Attributes
    ----------
    mesh : tuple of int
    n_sites : int                                           atoms of the primitive cell
    frequencies_thz : ndarray, shape (n_frequencies,)       of the density of states
    dos : Estimate, shape (n_species, n_frequencies)        1/THz for each primitive cell
    species : tuple of str
    temperatures_kelvin : ndarray, shape (n_temperatures,)  the first one is zero
    free_energy : Estimate, shape (n_temperatures,)         eV for each primitive cell
    entropy, heat_capacity : Estimate, shape (n_temperatures,)
        At constant volume, Boltzmann constants for each primitive cell.
    displacements : Estimate or None, shape (n_temperatures, n_sites, 3, 3)
        <u u^T> of each site of phonopy's primitive cell, Å²; None where it diverges, in fewer dimensions.
    mesh_errors : dict of ndarray
        Of the free energy, entropy and heat capacity: what was put back.
    n_imaginary : int
        Modes of the mesh that are imaginary beyond three standard deviations; sums leave them out.
    """

    mesh: tuple[int, ...]
    n_sites: int
    frequencies_thz: NDArray[np.float64]
    dos: Estimate
    species: tuple[str, ...]
    temperatures_kelvin: NDArray[np.float64]
    free_energy: Estimate
    entropy: Estimate
    heat_capacity: Estimate
    displacements: Estimate | None
    mesh_errors: Arrays
    n_imaginary: int


def mesh_of(torus: Torus, spacing_per_angstrom: float) -> tuple[int, int, int]:
    """Even numbers of wave vectors along each periodic axis whose steps are at most a length, 2π included.

    Along axes that are not periodic there is one.
    """
    crystal = torus.crystal
    lengths = 2.0 * np.pi * np.linalg.norm(np.linalg.inv(crystal.lattice), axis=0)
    numbers = 2 * np.ceil(lengths / (2.0 * spacing_per_angstrom) - 1e-9).astype(int)
    first, second, third = np.where(np.array(crystal.periodic), numbers, 1).tolist()
    return (first, second, third)


def coarse_mesh(mesh: Sequence[int]) -> tuple[int, ...]:
    """Half as many points along each axis where there are four at least, rounded up."""
    return tuple((n + 1) // 2 if n >= LIMITS.least_halved else n for n in mesh)


def harmonic_properties(
    phonons: SampledPhonons,
    mesh: tuple[int, ...],
    temperatures_kelvin: Sequence[float],
    tell: Callable[[int], None] = lambda _: None,
) -> HarmonicProperties:
    """Sum over the modes of a mesh, with error bars.

    Parameters
    ----------
    phonons : SampledPhonons
    mesh : tuple of int
    temperatures_kelvin : sequence of float
    tell : callable, optional
        Called with the number of samples that are done.
    """
    temperatures = np.array([0.0, *(t for t in temperatures_kelvin if t > 0.0)])
    coarse = coarse_mesh(mesh)
    phonon = phonons.choose(0)
    points = _frequency_points(phonon, coarse)
    few = DensityMesh(phonon, coarse)
    first = _sums(phonon, few, points, temperatures)
    fine = first if coarse == mesh else _sums(phonon, DensityMesh(phonon, mesh), points, temperatures)
    sds = phonons.spread(lambda number: _sums(phonons.choose(number), few, points, temperatures), tell)
    limits = np.maximum(LIMITS.n_sds * sds["frequencies"], LIMITS.least_thz)
    diverges = not all(phonons.torus.crystal.periodic)
    symbols = np.array(phonon.primitive.symbols)
    species = tuple(dict.fromkeys(symbols.tolist()))
    share = float(np.prod(coarse) / np.prod(mesh))
    by_name = {name: _extrapolated(fine, first, sds, name, share) for name in _THERMAL}
    step = float(np.cbrt(share))
    displacements = None if diverges else _mean_squares(fine, first, sds, step)
    return HarmonicProperties(
        mesh=tuple(mesh),
        n_sites=len(symbols),
        frequencies_thz=points,
        dos=Estimate(fine["dos"], sds["dos"]),
        species=species,
        temperatures_kelvin=temperatures,
        **by_name,
        displacements=displacements,
        mesh_errors={name: np.abs(each.value - fine[name]) for name, each in by_name.items()},
        n_imaginary=int((first["frequencies"] < -limits).sum()),
    )


def _extrapolated(fine: Arrays, coarse: Arrays, sds: Arrays, name: str, ratio: float) -> Estimate:
    """Value without an error that is so many times larger on the fine mesh than on the coarse one."""
    value, first = fine[name], coarse[name]
    if ratio < 1.0:
        value = (value - ratio * first) / (1.0 - ratio)
    return Estimate(value, sds[name])


def _mean_squares(fine: Arrays, coarse: Arrays, sds: Arrays, step: float) -> Estimate:
    """<u u^T>: at 0 K the error falls as the square of the step, that of the thermal part as the step."""
    name = "displacements"
    thermal = [{name: each[name] - each[name][:1]} for each in (fine, coarse)]
    cold = _extrapolated(fine, coarse, sds, name, step**2).value[:1]
    hot = _extrapolated(thermal[0], thermal[1], sds, name, step).value
    return Estimate(np.asarray(cold + hot), sds[name])


def _frequency_points(phonon: Phonopy, mesh: Sequence[int]) -> NDArray[np.float64]:
    phonon.run_mesh(mesh, is_gamma_center=True)
    frequencies = np.asarray(phonon.mesh.frequencies)
    low, high = min(0.0, float(frequencies.min())), float(frequencies.max())
    return np.linspace(LIMITS.margin * low, LIMITS.margin * high, LIMITS.n_frequencies)


def _sums(
    phonon: Phonopy, mesh: DensityMesh, points: NDArray[np.float64], temperatures: NDArray[np.float64]
) -> Arrays:
    """Everything that is summed over the modes of a mesh."""
    phonon.run_mesh(mesh.mesh, is_gamma_center=True, is_mesh_symmetry=False, with_eigenvectors=True)
    frequencies = np.asarray(phonon.mesh.frequencies).copy()
    eigenvectors, symbols = np.asarray(phonon.mesh.eigenvectors), np.array(phonon.primitive.symbols)
    of_sites = (np.abs(eigenvectors) ** 2).reshape(len(frequencies), len(symbols), 3, -1).sum(axis=2)
    of_species = [of_sites[:, symbols == each].sum(axis=1) for each in dict.fromkeys(symbols)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        phonon.run_thermal_properties(
            temperatures=temperatures, exclude_gamma_acoustic=True, cutoff_frequency=LIMITS.least_thz
        )
    found, units = phonon.thermal_properties, get_physical_units()
    boltzmann = 1e3 * units.EvTokJmol * units.KB
    return {
        "frequencies": frequencies,
        "dos": mesh.density(frequencies, np.stack(of_species, axis=1), points),
        "free_energy": np.asarray(found.free_energy) / units.EvTokJmol,
        "entropy": np.asarray(found.entropy) / boltzmann,
        "heat_capacity": np.asarray(found.heat_capacity) / boltzmann,
        "displacements": _squares(phonon, temperatures),
    }


def _squares(phonon: Phonopy, temperatures: NDArray[np.float64]) -> NDArray[np.float64]:
    """<u u^T> of each site on a mesh without symmetry, shape (n_temperatures, n_sites, 3, 3), Å².

    As `Phonopy.run_thermal_displacement_matrices`, which goes from mode to mode.
    """
    frequencies, eigenvectors = np.asarray(phonon.mesh.frequencies), np.asarray(phonon.mesh.eigenvectors)
    kept = frequencies > LIMITS.least_thz
    at_center = np.flatnonzero(np.abs(phonon.mesh.qpoints).max(axis=1) < 1e-9)
    kept[at_center, np.argsort(np.abs(frequencies[at_center]), axis=1)[:, :3].T] = False
    units = get_physical_units()
    masses = units.AMU * phonon.primitive.masses
    kelvin = np.where(kept, frequencies, 1.0) * units.THzToEv / units.KB
    with np.errstate(divide="ignore", over="ignore"):
        numbers = 0.5 + 1.0 / np.expm1(kelvin / temperatures[:, None, None])
    amplitudes = units.Hbar * units.EV / units.Angstrom**2 / (2e12 * np.pi * np.where(kept, frequencies, 1.0))
    weights = np.where(kept, numbers * amplitudes, 0.0) / len(frequencies)
    vectors = eigenvectors.reshape(len(frequencies), len(masses), 3, -1) / np.sqrt(masses)[:, None, None]
    return np.array(
        [
            np.einsum("qsam,qsbm->sab", vectors * each[:, None, None], vectors.conj(), optimize=True).real
            for each in weights
        ]
    )
