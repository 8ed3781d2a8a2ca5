"""What the errors of the parameters make of a quantity whose gradient by them is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.observables.truncation import truncation_changes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.model.force_field import ForceField


def error_factor(force_field: ForceField) -> NDArray[np.float64]:
    """G with the calibrated covariance G Gᵀ of the parameters, what truncation does to them included.

    Parameters
    ----------
    force_field : ForceField

    Returns
    -------
    ndarray, shape (n_parameters, n_parameters + n_changes)
    """
    return np.asarray(
        force_field.calibration
        * np.column_stack([force_field.posterior.covariance_factor, truncation_changes(force_field)])
    )


def error_factor_with_stress(force_field: ForceField) -> NDArray[np.float64]:
    """G as that of `error_factor`, of the parameters and of the stress at rest that belongs to them.

    Where no stress was fitted, that at rest counts as known.

    Parameters
    ----------
    force_field : ForceField

    Returns
    -------
    ndarray, shape (n_parameters + 6, any)
    """
    own, known = error_factor(force_field), force_field.stress
    if known is None:
        return np.vstack([own, np.zeros((6, own.shape[1]))])
    free = known.calibration * known.zero_factor
    of_parameters = np.hstack([own, np.zeros((len(own), free.shape[1]))])
    return np.vstack([of_parameters, np.hstack([-known.coupling @ own, free])])


def data_sd(force_field: ForceField, gradient: NDArray[np.float64]) -> float:
    """Calibrated standard deviation of a quantity.

    Parameters
    ----------
    force_field : ForceField
    gradient : ndarray, shape (n_parameters,) or (n_parameters + 6,)
        By the parameters, and by the components of the stress at rest.
    """
    is_known = len(gradient) == len(force_field.posterior.mean)
    factor = error_factor(force_field) if is_known else error_factor_with_stress(force_field)
    return float(np.linalg.norm(gradient @ factor))
