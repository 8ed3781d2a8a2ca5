"""Independent trajectories of the model at one temperature, sampled after their equilibration."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mlff_dyn.kernels.dynamics import Dynamics
from mlff_dyn.md.chunks import Span, run_replicas_in_chunks
from mlff_dyn.md.start import start_at_rest_positions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlff_dyn.kernels.dynamics import MdKernel
    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.md.chunks import Chunk

_SECONDS = 0.3


@dataclass(frozen=True)
class TrajectoryPlan:
    """How to run.

    Attributes
    ----------
    timestep_femtoseconds : float
    equilibration_steps : int              with a Langevin thermostat; left out
    n_steps : int                          that are sampled
    sample_every : int
    n_replicas : int
    friction_per_femtosecond : float       of the equilibration
    displacement_limit_angstrom : float
    seed : int
    keeps_energy : bool                    no thermostat after the equilibration
    """

    timestep_femtoseconds: float
    equilibration_steps: int
    n_steps: int
    sample_every: int
    n_replicas: int
    friction_per_femtosecond: float
    displacement_limit_angstrom: float
    seed: int
    keeps_energy: bool = False


def sampled_chunks(
    kernel: MdKernel,
    torus: Torus,
    temperature_kelvin: float,
    plan: TrajectoryPlan,
    watch: Callable[[Chunk, int], None],
) -> Iterator[tuple[int, Chunk]]:
    """Run all replicas together; yields the number of a replica and a piece with samples.

    Parameters
    ----------
    kernel : MdKernel
    torus : Torus
    temperature_kelvin : float
    plan : TrajectoryPlan
    watch : callable
        Sees every piece, also of the equilibration, and the number of steps that are done; raises where a
        trajectory must not go on.
    """
    bath = Dynamics(
        masses=torus.masses,
        timestep_fs=plan.timestep_femtoseconds,
        friction_per_fs=plan.friction_per_femtosecond,
        temperature_kelvin=temperature_kelvin,
        displacement_limit=plan.displacement_limit_angstrom,
    )
    keys = [(plan.seed, _STREAM, replica) for replica in range(plan.n_replicas)]
    states = [start_at_rest_positions(torus.masses, temperature_kelvin, key) for key in keys]
    first = Span(0, plan.equilibration_steps, plan.equilibration_steps, _SECONDS)
    for chunks in run_replicas_in_chunks(kernel, [bath] * len(states), states, first):
        for chunk in chunks.values():
            watch(chunk, chunk.step)
        states = [chunks[replica].state for replica in range(plan.n_replicas)]
    own = replace(bath, friction_per_fs=0.0) if plan.keeps_energy else bath
    main = Span(0, plan.n_steps, plan.sample_every, _SECONDS)
    for chunks in run_replicas_in_chunks(kernel, [own] * len(states), states, main):
        for replica, chunk in chunks.items():
            watch(chunk, plan.equilibration_steps + chunk.step)
            yield replica, chunk


_STREAM = 13
