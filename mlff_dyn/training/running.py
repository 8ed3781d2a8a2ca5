"""A force field while calculations run: the covariance does not wait for their labels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.model.force_field import ForceField


def with_running(
    force_field: ForceField, structures: Iterable[tuple[Torus, NDArray[np.float64]]]
) -> ForceField:
    """Return a force field whose errors are those after calculations that were found as predicted.

    Parameters
    ----------
    force_field : ForceField
    structures : iterable of (Torus, ndarray of shape (n_atoms, 3))
        Supercells and displacements (Å) of the calculations that run.
    """
    posterior = force_field.posterior
    for torus, displacements in structures:
        supercell = force_field.expansion.on(torus)
        each = np.full(torus.n_atoms, 3)
        noise = posterior.hyperparameters.weight_variances(supercell.force_conditions(displacements), each)
        posterior = posterior.after(supercell.rows(displacements)[0], np.repeat(noise, 3))
    return replace(force_field, posterior=posterior)
