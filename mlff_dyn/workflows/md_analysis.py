"""What a finished trajectory says about the force field and the crystal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.md.anharmonicity import anharmonicity
from mlff_dyn.md.temperature import mean_temperature
from mlff_dyn.store.trajectory import read_trajectory
from mlff_dyn.store.trajectory_layout import open_trajectory, read_valid_steps

if TYPE_CHECKING:
    from pathlib import Path

    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.model.force_field import ForceField

EQUILIBRATION_FEMTOSECONDS = 500.0
_MOST_FRAMES, _LEAST_FRAMES = 100, 4
_MOST_COMPONENTS = 2_000_000


@dataclass(frozen=True)
class TrajectoryAnalysis:
    """Averages over the equilibrated part of a trajectory; None without frames.

    Attributes
    ----------
    n_frames : int                                  in the whole file
    mean_temperature_k : float or None
    force_sd_mean, force_sd_max : float or None     eV/Å
    force_rms_ev_per_angstrom : float or None
    sigma_a : float or None
    largest_displacement_angstrom : float or None
    """

    n_frames: int
    mean_temperature_k: float | None = None
    force_sd_mean: float | None = None
    force_sd_max: float | None = None
    force_rms_ev_per_angstrom: float | None = None
    sigma_a: float | None = None
    largest_displacement_angstrom: float | None = None


def equilibration_steps(n_steps: int, timestep_femtoseconds: float) -> int:
    """Steps to leave out: 0.5 ps, or half of a run that is shorter than 1 ps."""
    return min(n_steps // 2, round(EQUILIBRATION_FEMTOSECONDS / timestep_femtoseconds))


def analyze_trajectory(
    path: Path, force_field: ForceField, torus: Torus, *, equilibration: int
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
    """
    with open_trajectory(path) as file:
        steps = read_valid_steps(file)
        kinetic = file["kinetic_energies"][: len(steps)]
    first = int(np.searchsorted(steps, equilibration, side="right"))
    n_frames = len(steps) - first
    if n_frames < 1:
        return TrajectoryAnalysis(len(steps))
    wanted = max(_LEAST_FRAMES, min(_MOST_FRAMES, _MOST_COMPONENTS // (3 * torus.n_atoms)))
    stride = max(1, n_frames // wanted)
    frames = read_trajectory(path, samples=slice(first, None, stride)).displacements
    supercell = force_field.on(torus)
    forces = np.array([supercell.energy_forces(u)[1] for u in frames])
    sd = _force_sd(force_field, torus, frames)
    return TrajectoryAnalysis(
        n_frames=len(steps),
        mean_temperature_k=mean_temperature(kinetic[first:], torus.n_atoms),
        force_sd_mean=float(sd.mean()),
        force_sd_max=float(sd.max()),
        force_rms_ev_per_angstrom=float(np.sqrt(np.mean(forces**2))),
        sigma_a=anharmonicity(forces, harmonic_forces(force_field, torus, frames)),
        largest_displacement_angstrom=float(np.linalg.norm(frames, axis=-1).max()),
    )


def harmonic_forces(force_field: ForceField, torus: Torus, frames: np.ndarray) -> np.ndarray:
    """Forces (eV/Å) of order 2 alone at displacements (Å), both of shape (n_frames, n_atoms, 3)."""
    harmonic = np.where(force_field.basis.parameter_orders == 2, force_field.posterior.mean, 0.0)
    kernel = force_field.expansion.on(torus).kernel(harmonic)
    return np.array([kernel.energy_forces(u)[1] for u in frames])


def _force_sd(force_field: ForceField, torus: Torus, frames: np.ndarray) -> np.ndarray:
    """Root mean square predictive error of each frame, eV/Å."""
    supercell = force_field.on(torus)
    return np.array([np.sqrt(np.mean(supercell.force_errors(u).predictive ** 2)) for u in frames])
