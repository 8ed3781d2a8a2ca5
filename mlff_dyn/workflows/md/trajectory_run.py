"""One trajectory on disk: run, sampled, saved every second, resumed from its checkpoint."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mlff_dyn.errors import DataError, SimulationError, UsageError
from mlff_dyn.kernels import BACKEND
from mlff_dyn.kernels.dynamics import SAMPLED
from mlff_dyn.md.barostat import is_outside, run_npt_in_chunks, start_cell
from mlff_dyn.md.chunks import Span, run_in_chunks
from mlff_dyn.md.start import start_at_rest_positions
from mlff_dyn.md.temperature import mean_temperature
from mlff_dyn.store.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from mlff_dyn.store.trajectory import TrajectoryWriter, check_trajectory, part_path
from mlff_dyn.units import EV_PER_ANGSTROM3_GPA, format_kelvin
from mlff_dyn.workflows.md.md_analysis import equilibration_steps
from mlff_dyn.workflows.md.places import TRAJECTORY_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlff_dyn.kernels.dynamics import Dynamics
    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.md.barostat import Barostat
    from mlff_dyn.md.chunks import Chunk
    from mlff_dyn.model.force_field import SupercellForceField
    from mlff_dyn.report.progress import Progress
    from mlff_dyn.store.trajectory_layout import Storage
    from mlff_dyn.training.trusted_region import TrustedRegion

_logger = logging.getLogger(__name__)

_STREAM = 4


@dataclass(frozen=True, eq=False)
class MdPlan:
    """What to run, and where.

    Attributes
    ----------
    directory : Path
    dynamics : Dynamics
    region : TrustedRegion
    barostat : Barostat or None
    n_steps, sample_every, seed : int
    precision : str     of the forces
    n_threads : int or None
    storage : Storage    what is kept of a sample
    identity : str      digest of ``inputs``
    inputs : dict       all that the trajectory depends on but its length; plain values
    """

    directory: Path
    dynamics: Dynamics
    region: TrustedRegion
    barostat: Barostat | None
    n_steps: int
    sample_every: int
    seed: int
    precision: str
    n_threads: int | None
    storage: Storage
    identity: str
    inputs: dict[str, Any]

    @property
    def trajectory_path(self) -> Path:
        """Finished trajectory."""
        return self.directory / TRAJECTORY_NAME

    @property
    def checkpoint_path(self) -> Path:
        """State to go on from; also of a finished run, so that it can be made longer."""
        return self.directory / "checkpoint.h5"

    @property
    def ensemble(self) -> str:
        """Ensemble, nve, nvt or npt."""
        if self.barostat is not None:
            return "npt"
        return "nvt" if self.dynamics.friction_per_fs > 0.0 else "nve"

    @property
    def equilibration(self) -> int:
        """Steps that no average contains: with a barostat all those in which it adapts."""
        if self.barostat is not None:
            return self.barostat.adapt_steps
        return equilibration_steps(self.n_steps, self.dynamics.timestep_fs)


def run_trajectory(
    plan: MdPlan, force_field: SupercellForceField, *, force: bool, progress: Progress
) -> float:
    """Run a trajectory to its end, from where it is.

    Parameters
    ----------
    plan : MdPlan
    force_field : SupercellForceField
    force : bool
        Start again whatever is there.
    progress : Progress

    Returns
    -------
    float
        Wall time in dynamics, s, earlier calls included.

    Raises
    ------
    SimulationError
        If an atom or the cell leaves the trusted region.
    UsageError
        If a trajectory of other inputs was begun here and ``force`` is not set.
    """
    checkpoint, writer = _open(plan, force_field.torus, force=force)
    (plan.directory / "md.json").unlink(missing_ok=True)
    step, seconds = checkpoint.step, checkpoint.seconds
    progress.start(plan.n_steps, f"dynamics at {format_kelvin(plan.dynamics.temperature_kelvin)} K")
    progress.update(step)
    with writer:
        for chunk in _chunks(plan, force_field, checkpoint):
            _append(writer, chunk)
            _check_end(plan, chunk, force_field.torus)
            seconds += chunk.seconds
            write_checkpoint(
                plan.checkpoint_path, Checkpoint(plan.identity, chunk.step, seconds, chunk.state, chunk.cell)
            )
            progress.update(chunk.step, **_shown(chunk, force_field.torus))
        writer.finish()
    progress.stop()
    return seconds


def _chunks(plan: MdPlan, force_field: SupercellForceField, checkpoint: Checkpoint) -> Iterator[Chunk]:
    """Go on from a checkpoint."""
    span = Span(checkpoint.step, plan.n_steps, plan.sample_every)
    start = (plan.dynamics, checkpoint.state)
    if plan.barostat is None:
        return run_in_chunks(force_field.kernel, *start, span)
    cell = checkpoint.cell or start_cell(plan.barostat)
    return run_npt_in_chunks(force_field.strained_kernel, plan.barostat, *start, span, cell=cell)


def _check_end(plan: MdPlan, chunk: Chunk, torus: Torus) -> None:
    """Refuse to go on where an atom, the energy or the cell left the trusted region."""
    kept = f"; the trajectory up to there is {part_path(plan.trajectory_path)}"
    stop = plan.region.describe_stop(chunk.run, chunk.step, torus)
    if stop is not None:
        raise SimulationError(stop + kept, fix=plan.region.remedy(chunk.run, torus))
    if plan.barostat is None or chunk.cell is None or not is_outside(plan.barostat, chunk.cell):
        return
    largest = 100.0 * float(np.abs(np.linalg.eigvalsh(chunk.cell.strain)).max())
    limit = 100.0 * plan.barostat.strain_limit
    raise SimulationError(
        f"at {format_kelvin(plan.dynamics.temperature_kelvin)} K, step {chunk.step}, "
        f"the cell is strained by {largest:.2g} %; md.strain_limit is {limit:.2g} %{kept}",
        fix="lower the temperature or the pressure, train on strained cells, or raise md.strain_limit",
    )


def _open(plan: MdPlan, torus: Torus, *, force: bool) -> tuple[Checkpoint, TrajectoryWriter]:
    checkpoint = None if force else read_checkpoint(plan.checkpoint_path)
    if checkpoint is not None and checkpoint.identity != plan.identity:
        raise UsageError(
            f"{plan.directory} holds the beginning of a trajectory of other inputs",
            fix="replace it with --force, or choose another seed or run_dir",
        )
    if checkpoint is not None and _has_all_samples(plan, checkpoint.step):
        return checkpoint, TrajectoryWriter.resume(plan.trajectory_path, last_step=checkpoint.step)
    plan.checkpoint_path.unlink(missing_ok=True)
    temperature = plan.dynamics.temperature_kelvin
    seed = (plan.seed, _STREAM, round(1e6 * temperature))
    keeps_energy = plan.ensemble == "nve"
    state = start_at_rest_positions(torus.masses, temperature, seed, keeps_energy=keeps_energy)
    attributes = {
        "identity": plan.identity,
        "ensemble": plan.ensemble,
        "seed": plan.seed,
        "temperature_kelvin": temperature,
        "timestep_femtoseconds": plan.dynamics.timestep_fs,
        "thermostat": "none" if plan.ensemble == "nve" else plan.dynamics.thermostat,
        "friction_per_femtosecond": plan.dynamics.friction_per_fs,
        "precision": plan.precision,
        "sample_every": plan.sample_every,
        "kernels": BACKEND,
    }
    if plan.barostat is not None:
        attributes["pressure_gigapascal"] = plan.barostat.pressure * EV_PER_ANGSTROM3_GPA
        attributes["barostat_shape"] = plan.barostat.shape
        attributes["barostat_interval_steps"] = plan.barostat.interval_steps
    crystal = (torus.numbers, torus.lattice, torus.positions)
    writer = TrajectoryWriter.create(
        plan.trajectory_path,
        *crystal,
        attributes,
        masses=torus.masses,
        periodic=np.array(torus.crystal.periodic),
        storage=plan.storage,
    )
    return Checkpoint(plan.identity, 0, 0.0, state), writer


def _has_all_samples(plan: MdPlan, step: int) -> bool:
    """Whether the file holds every sample up to a checkpoint: after a power cut it may lag behind."""
    part = part_path(plan.trajectory_path)
    try:
        steps = check_trajectory(part if part.exists() else plan.trajectory_path)
    except DataError as error:
        _logger.warning("%s; the trajectory is run again", error.message)
        return False
    return bool(np.count_nonzero(steps <= step) == step // plan.sample_every)


def _append(writer: TrajectoryWriter, chunk: Chunk) -> None:
    if len(chunk.sample_steps):
        writer.append(
            **{name: getattr(chunk.run, name) for name in SAMPLED},
            steps=chunk.sample_steps,
            strains=chunk.strains,
        )


def _shown(chunk: Chunk, torus: Torus) -> dict[str, object]:
    values: dict[str, object] = {"speed": f"{chunk.n_steps / max(chunk.seconds, 1e-9):.0f}/s"}
    if len(chunk.sample_steps):
        mean = mean_temperature(chunk.run.kinetic_energies, torus.n_atoms)
        values["temperature"] = f"{mean:.0f} K"
    if chunk.cell is not None:
        values["volume"] = f"{100.0 * np.linalg.det(np.eye(3) + chunk.cell.strain):.2f} %"
    return values
