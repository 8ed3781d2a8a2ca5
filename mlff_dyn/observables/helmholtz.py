"""Free energy, entropy and heat capacity at constant volume, anharmonic and with quantum statistics.

Those of the harmonic crystal on a mesh of wave vectors, quantum, and the classical anharmonic part of a
supercell:

    F = F_0(quantum) + (F - F_0)(classical)

The quantum correction is thus that of the harmonic crystal, F_0(quantum) - F_0(classical).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.observables.free_energy import harmonic_free_energy
from mlff_dyn.observables.harmonic_properties import coarse_mesh
from mlff_dyn.observables.thermal_sums import NAMES, thermal_sums
from mlff_dyn.units import BOLTZMANN_EV_PER_K

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from phonopy import Phonopy

    from mlff_dyn.observables.free_energy import AnharmonicPart
    from mlff_dyn.observables.sampled_phonons import SampledPhonons


@dataclass(frozen=True, eq=False)
class ThermalFunction:
    """One of `NAMES` for each atom, by temperature, each of shape (n_temperatures,).

    Attributes
    ----------
    value : ndarray                   eV, or Boltzmann constants
    sd : ndarray                      of the data
    statistical_error : ndarray       Monte Carlo error
    mesh_error : ndarray              of the mesh of wave vectors, which was put back
    anharmonic : ndarray              part of the value
    quantum_correction : ndarray      part of the value
    """

    value: NDArray[np.float64]
    sd: NDArray[np.float64]
    statistical_error: NDArray[np.float64]
    mesh_error: NDArray[np.float64]
    anharmonic: NDArray[np.float64]
    quantum_correction: NDArray[np.float64]


def thermal_functions(
    phonons: SampledPhonons,
    mesh: Sequence[int],
    parts: dict[float, AnharmonicPart],
    tell: Callable[[int], None] = lambda _: None,
) -> dict[str, ThermalFunction]:
    """Put the harmonic and the anharmonic part together, by the names of `NAMES`.

    Parameters
    ----------
    phonons : SampledPhonons
        On the supercell of the anharmonic parts.
    mesh : sequence of int
        The coarse one of it is taken for samples.
    parts : dict
        Anharmonic part by temperature, K.
    tell : callable, optional
        Called with the number of samples that are done.

    Raises
    ------
    DataError
        If a mode is not stable, also in a sample of the posterior.
    """
    kelvin, coarse = np.array(list(parts)), coarse_mesh(mesh)
    phonon, share = phonons.choose(0), float(np.prod(coarse) / np.prod(mesh))
    fine, first = (_harmonic(phonon, each, kelvin) for each in (mesh, coarse))
    heavy, first_heavy = (_harmonic(phonon, each, kelvin, is_classical=True) for each in (mesh, coarse))

    def measure(number: int) -> dict[str, NDArray[np.float64]]:
        own = _harmonic(phonons.choose(number), coarse, kelvin)
        changes = _anharmonic_change(phonons, number, parts)
        return {name: own[name] + changes[name] for name in NAMES}

    sds = phonons.spread(measure, tell)
    found = {}
    for name in NAMES:
        quantum = _without_mesh_error(fine[name], first[name], share)
        correction = quantum - _without_mesh_error(heavy[name], first_heavy[name], share)
        values, errors = _anharmonic(name, parts)
        mesh_error = np.abs(quantum - fine[name])
        found[name] = ThermalFunction(quantum + values, sds[name], errors, mesh_error, values, correction)
    return found


def _anharmonic(
    name: str, parts: dict[float, AnharmonicPart]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    averages = {
        "free_energy": [each.free_energy for each in parts.values()],
        "entropy": [each.entropy(kelvin) for kelvin, each in parts.items()],
        "heat_capacity": [each.heat_capacity for each in parts.values()],
    }[name]
    unit = 1.0 if name == "free_energy" else BOLTZMANN_EV_PER_K
    found = np.array([[each.value, each.statistical_error] for each in averages]) / unit
    return found[:, 0], found[:, 1]


def _anharmonic_change(
    phonons: SampledPhonons, number: int, parts: dict[float, AnharmonicPart]
) -> dict[str, NDArray[np.float64]]:
    """What a sample of the parameters adds to the anharmonic part, to first order; without F_0 to all."""
    parameters, expansion = phonons.parameters[number], phonons.force_field.expansion
    moved = parameters - phonons.parameters[0]
    changes = []
    for kelvin, part in parts.items():
        none = harmonic_free_energy(expansion, parameters, phonons.torus, kelvin)
        free = float(part.free_energy.gradient @ moved) - none
        energy, capacity = (float(each.gradient @ moved) for each in (part.energy, part.heat_capacity))
        thermal = BOLTZMANN_EV_PER_K * kelvin
        changes.append((free, (energy - free) / thermal, capacity / BOLTZMANN_EV_PER_K))
    return dict(zip(NAMES, np.array(changes).T, strict=True))


def _harmonic(
    phonon: Phonopy, mesh: Sequence[int], kelvin: NDArray[np.float64], *, is_classical: bool = False
) -> dict[str, NDArray[np.float64]]:
    found, n_sites = thermal_sums(phonon, mesh, kelvin, is_classical=is_classical), len(phonon.primitive)
    return {name: each / n_sites for name, each in found.items()}


def _without_mesh_error(
    fine: NDArray[np.float64], coarse: NDArray[np.float64], share: float
) -> NDArray[np.float64]:
    """See `harmonic_properties`: the zone center leaves out what falls as the volume of a step."""
    return fine if share >= 1.0 else np.asarray((fine - share * coarse) / (1.0 - share))
