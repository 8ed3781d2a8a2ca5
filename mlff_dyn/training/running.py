"""A force field while calculations run: the covariance does not wait for their labels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mlff_dyn.model.force_field import ForceField
    from mlff_dyn.training.frame_choice import Frame


def with_running(force_field: ForceField, frames: Iterable[Frame]) -> ForceField:
    """Return a force field whose errors are those after calculations that were found as predicted.

    Parameters
    ----------
    force_field : ForceField
    frames : iterable of (SupercellExpansion, ndarray of shape (n_atoms, 3), Å)
        What is calculated, in any supercells, strained or not.
    """
    posterior = force_field.posterior
    for supercell, displacements in frames:
        each = np.full(len(displacements), 3)
        noise = posterior.hyperparameters.weight_variances(supercell.force_conditions(displacements), each)
        posterior = posterior.after(supercell.rows(displacements)[0], np.repeat(noise, 3))
    return replace(force_field, posterior=posterior)
