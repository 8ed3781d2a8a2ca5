"""How trajectories of the model are run for phonons at a temperature, and where they must stay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlff_dyn.errors import SimulationError
from mlff_dyn.observables.effective.trajectories import TrajectoryPlan
from mlff_dyn.training.limits import LIMITS
from mlff_dyn.training.trusted_region import Motion, trusted_region

if TYPE_CHECKING:
    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.md.chunks import Chunk
    from mlff_dyn.model.force_field import ForceField
    from mlff_dyn.report.progress import Progress
    from mlff_dyn.training.trusted_region import TrustedRegion

_FRACTION_OF_LONGEST_STEP = 0.5
"""Time step over the longest that resolves the fastest vibration."""


@dataclass(frozen=True, eq=False)
class ModelDynamics:
    """Trajectories of a model.

    Attributes
    ----------
    plan : TrajectoryPlan
    region : TrustedRegion
    torus : Torus
    """

    plan: TrajectoryPlan
    region: TrustedRegion
    torus: Torus

    @property
    def n_steps(self) -> int:
        """Steps of each trajectory, equilibration included."""
        return self.plan.equilibration_steps + self.plan.n_steps

    def watch(self, chunk: Chunk, step: int) -> None:
        """Refuse to go on where a trajectory leaves the trusted region.

        Raises
        ------
        SimulationError
            If it does.
        """
        stop = self.region.describe_stop(chunk.run, step, self.torus)
        if stop is not None:
            raise SimulationError(stop, fix=self.region.remedy(chunk.run, self.torus))

    def watcher(self, progress: Progress, name: str) -> Watcher:
        """Begin a task of the progress display; what is returned shows every piece, and checks it."""
        progress.start(self.n_steps, f"{name}, steps of {self.plan.n_replicas} trajectories")
        return Watcher(self, progress)


@dataclass(frozen=True, eq=False)
class Watcher:
    """See `ModelDynamics.watcher`."""

    dynamics: ModelDynamics
    progress: Progress

    def __call__(self, chunk: Chunk, step: int) -> None:
        """Check a piece and show its last step."""
        self.dynamics.watch(chunk, step)
        self.progress.update(step)


def plan_dynamics(
    force_field: ForceField,
    torus: Torus,
    motion: Motion,
    *,
    n_replicas: int,
    sample_every_femtoseconds: float,
    seed: int,
    keeps_energy: bool = False,
) -> ModelDynamics:
    """Plan trajectories.

    Parameters
    ----------
    force_field : ForceField
    torus : Torus
    motion : Motion
        With the longest time step to be taken, and the steps that are sampled; shorter ones are made more.
    n_replicas : int
    sample_every_femtoseconds : float
    seed : int
    keeps_energy : bool
        No thermostat after the equilibration.
    """
    region = trusted_region(force_field.on(torus), motion)
    wanted = motion.timestep_femtoseconds
    timestep = min(wanted, _FRACTION_OF_LONGEST_STEP * region.longest_timestep_femtoseconds)
    plan = TrajectoryPlan(
        timestep_femtoseconds=timestep,
        equilibration_steps=LIMITS.steps(LIMITS.equilibration_femtoseconds, timestep),
        n_steps=max(1, round(motion.n_steps * wanted / timestep)),
        sample_every=LIMITS.steps(sample_every_femtoseconds, timestep),
        n_replicas=n_replicas,
        friction_per_femtosecond=LIMITS.friction_per_femtosecond,
        displacement_limit_angstrom=region.displacement_limit_angstrom,
        seed=seed,
        keeps_energy=keeps_energy,
    )
    return ModelDynamics(plan, region, torus)
