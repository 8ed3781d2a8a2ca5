"""Error bars of what follows from a force field, over independent trainings, against finite differences.

Those of one step of 0.03 Å are off by as much as a force field of silicon is after eight calculations, so the
truth is the limit of small steps, by two of them.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
from phonopy.physical_units import get_physical_units

from benchmarks.accuracy.conductivities import ONE_SMALL, SMALL, as_proposed, with_small
from benchmarks.accuracy.finite_differences import STEP_ANGSTROM, FiniteDifferences
from benchmarks.accuracy.measures import LATTICE, OWN, on_expansion, rms
from mlff_dyn.model.fitting.fit import fit_force_field
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.observables.elastic import elastic_constants
from mlff_dyn.observables.quasi_harmonic import quasi_harmonic
from mlff_dyn.observables.rest_energy import RestEnergy
from mlff_dyn.observables.sampled_phonons import Estimate, SampledPhonons, sampled_phonons
from mlff_dyn.observables.thermal_sums import thermal_sums

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from phonopy import Phonopy

    from benchmarks.accuracy.laboratory import Laboratory
    from mlff_dyn.model.expansion import SupercellExpansion

TRAINING_COUNTS = (2, 4, 8)
N_FRAMES = {"Cu EMT 2-4": 24, "Si Tersoff": 160, "c-BAs GFN1": 64, "NaCl GFN1": 48, "MgO SevenNet-0": 160}
"""Thermal frames that are calculated, by system."""
N_TRAININGS = 20
N_SAMPLES = 24
MESH = (6, 6, 6)
KELVIN = 300.0
STEPS_ANGSTROM = (0.02, 0.04)
LEAST_THZ = 0.1
ELASTIC = "elastic constants"
EXPANSION = "thermal expansion"
STRAINS = (-0.007, -0.0035, 0.0, 0.0035, 0.007)
"""Of energies at rest; of phonons those next to none."""
TEMPERATURE_SHARE = 0.02
"""Step of the temperature for the rate of expansion, over the temperature."""
N_NEWTON = 30

Arrays = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class ErrorBar:
    """Errors of a quantity over their error bars, in all trainings together.

    Attributes
    ----------
    system, program, quantity : str
    n_calculations : int          frames of each training
    n_trainings : int             that share no frame
    rms_error : float             THz; of the free energy meV per primitive cell, of elastic constants GPa,
                                  of the expansion 1/MK
    rms_z : float
    fraction_within_one_sd : float
    rms_z_of_one_step : float     with finite differences of one step, `STEP_ANGSTROM`, for the truth
    """

    system: str
    program: str
    quantity: str
    n_calculations: int
    n_trainings: int
    rms_error: float
    rms_z: float
    fraction_within_one_sd: float
    rms_z_of_one_step: float


def error_bars(laboratory: Laboratory) -> Iterator[ErrorBar]:
    """Frequencies on a mesh, harmonic free energy, elastic constants and quasi-harmonic expansion."""
    if laboratory.system.name not in N_FRAMES:
        return
    laboratory = laboratory.sampled_by_a_force_field()
    reference = Reference(laboratory)
    elastic = {ELASTIC: reference.elastic_constants()}
    steps = (reference.at_rest(), reference.of_step(STEP_ANGSTROM))
    truth, one_step = ({**values, **elastic} for values in steps)
    first = laboratory.system.temperatures_kelvin[0]
    frames = laboratory.frames(first, N_FRAMES[laboratory.system.name])
    small_frames = laboratory.scaled_frames(first, N_TRAININGS, SMALL)
    proposed = as_proposed(laboratory)
    with_one = f"{OWN}{ONE_SMALL}"
    expansions = ((OWN, proposed), (with_one, proposed), (LATTICE, laboratory.supercell))
    for program, supercell in expansions:
        rows = on_expansion(supercell, frames)
        small = on_expansion(supercell, small_frames) if program == with_one else []
        for count in TRAINING_COUNTS:
            n_trainings = min(N_TRAININGS, len(rows) // count)
            own = [
                FitData(with_small(rows[number * count : (number + 1) * count], small[number : number + 1]))
                for number in range(n_trainings)
            ]
            found = [measured(supercell, data, seed=number) for number, data in enumerate(own)]
            named = {
                "system": laboratory.system.name,
                "program": program,
                "n_calculations": count,
                "n_trainings": n_trainings,
            }
            for name in truth:
                yield error_bar(named, name, found, (truth[name], one_step[name]))


def error_bar(
    named: Mapping[str, Any],
    quantity: str,
    found: Sequence[tuple[Arrays, Arrays]],
    truths: tuple[np.ndarray, np.ndarray],
) -> ErrorBar:
    """What values and standard deviations of trainings come to, with the truth and that of one step."""
    errors, of_one_step, sds = (
        np.concatenate(parts)
        for parts in zip(
            *((v[quantity] - truths[0], v[quantity] - truths[1], sd[quantity]) for v, sd in found),
            strict=True,
        )
    )
    return ErrorBar(
        **named,
        quantity=quantity,
        rms_error=rms(errors),
        rms_z=rms(errors / sds),
        fraction_within_one_sd=float(np.mean(np.abs(errors) < sds)),
        rms_z_of_one_step=rms(of_one_step / sds),
    )


class Reference:
    """The same quantities by finite differences of the reference calculator, by name."""

    def __init__(self, laboratory: Laboratory) -> None:
        self._differences = FiniteDifferences(laboratory)

    def of_step(self, displacement_angstrom: float) -> Arrays:
        """By displacements of one length."""
        differences = self._differences
        of_rest = _of_phonon(differences.second(displacement_angstrom))
        rates = self._expansion(lambda strain: differences.second(displacement_angstrom, strain))
        return {**of_rest, EXPANSION: np.array([rates])}

    def at_rest(self) -> Arrays:
        """Limit of small displacements: their error grows with the square of the length."""
        short, long = (self.of_step(length) for length in STEPS_ANGSTROM)
        return {name: (4.0 * short[name] - long[name]) / 3.0 for name in short}

    def elastic_constants(self) -> np.ndarray:
        """C11, C12 and C44 of a cubic crystal, GPa."""
        return self._differences.elastic_constants()

    def _expansion(self, phonon: Callable[[float], Phonopy]) -> float:
        """Quasi-harmonic coefficient of linear expansion of a cubic crystal without stress at rest, 1/MK."""
        energy = np.polynomial.Polynomial.fit(
            STRAINS, self._differences.energies(STRAINS), len(STRAINS) - 1
        ).convert()
        kelvin = KELVIN * np.array([1.0 - TEMPERATURE_SHARE, 1.0 + TEMPERATURE_SHARE])
        back, none, there = (
            thermal_sums(phonon(strain), MESH, kelvin, is_classical=False)["free_energy"]
            for strain in (-STRAINS[-2], 0.0, STRAINS[-2])
        )
        slopes = (there - back) / (2.0 * STRAINS[-2])
        curvatures = (there + back - 2.0 * none) / STRAINS[-2] ** 2
        strains = []
        for slope, curvature in zip(slopes, curvatures, strict=True):
            strain = 0.0
            for _ in range(N_NEWTON):
                rest = energy.deriv()(strain) - energy.deriv()(0.0)
                stiffness = energy.deriv(2)(strain) + curvature
                strain -= (rest + slope + curvature * strain) / stiffness
            strains.append(strain)
        return 1e6 * float(strains[1] - strains[0]) / (1.0 + np.mean(strains)) / float(np.ptp(kelvin))


def _of_phonon(phonon: Phonopy) -> Arrays:
    """Frequencies (THz) of a mesh but for those that vanish, and the free energy (meV)."""
    phonon.run_mesh(MESH, is_gamma_center=True)
    weights = phonon.mesh.weights
    frequencies = np.repeat(np.sort(np.array(phonon.mesh.frequencies), axis=1), weights, axis=0)
    phonon.run_thermal_properties(temperatures=[KELVIN], cutoff_frequency=LEAST_THZ)
    energy = np.asarray(phonon.thermal_properties.free_energy) / get_physical_units().EvTokJmol * 1e3
    kept = np.ones(frequencies.shape, bool)
    kept[np.linalg.norm(np.repeat(phonon.mesh.qpoints, weights, axis=0), axis=1).argmin(), :3] = False
    return {"frequencies": frequencies[kept], "free energy": energy}


def measured(supercell: SupercellExpansion, data: FitData, *, seed: int) -> tuple[Arrays, Arrays]:
    """Values of a training, and their standard deviations."""
    force_field = fit_force_field(supercell.basis, data)
    phonons = sampled_phonons(force_field, supercell.torus, n_samples=N_SAMPLES, seed=seed)
    values, sds = (
        _of_phonon(phonons.choose(0)),
        phonons.spread(lambda number: _of_phonon(phonons.choose(number))),
    )
    found, expansion = elastic_constants(force_field), _expansion(phonons)
    of_cubic = ([0, 0, 3], [0, 1, 3])
    return (
        {**values, ELASTIC: found.values[of_cubic], EXPANSION: expansion.value},
        {**sds, ELASTIC: found.sds[of_cubic], EXPANSION: expansion.sd},
    )


def _expansion(phonons: SampledPhonons) -> Estimate:
    """Quasi-harmonic coefficient of linear expansion of a cubic crystal, 1/MK, as `thermodynamics` has it."""
    rest = RestEnergy(phonons.force_field, 0.0)
    found = quasi_harmonic(phonons, rest, MESH, [KELVIN])["quantum"]
    scale = 1e6 / np.sqrt(3.0) / (1.0 + found.amounts[0, 0] / np.sqrt(3.0))
    sd = phonons.force_field.calibration * np.std(found.rate_samples[:, 0, 0], ddof=1)
    return Estimate(scale * found.rates[0], np.array([scale * sd]))
