"""Sources of a prior guess: what the configuration names, as parameters of the basis."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from mlff_dyn.errors import DataError, located
from mlff_dyn.formats.phonopy_source import read_phono3py_tensors, read_phonopy_tensors, source_files
from mlff_dyn.model.fitting.prior_guess import PriorGuess
from mlff_dyn.model.fitting.projection import ForceFieldSource, TensorSource, project_forces
from mlff_dyn.store.model_file import read_model
from mlff_dyn.workflows.training.prior_engine import engine_name, learn_cheap_engine

if TYPE_CHECKING:
    from mlff_dyn.config.schema import PriorConfig
    from mlff_dyn.report.progress import Progress
    from mlff_dyn.workflows.setup.workspace import Workspace


class Source(Protocol):
    """Makes a guess of the parameters from what the configuration names."""

    def __call__(self, workspace: Workspace, prior: PriorConfig, progress: Progress) -> PriorGuess:
        """Return the guess."""


def prior_guess(workspace: Workspace, progress: Progress) -> PriorGuess | None:
    """What the source of `training.prior` suggests; None without one.

    Raises
    ------
    DataError
        If a file cannot be used or belongs to another structure type, or the source knows no order of the
        expansion.
    EngineError
        If the cheap engine fails.
    """
    prior = workspace.config.training.prior
    if prior is None:
        return None
    guess = SOURCES[_kind(prior)](workspace, prior, progress)
    if not np.isfinite(guess.parameters).all():
        raise DataError(
            f"the source {guess.source} of training.prior gives numbers that are not finite",
            fix="make it again, or leave training.prior out",
        )
    if not guess.parameters.any():
        raise DataError(
            f"the source {guess.source} knows nothing of this expansion",
            fix="leave training.prior out, or use a source with force constants of the same orders",
        )
    return guess


def prior_digest(prior: PriorConfig | None) -> str:
    """Digest of the files that a prior is read from; what the configuration says is not part of it."""
    files = [] if prior is None or prior.model is None else [prior.model]
    for path in () if prior is None else (prior.phonopy, prior.phono3py):
        files += [] if path is None else source_files(path)
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.read_bytes() if path.is_file() else b"")
    return digest.hexdigest()


def _kind(prior: PriorConfig) -> str:
    return next(kind for kind in ("engine", "model", "phonopy", "phono3py") if getattr(prior, kind))


def _from_engine(workspace: Workspace, prior: PriorConfig, progress: Progress) -> PriorGuess:
    force_field = learn_cheap_engine(workspace, prior, progress)
    orders = workspace.expansion.parameter_orders
    return PriorGuess(engine_name(prior), force_field.posterior.mean, orders)


def _from_model(workspace: Workspace, prior: PriorConfig, progress: Progress) -> PriorGuess:  # noqa: ARG001
    path = prior.model or Path()
    force_field, _ = read_model(path)
    with located(path):
        source = ForceFieldSource(force_field, workspace.training_torus, workspace.expansion.local)
    expansion = workspace.expansion
    return PriorGuess(str(path), project_forces(expansion, source), expansion.parameter_orders)


def _from_files(workspace: Workspace, prior: PriorConfig, progress: Progress) -> PriorGuess:  # noqa: ARG001
    readers = ((prior.phonopy, read_phonopy_tensors), (prior.phono3py, read_phono3py_tensors))
    basis = workspace.expansion.basis
    orders = workspace.expansion.parameter_orders
    parameters = np.zeros(len(orders))
    for path, read in readers:
        if path is None:
            continue
        with located(path):
            for tensor in read(path, basis.crystal.periodic):
                here = orders == tensor.order
                if not parameters[here].any():
                    source = TensorSource(tensor, workspace.training_torus)
                    parameters += project_forces(workspace.expansion, source)
    name = ", ".join(str(path) for path, _ in readers if path is not None)
    return PriorGuess(name, parameters, orders)


SOURCES: dict[str, Source] = {
    "engine": _from_engine,
    "model": _from_model,
    "phonopy": _from_files,
    "phono3py": _from_files,
}
