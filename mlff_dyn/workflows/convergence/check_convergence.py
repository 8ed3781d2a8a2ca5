"""`check-convergence`: is the force field good enough, judged without any reference calculation."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.report.answer import DryRun, Report, write_report
from mlff_dyn.report.distance_plot import plot_distances
from mlff_dyn.report.plots import ErrorTrace, plot_convergence
from mlff_dyn.store.journal import read_journal
from mlff_dyn.store.json_file import digest
from mlff_dyn.store.lock import RunLock
from mlff_dyn.training.criteria.trajectory import TrajectoryCriterion
from mlff_dyn.training.frame_choice import outlook
from mlff_dyn.units import format_kelvin
from mlff_dyn.workflows.convergence.chosen_observables import Sampling, judge_observables
from mlff_dyn.workflows.convergence.convergence_report import (
    CONVERGED,
    NOT_CONVERGED,
    ConvergenceReport,
    TemperatureVerdict,
    describe_limit,
)
from mlff_dyn.workflows.convergence.found_errors import found_errors
from mlff_dyn.workflows.convergence.quiet_time import quiet_time
from mlff_dyn.workflows.convergence.sampling import SamplingPlan, error_series, sample_replicas
from mlff_dyn.workflows.convergence.single_reference import single_reference
from mlff_dyn.workflows.convergence.stored_report import ANSWER_NAME, stored_report
from mlff_dyn.workflows.convergence.verdict import judge
from mlff_dyn.workflows.reporting.history import training_history
from mlff_dyn.workflows.setup.workspace import Workspace
from mlff_dyn.workflows.stability import stability_warnings
from mlff_dyn.workflows.training.trained_model import read_trained

if TYPE_CHECKING:
    from pathlib import Path

    from mlff_dyn.config.schema import Config
    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.model.force_field import ForceField, SupercellForceField
    from mlff_dyn.report.progress import Progress
    from mlff_dyn.workflows.convergence.chosen_observables import ObservableVerdict
    from mlff_dyn.workflows.convergence.sampling import Replica

_MOST_BINS = 100
_NO_FRAMES = np.empty((0, 0, 3))


def check_convergence(
    config: Config, *, dry_run: bool, force: bool, progress: Progress, allow_unconverged: bool = False
) -> Report:
    """Average the predicted force error over independent trajectories at every temperature.

    The trajectories differ from those of training and of `run-md`; they run in the cell of
    ``convergence.supercell`` or else ``md.supercell``.

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
    torus = workspace.supercell(config.convergence.supercell or config.md.supercell)
    if dry_run:
        return _dry_run(config, torus)
    with RunLock(workspace.directory):
        inputs = _inputs(workspace, torus)
        finished = None if force else stored_report(workspace.directory, inputs)
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
    found = found_errors(workspace, force_field)
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
            found=found,
        )
        verdict = _completed(verdict, replicas, plan, supercell, workspace)
        verdicts.append(verdict)
        traces += _traces(plan, verdict, replicas)
        progress.log(f"{format_kelvin(temperature)} K: " + "; ".join(verdict.reasons or (CONVERGED,)))
    progress.stop()
    observables = _observables(workspace, force_field)
    is_converged = [verdict.converged for verdict in verdicts] + [each.converged for each in observables]
    status = NOT_CONVERGED if False in is_converged else CONVERGED
    warnings = tuple(stability_warnings(force_field, torus))
    report = ConvergenceReport(status, tuple(verdicts), limit, torus.n_atoms, warnings, observables)
    _write(workspace.directory, report, traces, inputs)
    return report


def _completed(
    verdict: TemperatureVerdict,
    replicas: tuple[Replica, ...],
    plan: SamplingPlan,
    supercell: SupercellForceField,
    workspace: Workspace,
) -> TemperatureVerdict:
    """Add what is known besides the errors: the time without a call, and whether one reference suffices."""
    convergence = workspace.config.convergence
    criterion = TrajectoryCriterion(convergence.force_error_limit_relative)
    history = training_history(read_journal(workspace.journal_path), workspace.basis_identity)
    quiet = quiet_time(verdict.temperature_k, replicas, plan, criterion, history)
    reference = single_reference(supercell, replicas, plan.judged_picoseconds)
    reasons = verdict.reasons + quiet.excess(
        convergence.time_without_call_picoseconds, plan.judged_picoseconds
    )
    traces = [trace.binned(_MOST_BINS) for trace in _traces(plan, verdict, replicas)]
    return replace(
        verdict,
        converged=not reasons,
        reasons=reasons,
        quiet_time=quiet,
        single_reference=reference,
        trace_times_picoseconds=tuple(*(each.times_picosecond.tolist() for each in traces)),
        trace_errors_relative=tuple(*(map(tuple, each.relative_errors.tolist()) for each in traces)),
    )


def _observables(workspace: Workspace, force_field: ForceField) -> tuple[ObservableVerdict, ...]:
    config = workspace.config
    torus = workspace.supercell(config.phonons.supercell)
    sampling = Sampling(force_field, torus, config.phonons.n_samples, config.seed)
    return judge_observables(sampling, config.convergence.observables.model_dump())


def _plan(config: Config) -> SamplingPlan:
    return SamplingPlan(
        temperatures_kelvin=tuple(config.convergence_temperatures),
        timestep_femtoseconds=config.md.timestep_femtoseconds,
        n_steps=config.convergence.n_steps,
        n_replicas=config.convergence.n_replicas,
        seed=config.seed,
        displacement_limit_angstrom=config.md.displacement_limit_angstrom,
    )


def _traces(
    plan: SamplingPlan, verdict: TemperatureVerdict, replicas: tuple[Replica, ...]
) -> list[ErrorTrace]:
    """Curves of the replicas that ran to their end; none where there are none."""
    predictive, force = (error_series(replicas, name) for name in ("predictive", "force"))
    if not predictive.size:
        return []
    first = plan.equilibration // plan.frame_every + 1
    steps = plan.frame_every * np.arange(first, first + predictive.shape[1])
    times = 1e-3 * plan.timestep_femtoseconds * steps
    relative = verdict.correction_factor * predictive / np.sqrt(np.mean(force**2))
    return [ErrorTrace(verdict.temperature_k, times, relative)]


def _write(directory: Path, report: ConvergenceReport, traces: list[ErrorTrace], inputs: str) -> None:
    """Plots first, numbers last."""
    found = [each for verdict in report.temperatures for each in [verdict.distances] if each is not None]
    drawn = (
        ("convergence.png", traces, partial(plot_convergence, traces=traces, limit=report.limit_relative)),
        ("displacements.png", found, partial(plot_distances, found=found)),
    )
    for name, values, plot in drawn:
        if values:
            plot(directory / name)
        else:
            (directory / name).unlink(missing_ok=True)
    write_report(directory / ANSWER_NAME, report, inputs=inputs)


def _inputs(workspace: Workspace, torus: Torus) -> str:
    """Digest of all that the check depends on."""
    config = workspace.config
    return digest(
        [
            _digest_of(workspace.model_path),
            _digest_of(workspace.dataset_path),
            torus.matrix.tolist(),
            config.convergence.deciding(),
            config.phonons.deciding() if _has_observables(config) else None,
            list(config.convergence_temperatures),
            config.md.timestep_femtoseconds,
            config.md.displacement_limit_angstrom,
            config.seed,
        ]
    )


def _digest_of(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None


def _has_observables(config: Config) -> bool:
    return any(each is not None for each in config.convergence.observables.model_dump().values())
