"""Predicted errors along independent trajectories, all of which run together."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.kernels.dynamics import Dynamics
from mlff_dyn.md.chunks import Span, run_replicas_in_chunks
from mlff_dyn.md.displacement_statistics import DisplacementSums
from mlff_dyn.md.start import start_at_rest_positions
from mlff_dyn.training.criteria.errors import FrameErrors, frame_errors
from mlff_dyn.training.limits import LIMITS
from mlff_dyn.training.trusted_region import Motion, TrustedRegion, trusted_region
from mlff_dyn.units import FS_PER_PS
from mlff_dyn.workflows.convergence.verdict_limits import VERDICT_LIMITS
from mlff_dyn.workflows.md.md_analysis import equilibration_steps

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mlff_dyn.kernels.dynamics import MdState
    from mlff_dyn.md.chunks import Chunk
    from mlff_dyn.model.force_field import SupercellForceField

_STREAM = 3


@dataclass(frozen=True)
class SamplingPlan:
    """Trajectories of all temperatures.

    Attributes
    ----------
    temperatures_kelvin : tuple of float
    timestep_femtoseconds : float
    n_steps : int                                 of each trajectory, equilibration included
    n_replicas : int                              trajectories per temperature
    seed : int
    displacement_limit_angstrom : float or None   None: derived from crystal and training data
    """

    temperatures_kelvin: tuple[float, ...]
    timestep_femtoseconds: float
    n_steps: int
    n_replicas: int
    seed: int
    displacement_limit_angstrom: float | None

    @property
    def frame_every(self) -> int:
        """Steps between frames: about 20 fs, less where the trajectory is short."""
        wanted = LIMITS.steps(LIMITS.frame_every_femtoseconds, self.timestep_femtoseconds)
        return max(1, min(self.n_steps // 20, wanted))

    @property
    def equilibration(self) -> int:
        """Steps at the start whose frames are left out."""
        return equilibration_steps(self.n_steps, self.timestep_femtoseconds)

    @property
    def judged_picoseconds(self) -> float:
        """Length of a trajectory after the equilibration."""
        return (self.n_steps - self.equilibration) * self.timestep_femtoseconds / FS_PER_PS

    @property
    def n_trajectories(self) -> int:
        """Of all temperatures together."""
        return len(self.temperatures_kelvin) * self.n_replicas

    @cached_property
    def kept_frames(self) -> frozenset[int]:
        """Evenly spaced numbers of the frames after equilibration, the last among them."""
        n_frames = self.n_steps // self.frame_every - self.equilibration // self.frame_every
        places = np.linspace(n_frames - 1, 0, min(VERDICT_LIMITS.kept_frames, n_frames)).round()
        return frozenset(places.astype(int).tolist())


@dataclass(frozen=True, eq=False)
class Replica:
    """One trajectory.

    Attributes
    ----------
    frames : tuple of FrameErrors
    stop : str or None         what left the trusted region, when, and what to do
    displacements : ndarray, shape (n_samples, n_atoms, 3)
        Some of the frames, evenly spaced over the whole length, Å.
    distances : DisplacementSums or None
        Statistics of the displacements in all frames.
    """

    frames: tuple[FrameErrors, ...]
    stop: str | None
    displacements: NDArray[np.float64]
    distances: DisplacementSums | None = None


def sample_replicas(
    force_field: SupercellForceField, plan: SamplingPlan, on_steps: Callable[[int, int], None]
) -> list[tuple[Replica, ...]]:
    """Run all trajectories of all temperatures.

    Parameters
    ----------
    force_field : SupercellForceField
    plan : SamplingPlan
    on_steps : callable
        Receives the steps that every trajectory has made and the number of those that still run, from time
        to time.

    Returns
    -------
    list of tuple of Replica
        One tuple for each temperature.
    """
    regions, dynamics, states = _starts(force_field, plan)
    records = [_Record(DisplacementSums(force_field.torus.numbers)) for _ in states]
    span = Span(0, plan.n_steps, plan.frame_every, seconds=0.3)
    for chunks in run_replicas_in_chunks(force_field.kernel, dynamics, states, span):
        for place, chunk in chunks.items():
            record = records[place]
            if record.stop is not None:
                continue
            region, torus = regions[place], force_field.torus
            stop = region.describe_stop(chunk.run, chunk.step, torus)
            if stop is None:
                record.add(force_field, plan, chunk)
            else:
                record.stop = f"{stop}; {region.remedy(chunk.run, torus)}"
        on_steps(max(chunk.step for chunk in chunks.values()), sum(not record.stop for record in records))
    replicas = tuple(record.replica(force_field.torus.n_atoms) for record in records)
    firsts = range(0, plan.n_trajectories, plan.n_replicas)
    return [replicas[first : first + plan.n_replicas] for first in firsts]


def _starts(
    force_field: SupercellForceField, plan: SamplingPlan
) -> tuple[list[TrustedRegion], list[Dynamics], list[MdState]]:
    """How far each trajectory may go, how it moves and where it starts; its seed is its own."""
    masses = force_field.torus.masses
    regions, dynamics, states = [], [], []
    for index, temperature in enumerate(plan.temperatures_kelvin):
        given = plan.displacement_limit_angstrom
        motion = Motion(temperature, plan.timestep_femtoseconds, plan.n_steps, given)
        region = trusted_region(force_field, motion)
        region.check_timestep(plan.timestep_femtoseconds)
        own = Dynamics(
            masses=masses,
            timestep_fs=plan.timestep_femtoseconds,
            friction_per_fs=LIMITS.friction_per_femtosecond,
            temperature_kelvin=temperature,
            displacement_limit=region.displacement_limit_angstrom,
        )
        for replica in range(plan.n_replicas):
            regions.append(region)
            dynamics.append(own)
            states.append(start_at_rest_positions(masses, temperature, (plan.seed, _STREAM, index, replica)))
    return regions, dynamics, states


@dataclass(eq=False)
class _Record:
    """What is known of a trajectory that is under way."""

    distances: DisplacementSums
    frames: list[FrameErrors] = field(default_factory=list)
    displacements: list[NDArray[np.float64]] = field(default_factory=list)
    stop: str | None = None

    def add(self, force_field: SupercellForceField, plan: SamplingPlan, chunk: Chunk) -> None:
        """Judge the frames of a piece that are past equilibration."""
        for step, displacements in zip(chunk.sample_steps, chunk.run.displacements, strict=True):
            if step <= plan.equilibration:
                continue
            if len(self.frames) in plan.kept_frames:
                self.displacements.append(displacements.copy())
            forces = force_field.vibrational_forces(displacements)
            errors = force_field.force_errors(displacements)
            self.frames.append(frame_errors(forces, errors, displacements))
            self.distances.add(displacements)

    def replica(self, n_atoms: int) -> Replica:
        """Return the finished trajectory."""
        kept = np.array(self.displacements).reshape(-1, n_atoms, 3)
        return Replica(tuple(self.frames), self.stop, kept, self.distances)


def error_series(replicas: tuple[Replica, ...], name: str) -> np.ndarray:
    """A field of `FrameErrors` along the replicas that ran to their end, shape (n_replicas, n_frames)."""
    return np.array(
        [[getattr(frame, name) for frame in replica.frames] for replica in replicas if replica.stop is None]
    )
