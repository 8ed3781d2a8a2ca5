"""Left-out configurations in closed form: how large errors really are where the model was not trained.

With the posterior covariance S (noise sd s), the rows X_k of configuration k and its residuals e_k, put
H_k = X_k S X_k^T / s^2. The prediction of configuration k by a fit to all others has

    e_k' = (1 - H_k)^-1 e_k                       error
    h_k' = diag[(1 - H_k)^-1 H_k]                 epistemic variance / s^2

exactly, with the hyperparameters held fixed. The scale c^2 = mean of e'^2 / h' then turns the leverage
h = x S x^T / s^2 of any prediction into a predictive variance c^2 h that is right on left-out configurations,
whether their errors come from few data or from terms that the expansion leaves out.

| symbol | variable |
|---|---|
| X_k, e_k | design, residuals |
| e', h' | errors, leverages |
| c / s | scale |

References
----------
Leave-one-out of linear smoothers: Allen, Technometrics 16, 125 (1974), for blocks of rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mlff_dyn.regression.posterior import Posterior

_SMALLEST_GAP = 1e-9


@dataclass(frozen=True, eq=False)
class LeftOut:
    """Predictions of a configuration by a fit to all others.

    Attributes
    ----------
    errors : ndarray, shape (n_rows,)         prediction minus target, up to sign; unit of the targets
    leverages : ndarray, shape (n_rows,)      epistemic variance over noise variance
    """

    errors: NDArray[np.float64]
    leverages: NDArray[np.float64]


def leave_out(posterior: Posterior, design: NDArray[np.float64], targets: NDArray[np.float64]) -> LeftOut:
    """Predict one configuration of the data from all the others, without a refit.

    Parameters
    ----------
    posterior : Posterior
        Of all data, this configuration included.
    design : ndarray, shape (n_rows, n_parameters)
    targets : ndarray, shape (n_rows,)
    """
    projected = design @ posterior.covariance_factor / posterior.noise_sd
    values, vectors = np.linalg.eigh(projected @ projected.T)
    gap = np.maximum(1.0 - values, _SMALLEST_GAP)
    residuals = targets - design @ posterior.mean
    return LeftOut(
        errors=vectors @ ((vectors.T @ residuals) / gap),
        leverages=(vectors**2) @ (np.maximum(values, 0.0) / gap),
    )


def calibration_scale(
    posterior: Posterior, designs: Sequence[NDArray[np.float64]], targets: Sequence[NDArray[np.float64]]
) -> float:
    """Factor c / s >= 1 that turns the epistemic sd into the predictive one.

    Parameters
    ----------
    posterior : Posterior
    designs, targets : sequences of ndarray
        Rows and targets of every configuration of the data.
    """
    ratios = []
    for design, target in zip(designs, targets, strict=True):
        left_out = leave_out(posterior, design, target)
        ratios.append(left_out.errors**2 / np.maximum(left_out.leverages, 1e-12))
    mean_square = float(np.concatenate(ratios).mean())
    return max(1.0, float(np.sqrt(mean_square)) / posterior.noise_sd)
