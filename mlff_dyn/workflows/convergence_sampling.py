"""Predicted errors along independent trajectories at one temperature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.kernels.dynamics import Dynamics
from mlff_dyn.md.chunks import run_in_chunks
from mlff_dyn.md.start import displacement_limit, start_at_rest_positions
from mlff_dyn.training.criteria import FrameErrors, frame_errors
from mlff_dyn.workflows.md_analysis import equilibration_steps
from mlff_dyn.workflows.md_run import describe_stop

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mlff_dyn.model.force_field import SupercellForceField

FRICTION_PER_FEMTOSECOND = 0.01
_FRAME_EVERY_FEMTOSECONDS = 20.0
_STREAM = 3
_KEPT_FRAMES = 10


@dataclass(frozen=True)
class SamplingPlan:
    """Trajectories of one temperature.

    Attributes
    ----------
    temperature_kelvin : float
    temperature_index : int                       its place in the list of temperatures
    timestep_femtoseconds : float
    n_steps : int                                 of each trajectory, equilibration included
    n_replicas : int
    seed : int
    displacement_limit_angstrom : float or None   None: derived from crystal and training data
    """

    temperature_kelvin: float
    temperature_index: int
    timestep_femtoseconds: float
    n_steps: int
    n_replicas: int
    seed: int
    displacement_limit_angstrom: float | None

    @property
    def frame_every(self) -> int:
        """Steps between frames: about 20 fs, less where the trajectory is short."""
        return max(1, min(self.n_steps // 20, round(_FRAME_EVERY_FEMTOSECONDS / self.timestep_femtoseconds)))

    @property
    def equilibration(self) -> int:
        """Steps at the start whose frames are left out."""
        return equilibration_steps(self.n_steps, self.timestep_femtoseconds)


@dataclass(frozen=True, eq=False)
class Replica:
    """One trajectory.

    Attributes
    ----------
    frames : tuple of FrameErrors
    stop : str or None         which atom left the trusted region, and when
    displacements : ndarray, shape (n_samples, n_atoms, 3)
        Some of the frames, evenly spaced, Å.
    """

    frames: tuple[FrameErrors, ...]
    stop: str | None
    displacements: NDArray[np.float64]


def sample_replicas(
    force_field: SupercellForceField, plan: SamplingPlan, on_steps: Callable[[int], None]
) -> tuple[Replica, ...]:
    """Run all trajectories of a temperature.

    Parameters
    ----------
    force_field : SupercellForceField
    plan : SamplingPlan
    on_steps : callable
        Receives the steps made in this temperature, from time to time.
    """
    torus = force_field.torus
    trained = force_field.force_field.training.displacement_max_angstrom
    dynamics = Dynamics(
        masses=torus.masses,
        timestep_fs=plan.timestep_femtoseconds,
        friction_per_fs=FRICTION_PER_FEMTOSECOND,
        temperature_kelvin=plan.temperature_kelvin,
        displacement_limit=plan.displacement_limit_angstrom or displacement_limit(torus.crystal, trained),
    )
    return tuple(_run(force_field, plan, dynamics, index, on_steps) for index in range(plan.n_replicas))


def _run(
    force_field: SupercellForceField,
    plan: SamplingPlan,
    dynamics: Dynamics,
    index: int,
    on_steps: Callable[[int], None],
) -> Replica:
    seed = (plan.seed, _STREAM, plan.temperature_index, index)
    state = start_at_rest_positions(dynamics.masses, plan.temperature_kelvin, seed)
    frames: list[FrameErrors] = []
    sampled: list[NDArray[np.float64]] = []
    chunks = run_in_chunks(
        force_field.kernel,
        dynamics,
        state,
        step=0,
        n_steps=plan.n_steps,
        sample_every=plan.frame_every,
        seconds=0.3,
    )
    for chunk in chunks:
        for step, displacements in zip(chunk.sample_steps, chunk.run.displacements, strict=True):
            if step > plan.equilibration:
                _, forces = force_field.energy_forces(displacements)
                sampled.append(displacements)
                frames.append(frame_errors(forces, force_field.force_errors(displacements)))
        on_steps(index * plan.n_steps + chunk.step)
        if chunk.run.stopped_step is not None:
            stop = describe_stop(chunk.run, chunk.step, force_field.torus, dynamics)
            return Replica(tuple(frames), stop, _thinned(sampled, force_field.torus.n_atoms))
    return Replica(tuple(frames), None, _thinned(sampled, force_field.torus.n_atoms))


def _thinned(frames: list[NDArray[np.float64]], n_atoms: int) -> NDArray[np.float64]:
    """Evenly spaced frames, the last among them."""
    n_kept = min(_KEPT_FRAMES, len(frames))
    places = np.linspace(len(frames) - 1, 0, n_kept).round().astype(int)[::-1]
    return np.array([frames[place] for place in places]).reshape(n_kept, n_atoms, 3)


def error_series(replicas: tuple[Replica, ...], name: str) -> np.ndarray:
    """A field of `FrameErrors` along the replicas that ran to their end, shape (n_replicas, n_frames)."""
    return np.array(
        [[getattr(frame, name) for frame in replica.frames] for replica in replicas if replica.stop is None]
    )
