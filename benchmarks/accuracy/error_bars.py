"""Error bars of what follows from a force field, over independent trainings, against finite differences."""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from phonopy import Phonopy

from benchmarks.accuracy.measures import both_expansions, on_expansion, rms
from mlff_dyn.formats.phonopy_cells import phonopy_cells
from mlff_dyn.model.fitting.fit import fit_force_field
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.observables.sampled_phonons import sampled_phonons

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.accuracy.laboratory import Laboratory
    from mlff_dyn.model.expansion import SupercellExpansion

TRAINING_COUNTS = (2, 4, 8)
N_FRAMES = {"Si Tersoff": 160, "c-BAs GFN1": 80}
"""Thermal frames that are calculated, by system."""
N_TRAININGS = 20
N_SAMPLES = 40
MESH = (6, 6, 6)
KELVIN = 300.0
DISPLACEMENT_ANGSTROM = 0.03
LEAST_THZ = 0.1

Arrays = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class ErrorBar:
    """Errors of a quantity over their error bars, in all trainings together.

    Attributes
    ----------
    system, program, quantity : str
    n_calculations : int          frames of each training
    n_trainings : int             that share no frame
    rms_error : float             THz; of the free energy meV per primitive cell
    rms_z : float
    fraction_within_one_sd : float
    bias_z : float                mean of error over error bar
    """

    system: str
    program: str
    quantity: str
    n_calculations: int
    n_trainings: int
    rms_error: float
    rms_z: float
    fraction_within_one_sd: float
    bias_z: float


def error_bars(laboratory: Laboratory) -> Iterator[ErrorBar]:
    """Frequencies on a mesh and the harmonic free energy, by both expansions."""
    if laboratory.system.name not in N_FRAMES:
        return
    laboratory = laboratory.sampled_by_a_force_field()
    reference = _Reference(laboratory)
    first = laboratory.system.temperatures_kelvin[0]
    frames = laboratory.frames(first, N_FRAMES[laboratory.system.name])
    for program, supercell in both_expansions(laboratory).items():
        rows = on_expansion(supercell, frames)
        for count in TRAINING_COUNTS:
            n_trainings = min(N_TRAININGS, len(rows) // count)
            errors, zs = [], []
            for number in range(n_trainings):
                own = rows[number * count : (number + 1) * count]
                found, sds = _measured(supercell, FitData(own), seed=number)
                errors.append({name: found[name] - truth for name, truth in reference.values.items()})
                zs.append({name: errors[-1][name] / sds[name] for name in sds})
            for name in reference.values:
                z = np.concatenate([each[name].ravel() for each in zs])
                yield ErrorBar(
                    laboratory.system.name,
                    program,
                    name,
                    count,
                    n_trainings,
                    rms(np.concatenate([each[name].ravel() for each in errors])),
                    rms(z),
                    float(np.mean(np.abs(z) < 1.0)),
                    float(z.mean()),
                )


class _Reference:
    """Finite differences of the reference calculator on the training supercell."""

    def __init__(self, laboratory: Laboratory) -> None:
        self._laboratory = laboratory

    @cached_property
    def values(self) -> Arrays:
        """By name, as `_of_phonon` gives them."""
        laboratory = self._laboratory
        phonon = Phonopy(**phonopy_cells(laboratory.torus), log_level=0)
        phonon.generate_displacements(distance=DISPLACEMENT_ANGSTROM, is_plusminus=True)
        calculator = laboratory.system.make_calculator()
        forces = []
        for cell in phonon.supercells_with_displacements:
            atoms = laboratory.atoms.__class__(
                cell.symbols, scaled_positions=cell.scaled_positions, cell=cell.cell, pbc=True
            )
            atoms.calc = calculator
            forces.append(atoms.get_forces())
        phonon.forces = forces
        phonon.produce_force_constants()
        phonon.symmetrize_force_constants()
        return _of_phonon(phonon)


def _of_phonon(phonon: Phonopy) -> Arrays:
    """Frequencies (THz) of a mesh but for those that vanish, and the free energy (meV)."""
    phonon.run_mesh(MESH, is_mesh_symmetry=False)
    frequencies = np.sort(np.array(phonon.mesh.frequencies), axis=1)
    phonon.run_thermal_properties(temperatures=[KELVIN], cutoff_frequency=LEAST_THZ)
    energy = np.asarray(phonon.thermal_properties.free_energy) / 96.48533 * 1e3
    at_center = int(np.abs(frequencies).sum(axis=1).argmin())
    kept = np.ones(frequencies.shape, bool)
    nearest = np.abs(np.asarray(phonon.mesh.qpoints)).sum(axis=1).argmin()
    kept[nearest if nearest != at_center else at_center, :3] = False
    return {"frequencies": frequencies[kept], "free energy": energy}


def _measured(supercell: SupercellExpansion, data: FitData, *, seed: int) -> tuple[Arrays, Arrays]:
    force_field = fit_force_field(supercell.basis, data)
    phonons = sampled_phonons(force_field, supercell.torus, n_samples=N_SAMPLES, seed=seed)
    return _of_phonon(phonons.choose(0)), phonons.spread(lambda number: _of_phonon(phonons.choose(number)))
