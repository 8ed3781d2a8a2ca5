"""The model of a run together with the answer of its training: no verb takes one without the other."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mlff_dyn.engines.registry import configured_identity
from mlff_dyn.errors import NotConverged
from mlff_dyn.report.answer import read_report, write_report
from mlff_dyn.store.atomic import date_back
from mlff_dyn.store.json_file import digest
from mlff_dyn.store.source import file_digest
from mlff_dyn.workflows.training.train_report import CONVERGED, STATIC, TrainReport

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mlff_dyn.config.schema import Config
    from mlff_dyn.model.force_field import ForceField
    from mlff_dyn.workflows.setup.workspace import Workspace
    from mlff_dyn.workflows.training.learner import Learner
    from mlff_dyn.workflows.training.looked_at import LookedAt

ANSWER_NAME = "train.json"
_GO_ON = "mlff-dyn train CONFIG.yaml; --allow-unconverged takes the model as it is"
_PRIOR_FILES = ("model", "phonopy", "phono3py")
_logger = logging.getLogger(__name__)


def write_trained(learner: Learner, report: TrainReport, inputs: str, looked_at: LookedAt) -> None:
    """Write the model and at once its answer, which names the model and the configuration it is of.

    The model of a training that did not converge is dated back like its answer, see `write_report`.

    Parameters
    ----------
    learner : Learner
    report : TrainReport
    inputs : str
        Digest of all that the training depends on.
    looked_at : LookedAt
        What it found right on the way.
    """
    workspace = learner.workspace
    configuration = _configuration(workspace.config, is_static=report.status == STATIC)
    learner.write_model()
    if report.exit_code:
        date_back(workspace.model_path)
    more = {"inputs": inputs, "model": file_digest(workspace.model_path), "configuration": configuration}
    write_report(workspace.directory / ANSWER_NAME, report, **more, looked_at=asdict(looked_at))


def is_answer_of(answer: Mapping[str, Any], workspace: Workspace) -> bool:
    """Whether an answer of a training is of the model and of the settings that there are now."""
    return not _mismatch(answer, workspace.model_path, workspace.config)


def read_trained(workspace: Workspace, *, allow_unconverged: bool) -> ForceField:
    """Read the model of a training that ended well and was one of this configuration.

    Parameters
    ----------
    workspace : Workspace
    allow_unconverged : bool
        Take any model of the crystal and the expansion, with a warning.

    Raises
    ------
    NotConverged
        If its training did not end, did not reach its limit, or had other settings.
    DataError
        If there is no model, or it was trained for another crystal or expansion.
    """
    force_field = workspace.read_model()
    check_trained(workspace.model_path, workspace.config, allow_unconverged=allow_unconverged)
    return force_field


def check_trained(model: Path, config: Config | None, *, allow_unconverged: bool) -> None:
    """Refuse a model whose training did not end well, from the answer beside it.

    Parameters
    ----------
    model : Path
    config : Config or None
        Configuration that the training must have had; None: any.
    allow_unconverged : bool
        Warn instead.

    Raises
    ------
    NotConverged
        If its training did not end, did not reach its limit, or had other settings.
    """
    doubt = training_doubt(model, config)
    if doubt is None:
        return
    if not allow_unconverged:
        raise NotConverged(f"{model}: {doubt}", fix=_GO_ON)
    _logger.warning("%s: %s", model, doubt)


def training_doubt(model: Path, config: Config | None) -> str | None:
    """Why a model is not to be relied on, from the answer beside it; None if it is.

    Parameters
    ----------
    model : Path
    config : Config or None
        Configuration that the training must have had; None: any.
    """
    answer = read_report(model.with_name(ANSWER_NAME), TrainReport)
    if not answer:
        is_there = model.with_name(ANSWER_NAME).exists()
        found = f"{ANSWER_NAME} beside it is damaged" if is_there else f"there is no {ANSWER_NAME} beside it"
        return f"{found}, so nothing says how its training ended"
    status = answer.get("status")
    if status not in (CONVERGED, STATIC):
        return f"its training did not converge ({status})"
    return _mismatch(answer, model, config)


def _mismatch(answer: Mapping[str, Any], model: Path, config: Config | None) -> str | None:
    """Why an answer is not that of a model, or of a configuration; None if it is."""
    if answer.get("model") != file_digest(model):
        return f"{ANSWER_NAME} beside it is the answer of another training"
    if config is None:
        return None
    settings = _configuration(config, is_static=answer.get("status") == STATIC)
    if answer.get("configuration") != settings:
        return "it was trained with other settings of training or engine"
    return None


def _configuration(config: Config, *, is_static: bool) -> str:
    """Digest of the settings that a converged answer holds for, whatever the budget and the folder."""
    training = config.training.deciding({"max_calculations"})
    for name in _PRIOR_FILES:
        path = None if config.training.prior is None else getattr(config.training.prior, name)
        if path is not None:
            training["prior"][name] = path.name
    if is_static:
        return digest([training["fit"], training["prior"]])
    engine = (
        None if config.engine is None else configured_identity(config.engine.kind, config.engine.parameters)
    )
    return digest([training, engine])
