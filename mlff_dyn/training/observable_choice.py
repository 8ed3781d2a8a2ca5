"""Frames whose calculations lower the error of one quantity most.

With the slopes g of the quantity by the parameters, rows X of a frame and their noise V, its variance g^T S g
falls by

    v^T (V + X S X^T)^-1 v,   v = X S g.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.training.round_choice import Round
from mlff_dyn.training.running import with_running

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mlff_dyn.model.force_field import ForceField
    from mlff_dyn.training.frame_choice import Frame
    from mlff_dyn.training.round_choice import TemperaturePool


def choose_for_slopes(
    force_field: ForceField, pools: Sequence[TemperaturePool], slopes: NDArray[np.float64], *, n_most: int
) -> Round:
    """Choose frames, one at least, those of temperatures that must be calculated first.

    Parameters
    ----------
    force_field : ForceField
        Its errors are those after all calculations that run.
    pools : sequence of TemperaturePool
    slopes : ndarray, shape (n_parameters,)
        Of the quantity, over its size.
    n_most : int
        Frames that may be chosen, at most.
    """
    places = [(k, i) for k, pool in enumerate(pools) for i in range(len(pool.frames))]
    first = [k for k, pool in enumerate(pools) if pool.must_label]
    chosen: list[tuple[int, int]] = []
    expected = [_error(force_field, slopes)]
    while len(chosen) < min(max(1, n_most), len(places)):
        due = first[len(chosen)] if len(chosen) < len(first) else None
        free = [each for each in places if each not in chosen and due in {None, each[0]}]
        best = max(
            free, key=lambda each: fall_of_variance(force_field, pools[each[0]].frames[each[1]], slopes)
        )
        chosen.append(best)
        force_field = with_running(force_field, [pools[best[0]].frames[best[1]]])
        expected.append(_error(force_field, slopes))
    return Round(tuple(chosen), tuple(expected))


def fall_of_variance(force_field: ForceField, frame: Frame, slopes: NDArray[np.float64]) -> float:
    """How much a calculation of a frame lowers the variance of a quantity, before calibration.

    Parameters
    ----------
    force_field : ForceField
    frame : (SupercellExpansion, ndarray of shape (n_atoms, 3), Å)
    slopes : ndarray, shape (n_parameters,)
    """
    supercell, displacements = frame
    posterior = force_field.posterior
    along = posterior.project(supercell.rows(displacements)[0])[1]
    each = np.full(len(displacements), 3)
    noise = posterior.hyperparameters.weight_variances(supercell.force_conditions(displacements), each)
    covariance = along @ along.T
    covariance[np.diag_indices(len(covariance))] += np.repeat(noise, 3)
    common = along @ (slopes @ posterior.covariance_factor)
    return float(common @ np.linalg.solve(covariance, common))


def _error(force_field: ForceField, slopes: NDArray[np.float64]) -> float:
    return force_field.calibration * float(np.linalg.norm(slopes @ force_field.posterior.covariance_factor))
