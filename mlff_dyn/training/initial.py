"""First structures, before any force field exists."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.md.start import displacement_limit, start_at_rest_positions
from mlff_dyn.training.exploration import exploring_dynamics
from mlff_dyn.training.limits import LIMITS, DecisionLimits
from mlff_dyn.training.trusted_region import Motion, thermal_limit
from mlff_dyn.training.walk import is_sound

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.kernels.dynamics import MdKernel
    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.model.harmonic_modes import HarmonicModes


def rattled_displacements(n_atoms: int, sd_angstrom: float, seed: tuple[int, ...]) -> NDArray[np.float64]:
    """Independent normal displacements without rigid shift.

    Parameters
    ----------
    n_atoms : int
    sd_angstrom : float
        Standard deviation of a component.
    seed : tuple of int
        Any numbers that name this structure.

    Returns
    -------
    ndarray, shape (n_atoms, 3)     Å
    """
    drawn = sd_angstrom * np.random.default_rng(seed).standard_normal((n_atoms, 3))
    return np.asarray(drawn - drawn.mean(axis=0))


def thermal_displacements(
    kernel: MdKernel,
    torus: Torus,
    *,
    temperature_kelvin: float,
    timestep_femtoseconds: float,
    count: int,
    seed: tuple[int, ...],
    modes: HarmonicModes | None,
    limits: DecisionLimits = LIMITS,
) -> list[NDArray[np.float64]]:
    """Frames of molecular dynamics that starts on the reference structure, 100 fs apart.

    Parameters
    ----------
    kernel : MdKernel
    torus : Torus
    temperature_kelvin, timestep_femtoseconds : float
    count : int
    seed : tuple of int
        Any numbers that name this trajectory.
    modes : HarmonicModes or None
        Of order 2 of the kernel, if it has one.
    limits : DecisionLimits

    Returns
    -------
    list of ndarray, shape (n_atoms, 3)
        Å; at most ``count``, fewer where the trajectory leaves the trusted region.
    """
    farthest = None
    if modes is not None:
        n_steps = limits.steps(limits.equilibration_femtoseconds, timestep_femtoseconds)
        motion = Motion(temperature_kelvin, timestep_femtoseconds, (1 + count) * n_steps)
        farthest = thermal_limit(modes, torus, motion, limits)
    dynamics = exploring_dynamics(torus, temperature_kelvin, timestep_femtoseconds, limits, farthest=farthest)
    state = start_at_rest_positions(torus.masses, temperature_kelvin, seed)
    stride = limits.steps(limits.start_frame_every_femtoseconds, timestep_femtoseconds)
    equilibration = limits.steps(limits.equilibration_femtoseconds, timestep_femtoseconds)
    start = kernel.run(state, dynamics, equilibration, equilibration)
    if start.stopped_step is not None or count == 0:
        return []
    run = kernel.run(start.state, dynamics, count * stride, stride)
    return [u - u.mean(axis=0) for u in run.displacements[is_sound(run.displacements, dynamics, limits)]]


def phonon_displacements(
    modes: HarmonicModes,
    torus: Torus,
    temperature_kelvin: float,
    seed: tuple[int, ...],
    *,
    is_quantum: bool = False,
    limits: DecisionLimits = LIMITS,
) -> NDArray[np.float64]:
    """Displacements of a harmonic crystal, unstable modes taken for stable ones.

    Scaled down, as a whole, where an atom would be farther from its site than labelled frames may be.

    Parameters
    ----------
    modes : HarmonicModes
        Of the torus.
    torus : Torus
    temperature_kelvin : float
    seed : tuple of int
        Any numbers that name this structure.
    is_quantum : bool
        With the zero-point motion.
    limits : DecisionLimits

    Returns
    -------
    ndarray, shape (n_atoms, 3)     Å
    """
    drawn = modes.sample(temperature_kelvin, np.random.default_rng(seed), is_quantum=is_quantum)
    farthest = limits.label_fraction * displacement_limit(torus.crystal)
    return np.asarray(drawn * min(1.0, farthest / max(float(np.linalg.norm(drawn, axis=1).max()), 1e-12)))


INITIAL_STRUCTURES = ("rattle", "springs", "thermal")
"""Kinds of first structures."""
