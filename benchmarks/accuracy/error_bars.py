"""Error bars of what follows from a force field, over independent trainings, against finite differences.

Those of one step of 0.03 Å are off by as much as a force field of silicon is after eight calculations, so the
truth is the limit of small steps, by two of them.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms
from ase.optimize import BFGS
from phonopy import Phonopy
from phonopy.physical_units import get_physical_units

from benchmarks.accuracy.measures import both_expansions, on_expansion, rms
from mlff_dyn.formats.phonopy_cells import phonopy_cells
from mlff_dyn.kernels.strain.moves import unit_strains
from mlff_dyn.lattice.deformation import strained_lattice
from mlff_dyn.model.fitting.fit import fit_force_field
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.observables.elastic import elastic_constants
from mlff_dyn.observables.sampled_phonons import sampled_phonons
from mlff_dyn.units import EV_PER_ANGSTROM3_GPA

if TYPE_CHECKING:
    from collections.abc import Iterator

    from phonopy.structure.atoms import PhonopyAtoms

    from benchmarks.accuracy.laboratory import Laboratory
    from mlff_dyn.model.expansion import SupercellExpansion

TRAINING_COUNTS = (2, 4, 8)
N_FRAMES = {"Cu EMT 2-4": 24, "Si Tersoff": 160, "c-BAs GFN1": 80}
"""Thermal frames that are calculated, by system."""
N_TRAININGS = 20
N_SAMPLES = 24
MESH = (6, 6, 6)
KELVIN = 300.0
STEPS_ANGSTROM = (0.02, 0.04)
ONE_STEP_ANGSTROM = 0.03
LEAST_THZ = 0.1
ELASTIC = "elastic constants"
STRAIN = 1e-3
LARGEST_FORCE = 1e-4
"""Of a relaxed atom, eV/Å."""

Arrays = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class ErrorBar:
    """Errors of a quantity over their error bars, in all trainings together.

    Attributes
    ----------
    system, program, quantity : str
    n_calculations : int          frames of each training
    n_trainings : int             that share no frame
    rms_error : float             THz; of the free energy meV per primitive cell, of elastic constants GPa
    rms_z : float
    fraction_within_one_sd : float
    rms_z_of_one_step : float     with finite differences of one step, `ONE_STEP_ANGSTROM`, for the truth
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
    """Frequencies on a mesh, harmonic free energy and, by a cheap reference, elastic constants."""
    if laboratory.system.name not in N_FRAMES:
        return
    is_cheap = laboratory.system.is_cheap
    laboratory = laboratory.sampled_by_a_force_field()
    reference = _Reference(laboratory)
    elastic = {ELASTIC: reference.elastic_constants()} if is_cheap else {}
    steps = (reference.at_rest(), reference.of_step(ONE_STEP_ANGSTROM))
    truth, one_step = ({**values, **elastic} for values in steps)
    first = laboratory.system.temperatures_kelvin[0]
    frames = laboratory.frames(first, N_FRAMES[laboratory.system.name])
    for program, supercell in both_expansions(laboratory).items():
        rows = on_expansion(supercell, frames)
        for count in TRAINING_COUNTS:
            n_trainings = min(N_TRAININGS, len(rows) // count)
            own = [FitData(rows[number * count : (number + 1) * count]) for number in range(n_trainings)]
            found = [_measured(supercell, data, seed=number) for number, data in enumerate(own)]
            for name in truth:
                errors, of_one_step, sds = (
                    np.concatenate(parts)
                    for parts in zip(
                        *((v[name] - truth[name], v[name] - one_step[name], sd[name]) for v, sd in found),
                        strict=True,
                    )
                )
                yield ErrorBar(
                    system=laboratory.system.name,
                    program=program,
                    quantity=name,
                    n_calculations=count,
                    n_trainings=n_trainings,
                    rms_error=rms(errors),
                    rms_z=rms(errors / sds),
                    fraction_within_one_sd=float(np.mean(np.abs(errors) < sds)),
                    rms_z_of_one_step=rms(of_one_step / sds),
                )


class _Reference:
    """Finite differences of the reference calculator on the training supercell."""

    def __init__(self, laboratory: Laboratory) -> None:
        self._laboratory = laboratory

    def of_step(self, displacement_angstrom: float) -> Arrays:
        """What phonopy makes of displacements of one length, by name, as `_of_phonon` gives it."""
        phonon = Phonopy(**phonopy_cells(self._laboratory.torus), log_level=0)
        phonon.generate_displacements(distance=displacement_angstrom, is_plusminus=True)
        phonon.forces = [self._forces(cell) for cell in phonon.supercells_with_displacements]
        phonon.produce_force_constants()
        phonon.symmetrize_force_constants()
        return _of_phonon(phonon)

    def at_rest(self) -> Arrays:
        """Limit of small displacements: their error grows with the square of the length."""
        short, long = (self.of_step(length) for length in STEPS_ANGSTROM)
        return {name: (4.0 * short[name] - long[name]) / 3.0 for name in short}

    def elastic_constants(self) -> np.ndarray:
        """C11, C12 and C44 of a cubic crystal, GPa, from the stress of strained cells whose atoms relax."""
        along, shear = (self._stress_slope(unit_strains()[number]) for number in (0, 3))
        return np.array([along[0], along[1:3].mean(), shear[3]])

    def _stress_slope(self, unit: np.ndarray) -> np.ndarray:
        found = []
        for strain in (STRAIN * unit, -STRAIN * unit):
            atoms = self._laboratory.atoms.copy()
            atoms.set_cell(strained_lattice(atoms.cell.array, strain), scale_atoms=True)
            atoms.calc = self._laboratory.system.make_calculator()
            BFGS(atoms, logfile=None).run(fmax=LARGEST_FORCE, steps=100)
            found.append(atoms.get_stress())
        return EV_PER_ANGSTROM3_GPA * (found[0] - found[1]) / (2.0 * STRAIN)

    def _forces(self, cell: PhonopyAtoms) -> np.ndarray:
        atoms = Atoms(cell.symbols, scaled_positions=cell.scaled_positions, cell=cell.cell, pbc=True)
        atoms.calc = self._laboratory.system.make_calculator()
        return atoms.get_forces()


def _of_phonon(phonon: Phonopy) -> Arrays:
    """Frequencies (THz) of a mesh but for those that vanish, and the free energy (meV)."""
    phonon.run_mesh(MESH, is_mesh_symmetry=False)
    frequencies = np.sort(np.array(phonon.mesh.frequencies), axis=1)
    phonon.run_thermal_properties(temperatures=[KELVIN], cutoff_frequency=LEAST_THZ)
    energy = np.asarray(phonon.thermal_properties.free_energy) / get_physical_units().EvTokJmol * 1e3
    kept = np.ones(frequencies.shape, bool)
    kept[np.linalg.norm(phonon.mesh.qpoints, axis=1).argmin(), :3] = False
    return {"frequencies": frequencies[kept], "free energy": energy}


def _measured(supercell: SupercellExpansion, data: FitData, *, seed: int) -> tuple[Arrays, Arrays]:
    force_field = fit_force_field(supercell.basis, data)
    phonons = sampled_phonons(force_field, supercell.torus, n_samples=N_SAMPLES, seed=seed)
    values, sds = (
        _of_phonon(phonons.choose(0)),
        phonons.spread(lambda number: _of_phonon(phonons.choose(number))),
    )
    found = elastic_constants(force_field)
    of_cubic = ([0, 0, 3], [0, 1, 3])
    return {**values, ELASTIC: found.values[of_cubic]}, {**sds, ELASTIC: found.sds[of_cubic]}
