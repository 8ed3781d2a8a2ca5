"""What a finished trajectory says about the force field and the crystal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from ase.cell import Cell
from ase.data import chemical_symbols

from mlff_dyn.lattice.deformation import strained_lattice, stress_of_strain_slope, to_voigt
from mlff_dyn.md.anharmonicity import anharmonicity
from mlff_dyn.md.correlated_means import correlated_mean
from mlff_dyn.md.temperature import energy_drift, temperatures
from mlff_dyn.model.harmonic_forces import HarmonicForces
from mlff_dyn.store.trajectory import read_trajectory
from mlff_dyn.store.trajectory_layout import damage_told, open_trajectory, read_attributes, read_valid_steps
from mlff_dyn.training.limits import LIMITS
from mlff_dyn.units import AMU_ANGSTROM2_PER_FS2_EV, BOLTZMANN_EV_PER_K, EV_PER_ANGSTROM3_GPA

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.model.force_field import ForceField, SupercellForceField

_MOST_FRAMES, _LEAST_FRAMES = 100, 4
_MOST_COMPONENTS = 2_000_000
_LARGEST_BYTES = 1 << 24


@dataclass(frozen=True)
class TrajectoryAnalysis:
    """Averages over the equilibrated part of a trajectory; None without frames.

    Attributes
    ----------
    n_frames : int                                  in the whole file
    mean_temperature_k, mean_temperature_error_k : float or None
    temperatures_by_element_k : dict of float or None
        From the kinetic energy of the atoms of each element; equal in equilibrium. None without velocities.
    energy_drift_mev_per_atom_per_ps : float or None
        Of the total energy, where no thermostat changes it.
    force_sd_mean, force_sd_max : float or None     eV/Å
    force_rms_ev_per_angstrom : float or None
    sigma_a : float or None
    displacement_rms_angstrom : float or None       of a component
    largest_displacement_angstrom : float or None
    pressure_gigapascal, pressure_error_gigapascal : float or None
        From the slope of the energy with respect to the strain at constant displacements, where the kinetic
        part of the usual virial cancels.
    volume_angstrom3, volume_error_angstrom3 : float or None
    strain : list of float or None                  mean, components xx, yy, zz, yz, xz, xy
    cell_lengths_angstrom, cell_angles_degree : list of float or None
        Of the mean cell.
    """

    n_frames: int
    mean_temperature_k: float | None = None
    mean_temperature_error_k: float | None = None
    temperatures_by_element_k: dict[str, float] | None = None
    energy_drift_mev_per_atom_per_ps: float | None = None
    force_sd_mean: float | None = None
    force_sd_max: float | None = None
    force_rms_ev_per_angstrom: float | None = None
    sigma_a: float | None = None
    displacement_rms_angstrom: float | None = None
    largest_displacement_angstrom: float | None = None
    pressure_gigapascal: float | None = None
    pressure_error_gigapascal: float | None = None
    volume_angstrom3: float | None = None
    volume_error_angstrom3: float | None = None
    strain: list[float] | None = None
    cell_lengths_angstrom: list[float] | None = None
    cell_angles_degree: list[float] | None = None


def equilibration_steps(n_steps: int, timestep_femtoseconds: float) -> int:
    """Steps to leave out at constant volume: 0.5 ps, or half of a run that is shorter than 1 ps."""
    return min(n_steps // 2, LIMITS.steps(LIMITS.equilibration_femtoseconds, timestep_femtoseconds))


def analyze_trajectory(
    path: Path, force_field: ForceField, torus: Torus, *, equilibration: int, n_threads: int | None = 1
) -> TrajectoryAnalysis:
    """Average over a trajectory.

    Parameters
    ----------
    path : Path
    force_field : ForceField
    torus : Torus
        Supercell of the trajectory.
    equilibration : int
        MD steps to leave out at the start.
    n_threads : int or None
        Of the kernels; None: as many as pay.
    """
    with open_trajectory(path) as file, damage_told(path):
        steps = read_valid_steps(file)
        kinetic, potential = (file[f"{kind}_energies"][: len(steps)] for kind in ("kinetic", "potential"))
        strains = file["strains"][: len(steps)]
        attributes = read_attributes(file)
    first = int(np.searchsorted(steps, equilibration, side="right"))
    n_frames = len(steps) - first
    if n_frames < 1:
        return TrajectoryAnalysis(len(steps))
    wanted = max(_LEAST_FRAMES, min(_MOST_FRAMES, _MOST_COMPONENTS // (3 * torus.n_atoms)))
    stride = max(1, n_frames // wanted)
    frames = _measure_frames(
        path, force_field.on(torus, n_threads=n_threads), range(first, len(steps), stride)
    )
    pressure = correlated_mean(EV_PER_ANGSTROM3_GPA * np.array(frames.pressures)[None])
    sd = np.array(frames.force_sds)
    return TrajectoryAnalysis(
        n_frames=len(steps),
        **_thermal(torus, attributes, steps[first:], kinetic[first:], potential[first:]),
        temperatures_by_element_k=_by_element(torus, frames.kinetic_energies),
        force_sd_mean=float(sd.mean()),
        force_sd_max=float(sd.max()),
        force_rms_ev_per_angstrom=_rms(frames.forces - force_field.static_forces_on(torus)),
        sigma_a=anharmonicity(frames.forces, frames.harmonic_forces),
        displacement_rms_angstrom=_rms(np.array(frames.displacements)),
        largest_displacement_angstrom=max(frames.largest_displacements),
        pressure_gigapascal=pressure.mean,
        pressure_error_gigapascal=pressure.statistical_error,
        **_mean_cell(torus, strains[first:]),
    )


def _thermal(
    torus: Torus, attributes: dict[str, Any], steps: np.ndarray, kinetic: np.ndarray, potential: np.ndarray
) -> dict[str, Any]:
    """Mean temperature with its error, and the drift of the energy where it is kept."""
    temperature = correlated_mean(temperatures(kinetic, torus.n_atoms)[None])
    drift = None
    if attributes.get("ensemble") == "nve":
        times = attributes["timestep_femtoseconds"] * steps
        drift = 1000.0 * energy_drift(kinetic + potential, times) / torus.n_atoms
    return {
        "mean_temperature_k": temperature.mean,
        "mean_temperature_error_k": temperature.statistical_error,
        "energy_drift_mev_per_atom_per_ps": drift,
    }


def _by_element(torus: Torus, kinetic_energies: list[np.ndarray]) -> dict[str, float] | None:
    """Temperature of each element from kinetic energies of its atoms; None where they are not known."""
    if not kinetic_energies:
        return None
    freedoms = 3.0 * (1.0 - torus.masses / torus.masses.sum())
    per_atom = 2.0 * np.mean(kinetic_energies, axis=0) / (np.maximum(freedoms, 1e-12) * BOLTZMANN_EV_PER_K)
    return {
        chemical_symbols[number]: float(per_atom[torus.numbers == number].mean())
        for number in sorted(set(torus.numbers.tolist()))
    }


class _Frames(NamedTuple):
    """Frames of a trajectory: forces and their predictive errors, eV/Å, pressures, eV/Å³, and so on.

    Arrays have the shape (n_frames, n_atoms, 3), lists an entry for each frame; kinetic energies of the atoms
    are missing where velocities are.
    """

    forces: np.ndarray
    harmonic_forces: np.ndarray
    kinetic_energies: list[np.ndarray]
    force_sds: list[float]
    pressures: list[float]
    displacements: list[float]
    largest_displacements: list[float]


def _measure_frames(path: Path, plain: SupercellForceField, samples: range) -> _Frames:
    """One frame after the other: those of a changing cell have kernels of their own."""
    torus = plain.torus
    harmonic = _harmonic_forces(path, plain.force_field, torus, samples)
    frames = _Frames(np.empty_like(harmonic), harmonic, [], [], [], [], [])
    inertias = AMU_ANGSTROM2_PER_FS2_EV * torus.masses
    for place, (strain, u, v) in enumerate(_read_frames(path, samples, torus.n_atoms)):
        supercell = plain.strained(strain) if strain.any() else plain
        frames.forces[place] = supercell.energy_forces(u)[1]
        if v is not None:
            frames.kinetic_energies.append(0.5 * inertias * (v**2).sum(axis=1))
        frames.force_sds.append(_rms(supercell.force_errors(u).predictive))
        frames.pressures.append(_pressure(supercell, u))
        frames.displacements.append(_rms(u))
        frames.largest_displacements.append(float(np.linalg.norm(u, axis=1).max()))
    return frames


def _harmonic_forces(path: Path, force_field: ForceField, torus: Torus, samples: range) -> np.ndarray:
    """Forces of order 2 alone, apart from the others: two large kernels are not in memory together."""
    of_order_2 = HarmonicForces(force_field.expansion, force_field.posterior.mean, torus)
    forces = np.empty((len(samples), torus.n_atoms, 3))
    for place, (strain, u, _) in enumerate(_read_frames(path, samples, torus.n_atoms)):
        forces[place] = of_order_2(u, strain)
    return forces


def _read_frames(
    path: Path, samples: range, n_atoms: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray | None]]:
    """Strain, displacements and velocities, if kept, of samples, few of which are in memory together."""
    most = max(1, _LARGEST_BYTES // (48 * n_atoms))
    for start in range(0, len(samples), most):
        part = samples[start : start + most]
        trajectory = read_trajectory(path, samples=slice(part.start, part.stop, part.step))
        velocities = [None] * len(part) if trajectory.velocities is None else trajectory.velocities
        yield from zip(trajectory.strains, trajectory.displacements, velocities, strict=True)


def _pressure(supercell: SupercellForceField, displacements: np.ndarray) -> float:
    """Pressure without the part that displacements taken along and velocities have together, eV/Å³."""
    slope = to_voigt(supercell.strained_kernel.virial(displacements))
    volume = abs(float(np.linalg.det(supercell.lattice)))
    inside = supercell.torus.crystal.periodic_directions
    stress = stress_of_strain_slope(slope, supercell.strain)[:3][inside]
    return -float(stress.sum()) / (len(stress) * volume)


def _mean_cell(torus: Torus, strains: np.ndarray) -> dict[str, Any]:
    """Volume with its error, and mean cell."""
    volumes = torus.volume * np.linalg.det(np.eye(3) + strains)
    volume = correlated_mean(volumes[None])
    mean = strains.mean(axis=0)
    cell = Cell(strained_lattice(torus.lattice, mean)).cellpar()
    return {
        "volume_angstrom3": volume.mean,
        "volume_error_angstrom3": volume.statistical_error,
        "strain": to_voigt(mean).tolist(),
        "cell_lengths_angstrom": cell[:3].tolist(),
        "cell_angles_degree": cell[3:].tolist(),
    }


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))
