"""`check-convergence`: is the force field good enough, judged without any reference calculation."""

from __future__ import annotations

import hashlib
import json
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.report.answer import DryRun, Report, read_report, write_report
from mlff_dyn.report.plots import ErrorTrace, plot_convergence
from mlff_dyn.store.lock import RunLock
from mlff_dyn.training.frame_choice import outlook
from mlff_dyn.units import format_kelvin
from mlff_dyn.workflows.convergence.convergence_report import (
    CONVERGED,
    NOT_CONVERGED,
    ConvergenceReport,
    TemperatureVerdict,
    describe_limit,
)
from mlff_dyn.workflows.convergence.sampling import SamplingPlan, error_series, sample_replicas
from mlff_dyn.workflows.convergence.verdict import judge
from mlff_dyn.workflows.setup.workspace import Workspace, digest
from mlff_dyn.workflows.stability import stability_warnings
from mlff_dyn.workflows.training.trained_model import read_trained

if TYPE_CHECKING:
    from pathlib import Path

    from mlff_dyn.config.schema import Config
    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.model.force_field import ForceField
    from mlff_dyn.report.progress import Progress
    from mlff_dyn.workflows.convergence.sampling import Replica

_NO_FRAMES = np.empty((0, 0, 3))


def check_convergence(
    config: Config, *, dry_run: bool, force: bool, progress: Progress, allow_unconverged: bool = False
) -> Report:
    """Average the predicted force error over independent trajectories at every temperature.

    The trajectories differ from those of training and of `run-md`; they run in the cell of ``md.supercell``.

    Parameters
    ----------
    config : Config
    dry_run : bool
        Say what would be done, write nothing.
    force : bool
        Run again although nothing has changed.
    progress : Progress
    allow_unconverged : bool
        Take the model also where its training did not end, did not converge, or had other settings.

    Raises
    ------
    NotConverged
        If the training of the model did not converge or had other settings.
    DataError
        If there is no model for this configuration, or a file cannot be written.
    """
    workspace = Workspace(config)
    force_field = read_trained(workspace, allow_unconverged=allow_unconverged)
    torus = workspace.supercell(config.md.supercell)
    if dry_run:
        return _dry_run(config, torus)
    with RunLock(workspace.directory):
        inputs = _inputs(workspace, torus)
        finished = None if force else _finished(workspace.directory, inputs)
        if finished is not None:
            return finished
        return _check(workspace, force_field, torus, inputs, progress)


def _dry_run(config: Config, torus: Torus) -> DryRun:
    convergence = config.convergence
    limit = convergence.force_error_limit_relative
    sizes: dict[str, object] = {
        "temperatures_k": list(config.convergence_temperatures),
        "n_replicas": convergence.n_replicas,
        "n_steps": convergence.n_steps,
    }
    more = {"n_atoms": torus.n_atoms, "limit_relative": limit}
    return DryRun(ConvergenceReport, sizes, more, (("limit", describe_limit(limit)),))


def _check(
    workspace: Workspace, force_field: ForceField, torus: Torus, inputs: str, progress: Progress
) -> ConvergenceReport:
    config = workspace.config
    limit = config.convergence.force_error_limit_relative
    plan = _plan(config)
    supercell = force_field.on(torus, n_threads=config.md.n_threads)
    verdicts: list[TemperatureVerdict] = []
    traces: list[ErrorTrace] = []
    progress.start(plan.n_trajectories * plan.n_steps, "independent trajectories")

    def show(step: int, n_running: int) -> None:
        progress.update(plan.n_trajectories * step, trajectories=n_running)

    sampled = sample_replicas(supercell, plan, show)
    for temperature, replicas in zip(plan.temperatures_kelvin, sampled, strict=True):
        frames = np.concatenate([r.displacements for r in replicas if r.stop is None] or [_NO_FRAMES])
        verdict = judge(
            temperature,
            replicas,
            limit=limit,
            trained=force_field.training,
            outlook=partial(outlook, force_field, torus, frames),
        )
        verdicts.append(verdict)
        traces += _traces(plan, temperature, replicas)
        progress.log(f"{format_kelvin(temperature)} K: " + "; ".join(verdict.reasons or (CONVERGED,)))
    progress.stop()
    status = CONVERGED if all(verdict.converged for verdict in verdicts) else NOT_CONVERGED
    warnings = tuple(stability_warnings(force_field, torus))
    report = ConvergenceReport(status, tuple(verdicts), limit, torus.n_atoms, warnings)
    _write(workspace.directory, report, traces, inputs)
    return report


def _plan(config: Config) -> SamplingPlan:
    return SamplingPlan(
        temperatures_kelvin=tuple(config.convergence_temperatures),
        timestep_femtoseconds=config.md.timestep_femtoseconds,
        n_steps=config.convergence.n_steps,
        n_replicas=config.convergence.n_replicas,
        seed=config.seed,
        displacement_limit_angstrom=config.md.displacement_limit_angstrom,
    )


def _traces(plan: SamplingPlan, temperature_kelvin: float, replicas: tuple[Replica, ...]) -> list[ErrorTrace]:
    """Curves of the replicas that ran to their end; none where there are none."""
    predictive, force = (error_series(replicas, name) for name in ("predictive", "force"))
    if not predictive.size:
        return []
    first = plan.equilibration // plan.frame_every + 1
    steps = plan.frame_every * np.arange(first, first + predictive.shape[1])
    times = 1e-3 * plan.timestep_femtoseconds * steps
    relative = predictive / np.sqrt(np.mean(force**2))
    return [ErrorTrace(temperature_kelvin, times, relative)]


def _write(directory: Path, report: ConvergenceReport, traces: list[ErrorTrace], inputs: str) -> None:
    """Plot first, numbers last."""
    picture = directory / "convergence.png"
    if traces:
        plot_convergence(picture, traces, limit=report.limit_relative)
    else:
        picture.unlink(missing_ok=True)
    write_report(directory / "convergence.json", report, inputs=inputs)


def _inputs(workspace: Workspace, torus: Torus) -> str:
    """Digest of all that the check depends on."""
    config = workspace.config
    return digest(
        [
            hashlib.sha256(workspace.model_path.read_bytes()).hexdigest(),
            torus.matrix.tolist(),
            json.loads(config.convergence.model_dump_json()),
            list(config.convergence_temperatures),
            config.md.timestep_femtoseconds,
            config.md.displacement_limit_angstrom,
            config.seed,
        ]
    )


def _finished(directory: Path, inputs: str) -> ConvergenceReport | None:
    """Report of an earlier check if nothing has changed since."""
    try:
        content = read_report(directory / "convergence.json", ConvergenceReport)
        if content["inputs"] != inputs:
            return None
        verdicts = tuple(
            TemperatureVerdict(**{**verdict, "reasons": tuple(verdict["reasons"])})
            for verdict in content["temperatures"]
        )
        return ConvergenceReport(
            content["status"],
            verdicts,
            content["limit_relative"],
            content["n_atoms"],
            tuple(content["warnings"]),
            up_to_date=True,
        )
    except (KeyError, TypeError):
        return None
