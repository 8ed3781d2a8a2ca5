"""Whether the crystal is stable by what a prior knows of it, before anything is calculated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlff_dyn.model.harmonic_modes import imaginary_mode, modes_of_order_2
from mlff_dyn.report.progress import NullProgress
from mlff_dyn.workflows.stability import describe_imaginary
from mlff_dyn.workflows.training.prior_sources import prior_guess

if TYPE_CHECKING:
    from mlff_dyn.workflows.setup.workspace import Workspace


def prior_warnings(workspace: Workspace) -> list[str]:
    """Warn where order 2 of the files in `training.prior` is not stable on the training cell.

    A prior that an engine has to calculate first says nothing here.

    Parameters
    ----------
    workspace : Workspace

    Raises
    ------
    DataError
        If a file of the prior cannot be used.
    """
    prior = workspace.config.training.prior
    if prior is None or prior.engine is not None:
        return []
    guess = prior_guess(workspace, NullProgress())
    if guess is None:
        return []
    modes = modes_of_order_2(workspace.expansion, guess.parameters, workspace.training_torus)
    mode = None if modes is None else imaginary_mode(modes)
    return [] if mode is None else [f"{guess.source}: {describe_imaginary(mode)}"]
