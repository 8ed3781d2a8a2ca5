"""`run-md`: molecular dynamics on the trained force field, resumable at any moment."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from mlff_dyn.errors import DataError, UsageError
from mlff_dyn.kernels.dynamics import Dynamics
from mlff_dyn.report.answer import DryRun, Report, explain_nulls, write_report
from mlff_dyn.store.json_file import digest, finite_or_null, read_json, to_plain, write_json
from mlff_dyn.store.lock import RunLock
from mlff_dyn.store.trajectory import check_trajectory
from mlff_dyn.store.trajectory_layout import Storage
from mlff_dyn.training.limits import LIMITS
from mlff_dyn.training.trusted_region import Motion, trusted_region
from mlff_dyn.units import EV_PER_ANGSTROM3_GPA
from mlff_dyn.workflows.constant_pressure import barostat_of
from mlff_dyn.workflows.md.md_analysis import analyze_trajectory
from mlff_dyn.workflows.md.md_inputs import inputs_of_trajectory
from mlff_dyn.workflows.md.md_report import DONE, UNRELIABLE, WHY_NULL, MdReport, TrajectorySummary
from mlff_dyn.workflows.md.places import place_of_trajectory
from mlff_dyn.workflows.md.trajectory_checks import TRAJECTORY_LIMITS, trajectory_warnings
from mlff_dyn.workflows.md.trajectory_run import MdPlan, run_trajectory
from mlff_dyn.workflows.setup.workspace import Workspace
from mlff_dyn.workflows.training.trained_model import read_trained

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from mlff_dyn.config.schema import Config, MdConfig
    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.md.barostat import Barostat
    from mlff_dyn.model.force_field import ForceField
    from mlff_dyn.report.progress import Progress

_logger = logging.getLogger(__name__)

_STREAM = 5
_FORMAT, _VERSION = "mlff-dyn run-md", 1


def run_md(
    config: Config, *, dry_run: bool, force: bool, progress: Progress, allow_unconverged: bool = False
) -> Report:
    """Run one trajectory for each temperature; the same call again goes on where the last one ended.

    Parameters
    ----------
    config : Config
    dry_run : bool
        Say what would be done, write nothing.
    force : bool
        Start again where there are results, also those of other inputs.
    progress : Progress
    allow_unconverged : bool
        Take the model also where its training did not end, did not converge, or had other settings.

    Raises
    ------
    UsageError
        If there are trajectories of other inputs and ``force`` is not set.
    SimulationError
        If an atom leaves the trusted region; the trajectory up to there is kept.
    NotConverged
        If the training of the model did not converge or had other settings.
    DataError
        If there is no model for this configuration, or a file cannot be read or written.
    """
    workspace = Workspace(config)
    force_field = read_trained(workspace, allow_unconverged=allow_unconverged)
    torus = workspace.supercell(config.md.supercell)
    if dry_run:
        return _dry_run(config, torus)
    with RunLock(workspace.directory):
        plans = [
            _plan(workspace, force_field, torus, temperature) for temperature in config.md.temperatures_kelvin
        ]
        made: list[tuple[TrajectorySummary, bool]] = []
        with _finished_told_on_failure(made, progress):
            for plan in plans:
                made.append(_run_one(plan, force_field, torus, force=force, progress=progress))  # noqa: PERF401
        is_new = any(new for _, new in made)
        report = _report(config, force_field, [summary for summary, _ in made], is_new=is_new)
        path = workspace.directory / "md.json"
        if is_new or not path.exists():
            write_report(path, report)
    return report


def _report(
    config: Config, force_field: ForceField, made: Sequence[TrajectorySummary], *, is_new: bool
) -> MdReport:
    limit = config.convergence.force_error_limit_relative
    trained = force_field.training
    warnings = tuple(line for summary in made for line in trajectory_warnings(summary, trained, limit))
    worst = max(summary.error_relative for summary in made)
    status = UNRELIABLE if worst > TRAJECTORY_LIMITS.unreliable_error_relative else DONE
    return MdReport(status, tuple(made), warnings, up_to_date=not is_new)


def _dry_run(config: Config, torus: Torus) -> DryRun:
    md = config.md
    n_frames = md.n_steps // md.sample_every
    n_bytes = n_frames * _storage(md).bytes_per_sample(torus.n_atoms)
    sizes: dict[str, object] = {
        "n_atoms": torus.n_atoms,
        "n_steps": md.n_steps,
        "temperatures_k": list(md.temperatures_kelvin),
        "n_frames_per_trajectory": n_frames,
        "trajectory_size_mebibyte": round(n_bytes / 2**20, 1),
    }
    return DryRun(MdReport, sizes)


def _plan(workspace: Workspace, force_field: ForceField, torus: Torus, temperature: float) -> MdPlan:
    config = workspace.config
    md = config.md
    motion = Motion(temperature, md.timestep_femtoseconds, md.n_steps, md.displacement_limit_angstrom)
    region = trusted_region(force_field.on(torus), motion)
    region.check_timestep(md.timestep_femtoseconds)
    if md.ensemble == "npt":
        region = replace(region, least_potential_energy=-float("inf"))
    dynamics = Dynamics(
        masses=torus.masses,
        timestep_fs=md.timestep_femtoseconds,
        friction_per_fs=_friction_per_fs(md),
        temperature_kelvin=temperature,
        displacement_limit=region.displacement_limit_angstrom,
        thermostat=md.thermostat,
    )
    inputs = inputs_of_trajectory(workspace, torus, temperature)
    return MdPlan(
        directory=workspace.directory / place_of_trajectory(temperature, config.seed),
        dynamics=dynamics,
        region=region,
        barostat=_barostat(config, torus, dynamics),
        n_steps=md.n_steps,
        sample_every=md.sample_every,
        seed=config.seed,
        precision=md.precision,
        n_threads=md.n_threads,
        storage=_storage(md),
        identity=digest(inputs),
        inputs=inputs,
    )


def _storage(md: MdConfig) -> Storage:
    return Storage(velocities="velocities" in md.store, precision=md.store_precision)


def _barostat(config: Config, torus: Torus, dynamics: Dynamics) -> Barostat | None:
    if config.md.ensemble != "npt":
        return None
    temperature = dynamics.temperature_kelvin
    return barostat_of(
        config.md,
        torus,
        temperature,
        adapt_steps=LIMITS.steps(LIMITS.equilibration_femtoseconds, dynamics.timestep_fs),
        seed=(config.seed, _STREAM, round(1e6 * temperature)),
    )


def _friction_per_fs(md: MdConfig) -> float:
    """Rate at which the thermostat acts; 0 without one."""
    if md.ensemble == "nve":
        return 0.0
    return {
        "langevin": 1e-3 * md.friction_per_picosecond,
        "bussi": 1.0 / md.thermostat_time_femtoseconds,
    }[md.thermostat]


def _run_one(
    plan: MdPlan, force_field: ForceField, torus: Torus, *, force: bool, progress: Progress
) -> tuple[TrajectorySummary, bool]:
    """Summary of the trajectory, and whether it was run just now."""
    finished = None if force else _finished(plan)
    if finished is not None and finished.n_steps == plan.n_steps:
        return finished, False
    if finished is not None and finished.n_steps > plan.n_steps:
        raise UsageError(
            f"{plan.directory} holds a trajectory of {finished.n_steps} steps, more than md.n_steps",
            fix="raise md.n_steps, or replace it with --force",
        )
    seconds = run_trajectory(
        plan,
        force_field.on(torus, precision=plan.precision, n_threads=plan.n_threads),
        force=force,
        progress=progress,
    )
    analysis = analyze_trajectory(
        plan.trajectory_path,
        force_field,
        torus,
        equilibration=plan.equilibration,
        n_threads=plan.n_threads,
    )
    summary = TrajectorySummary(
        directory=f"md/{plan.directory.name}",
        temperature_k=plan.dynamics.temperature_kelvin,
        seed=plan.seed,
        ensemble=plan.ensemble,
        n_atoms=torus.n_atoms,
        n_steps=plan.n_steps,
        timestep_fs=plan.dynamics.timestep_fs,
        steps_per_second=plan.n_steps / max(seconds, 1e-9),
        displacement_limit_angstrom=plan.dynamics.displacement_limit,
        target_pressure_gigapascal=None
        if plan.barostat is None
        else plan.barostat.pressure * EV_PER_ANGSTROM3_GPA,
        **vars(analysis),
    )
    known: Any = finite_or_null(to_plain(asdict(summary)))
    stamp = {"null_reasons": explain_nulls(known, WHY_NULL), "identity": plan.identity, "inputs": plan.inputs}
    write_json(plan.directory / "md.json", {**known, **stamp}, format_name=_FORMAT, version=_VERSION)
    return summary, True


@contextmanager
def _finished_told_on_failure(
    made: Sequence[tuple[TrajectorySummary, bool]], progress: Progress
) -> Iterator[None]:
    """Where a trajectory ends with an error, show first those that are finished."""
    try:
        yield
    except BaseException:
        for label, text in (row for summary, _ in made for row in summary.rows()):
            progress.log(f"{label}: {text}")
        raise


def _finished(plan: MdPlan) -> TrajectorySummary | None:
    """Summary of an earlier run of the same inputs.

    Raises
    ------
    UsageError
        If the directory holds a finished run of other inputs.
    """
    path: Path = plan.directory / "md.json"
    if not (path.exists() and plan.trajectory_path.exists()):
        return None
    try:
        content = read_json(path, format_name=_FORMAT, version=_VERSION)
        identity, inputs = content.pop("identity"), content.pop("inputs")
        content.pop("null_reasons", None)
        summary = TrajectorySummary(**content)
    except (DataError, KeyError, TypeError):
        return None
    if identity != plan.identity:
        changed = [name for name in plan.inputs if inputs.get(name) != plan.inputs[name]]
        raise UsageError(
            f"{plan.directory} holds a trajectory of other inputs (changed: {', '.join(changed)})",
            fix="replace it with --force, or choose another seed or run_dir",
        )
    return summary if _is_whole(plan, summary) else None


def _is_whole(plan: MdPlan, summary: TrajectorySummary) -> bool:
    """Whether the trajectory holds all samples of its summary as they were written."""
    try:
        n_samples = len(check_trajectory(plan.trajectory_path))
    except DataError as error:
        _logger.warning("%s; it is run again", error.message)
        return False
    return n_samples == summary.n_frames
