"""`train`: dynamic training, or a fit to snapshots that are there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.engines.base import engine_identity, label_identities
from mlff_dyn.engines.registry import create_engine
from mlff_dyn.errors import DataError, UsageError
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.model.force_field import errors_of_variances
from mlff_dyn.report.answer import DryRun, Report, read_report
from mlff_dyn.store.json_file import digest
from mlff_dyn.store.lock import RunLock
from mlff_dyn.store.source import file_digest
from mlff_dyn.training.criteria.errors import MeanErrors, frame_errors, mean_errors
from mlff_dyn.training.trusted_region import Motion
from mlff_dyn.workflows.setup.initialise import write_setup
from mlff_dyn.workflows.setup.workspace import Workspace
from mlff_dyn.workflows.snapshots import displaced_atoms, frames_of_snapshots
from mlff_dyn.workflows.stability import coverage_warnings, stability_warnings, stiffness_warnings
from mlff_dyn.workflows.training.data_checks import check_engines, check_frames
from mlff_dyn.workflows.training.engine_check import check_engines_of
from mlff_dyn.workflows.training.given_frames import given_frames_of
from mlff_dyn.workflows.training.label_checks import check_labels
from mlff_dyn.workflows.training.learner import Learner
from mlff_dyn.workflows.training.looked_at import LookedAt
from mlff_dyn.workflows.training.loop import TrainingLoop
from mlff_dyn.workflows.training.outcome import (
    advise,
    describe_sources,
    describe_temperatures,
    finished_told_on_failure,
)
from mlff_dyn.workflows.training.prior_sources import prior_digest, prior_guess
from mlff_dyn.workflows.training.ramps import ramp_of
from mlff_dyn.workflows.training.train_report import (
    CONVERGED,
    LIMITED,
    STATIC,
    TrainReport,
    describe_errors,
    describe_fit,
    describe_labels,
    n_parameters_of,
    why_unknown,
)
from mlff_dyn.workflows.training.trained_model import ANSWER_NAME, is_answer_of, write_trained

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from mlff_dyn.config.schema import Config
    from mlff_dyn.engines.base import Engine
    from mlff_dyn.model.fitting.labelled_frame import LabelledFrame
    from mlff_dyn.model.force_field import ForceField
    from mlff_dyn.report.progress import Progress
    from mlff_dyn.store.dataset import Snapshot
    from mlff_dyn.workflows.given_labels import GivenLabels


def train(
    config: Config,
    *,
    given: GivenLabels | None,
    static: bool,
    dry_run: bool,
    force: bool,
    progress: Progress,
) -> Report:
    """Train a force field; the same call again goes on where the last one ended.

    Parameters
    ----------
    config : Config
    given : GivenLabels, optional
        Labelled snapshots to start from.
    static : bool
        Fit what is there; no dynamics, no engine.
    dry_run : bool
        Say what would be done, write nothing.
    force : bool
        Go on although the snapshots in the run directory were labelled with other engine parameters.
    progress : Progress

    Raises
    ------
    MlffError
        Whatever prevents the training; what is on disk stays valid.
    """
    workspace = Workspace(config)
    if not static:
        ramp_of(config)
    if dry_run:
        return _dry_run(workspace, given, static=static)
    engine = None if static else create_engine(**config.require_engine().model_dump())
    looked_at = LookedAt.of(given, engine, force=force)
    unchanged = _unchanged_report(workspace, looked_at, static=static)
    if unchanged is not None:
        return unchanged
    found = None if given is None else given.read()
    with RunLock(workspace.directory):
        learner = Learner(workspace, grows=engine is not None)
        warnings: list[str] = []
        if given is not None and found is not None:
            own, mixable = _own_labels(workspace, engine), force or given.allow_mixed
            mixed = check_engines(given.name, found.snapshots, own, force=mixable)
            warnings = [*found.refusals(), *mixed]
            rows, distinct, _ = _check_given(workspace, given.name, found.snapshots)
            learner.data.start_from(found.snapshots, rows)
            learner.note_checked(distinct)
        if engine is not None:
            _check_provenance(learner, engine_identity(engine), force=force)
        finished = _finished_report(workspace, static=static)
        if finished is not None:
            return finished
        learner.guess = prior_guess(workspace, progress)
        write_setup(workspace, learner.guess)
        return _finish(learner, _fit(learner, engine, progress, warnings), looked_at)


def _check_given(
    workspace: Workspace, dataset: Path, given: Sequence[Snapshot]
) -> tuple[list[LabelledFrame], FitData, tuple[str, ...]]:
    """Refuse frames that cannot be right before any is kept.

    Returns their rows, the data of those that no other repeats, and warnings.
    """
    rows = frames_of_snapshots(dataset, given, workspace.expansion)
    found, uses_stress = check_frames(dataset, given, rows), workspace.config.training.fit.stress
    distinct = FitData(found.distinct(found.with_origins(rows)))
    check_labels(dataset, distinct, workspace.expansion.basis, uses_stress=uses_stress)
    return rows, distinct, found.warnings


def _dry_run(workspace: Workspace, given: GivenLabels | None, *, static: bool) -> DryRun:
    warnings: tuple[str, ...] = ()
    found = None if given is None else given.read()
    if given is not None and found is not None:
        *_, lines = _check_given(workspace, given.name, found.snapshots)
        warnings = (*found.refusals(), *lines)
    given_frames = None if static else given_frames_of(workspace)
    if given_frames is not None:
        warnings = (*warnings, *given_frames.warnings)
    sizes: dict[str, object] = {
        "n_atoms": workspace.training_torus.n_atoms,
        **n_parameters_of(workspace.expansion),
        "n_labelled": 0 if found is None else len(found.snapshots),
        "max_calculations": workspace.config.training.max_calculations,
        **({} if given_frames is None else {"n_frames_of_file": len(given_frames.frames)}),
    }
    told = {} if static else check_engines_of(workspace)
    head = [(f"{name.replace('_', ' ')}, {key}", text) for name in told for key, text in told[name].items()]
    return DryRun(TrainReport, sizes, {"warnings": warnings, **told}, head=tuple(head))


def _own_labels(workspace: Workspace, engine: Engine | None) -> frozenset[str]:
    """What may have labelled given frames that go together with those of the engine."""
    torus = workspace.training_torus
    atoms = displaced_atoms(torus, np.zeros((torus.n_atoms, 3)))
    return frozenset() if engine is None else label_identities(engine, atoms)


def _check_provenance(learner: Learner, identity: str, *, force: bool) -> None:
    """Refuse to mix labels of different engine parameters."""
    for number, snapshot in enumerate(learner.data.snapshots, start=1):
        if not force and snapshot.provenance.engine not in (None, identity):
            raise UsageError(
                f"snapshot {number} of the run directory was labelled with other engine parameters",
                fix="restore engine.kind and engine.parameters, choose another run_dir, or mix with --force",
            )


def _fit(learner: Learner, engine: Engine | None, progress: Progress, warnings: list[str]) -> TrainReport:
    if engine is None:
        return _static(learner, progress, warnings)
    return _dynamic(learner, engine, progress, warnings)


def _finish(learner: Learner, report: TrainReport, looked_at: LookedAt) -> TrainReport:
    """Write the model and at once its answer, both of which are complete before."""
    learner.journal.append("end", n_snapshots=len(learner.data), status=report.status)
    write_trained(learner, report, _inputs(learner.workspace), looked_at)
    return report


def _static(learner: Learner, progress: Progress, warnings: list[str]) -> TrainReport:
    force_field = learner.force_field()
    data = learner.fit_data
    frames = [
        frame_errors(
            _vibrational(force_field, frame),
            errors_of_variances(
                force_field, data.force_variances(k, force_field.posterior), frame.conditions
            ),
            frame.displacements,
        )
        for k, frame in enumerate(data.frames)
    ]
    return _report(learner, STATIC, mean_errors(frames), _logged(learner, progress, warnings))


def _vibrational(force_field: ForceField, frame: LabelledFrame) -> NDArray[np.float64]:
    return frame.forces - force_field.static_forces_on(frame.supercell.torus).ravel()


def _dynamic(learner: Learner, engine: Engine, progress: Progress, warnings: list[str]) -> TrainReport:
    if len(learner.data):
        _logged(learner, progress, warnings)
    loop = TrainingLoop(learner, engine, progress)
    with finished_told_on_failure(learner, progress):
        status, errors = loop.run()
    progress.stop()
    warnings = [*warnings, *learner.warnings(), *loop.warnings()]
    return _report(learner, status, errors, warnings, no_errors="; ".join(loop.warnings()) or None)


def _logged(learner: Learner, progress: Progress, warnings: list[str]) -> list[str]:
    """Warnings about the data, each shown once."""
    every = [*warnings, *learner.warnings()]
    for line in every:
        progress.log(f"warning: {line}")
    return every


def _report(
    learner: Learner,
    status: str,
    errors: MeanErrors | None,
    warnings: list[str],
    *,
    no_errors: str | None = None,
) -> TrainReport:
    scores = learner.scores
    return TrainReport(
        status=status,
        n_labelled=len(learner.data),
        n_calculations=learner.n_calculations,
        n_steps=learner.journal.n_steps,
        **describe_fit(learner.force_field()),
        **describe_errors(errors),
        **describe_labels(learner.force_field(), learner.fit_data),
        calibration_z=float(np.sqrt(np.mean(np.square(scores)))) if scores else None,
        warnings=[*warnings, *_cautions(learner)],
        temperatures=[] if status == STATIC else describe_temperatures(learner),
        **({} if status == STATIC else describe_sources(learner)),
        **advise(learner, status, errors),
        orders=None if learner.orders is None else learner.orders.to_json(),
        null_reasons=why_unknown(learner.fit_data, no_errors),
    )


def _cautions(learner: Learner) -> list[str]:
    """What the force field does not promise: a stable crystal, right units, errors that hold in dynamics."""
    md, torus = learner.workspace.config.md, learner.workspace.training_torus
    force_field = learner.force_field()
    motions = [
        Motion(temperature, md.timestep_femtoseconds, md.n_steps) for temperature in md.temperatures_kelvin
    ]
    of_order_2 = stability_warnings(force_field, torus) + stiffness_warnings(force_field, torus)
    return of_order_2 + coverage_warnings(force_field.on(torus), motions)


def _unchanged_report(workspace: Workspace, now: LookedAt, *, static: bool) -> TrainReport | None:
    """Report of an earlier run that has looked at the same files, which need not be read once more."""
    answer = workspace.directory / ANSWER_NAME
    if not answer.exists():
        return None
    with RunLock(workspace.directory):
        before = LookedAt.from_answer(read_report(answer, TrainReport))
        if before is None or not before.covers(now):
            return None
        return _finished_report(workspace, static=static)


def _finished_report(workspace: Workspace, *, static: bool) -> TrainReport | None:
    """Report of an earlier run if nothing has changed since."""
    try:
        content = read_report(workspace.directory / ANSWER_NAME, TrainReport)
        workspace.read_model()
        is_of_model = is_answer_of(content, workspace)
        inputs, *_ = (content.pop(name, None) for name in ("inputs", "model", "configuration", "looked_at"))
        report = TrainReport(**content, up_to_date=True)
    except (DataError, TypeError):
        return None
    expected = (STATIC,) if static else (CONVERGED, LIMITED)
    is_current = is_of_model and inputs == _inputs(workspace)
    return report if report.status in expected and is_current else None


def _inputs(workspace: Workspace) -> str:
    """Digest of all that a training depends on: its configuration and its data."""
    config = workspace.config
    sections = [part.deciding() for part in (config.training, config.md)]
    # Where calculations run changes nothing; files of before name it.
    sections.append({"kind": "local", "max_parallel": config.execution.max_parallel})
    data = file_digest(workspace.dataset_path) if workspace.dataset_path.exists() else ""
    prior = [] if config.training.prior is None else [prior_digest(config.training.prior)]
    file = config.training.exploration.file
    given = [file_digest(file)] if file is not None and file.exists() else []
    return digest([workspace.basis_identity, *sections, config.seed, data, *prior, *given])
