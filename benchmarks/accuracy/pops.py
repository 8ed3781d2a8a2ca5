"""Parameter uncertainty of a misspecified model by pointwise optimal parameter sets.

Another route to the errors that a model makes because it cannot be right: for every row x_i of the data, with
residual e_i and leverage h_i = x_i S x_i^T, the parameters that fit it exactly at the least cost are

    w_i = w + S x_i^T e_i / h_i

and predictions of the set {w_i} envelop the truth. The set is summed up by the smallest box along its
principal axes, on which parameters are taken to be uniform; the moments of that distribution are known in
closed form, so nothing has to be drawn. Rows of low leverage, which move the parameters wildly, are left out:
half of them.

| symbol | variable |
|---|---|
| S, w | posterior covariance, mean |
| w_i - w | corrections |

References
----------
Swinburne and Perez, Mach. Learn.: Sci. Technol. 6, 015008 (2025), arXiv:2402.01810.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import eigh

from mlff_dyn.errors import check_shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mlff_dyn.model.fitting.fit import LabelledFrame
    from mlff_dyn.model.force_field import ForceField

_LEVERAGE_PERCENTILE = 50.0
_SMALLEST_MODE = 1e-8


@dataclass(frozen=True, eq=False)
class PopsEnsemble:
    """Parameters uniform on a box about those of the fit.

    Attributes
    ----------
    axes : ndarray, shape (n_parameters, n_axes)     orthonormal columns
    low, high : ndarray, shape (n_axes,)             sides of the box, from the parameters of the fit
    """

    axes: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @property
    def factor(self) -> NDArray[np.float64]:
        """F with mean square deviation from the fit x F Fᵀ xᵀ, shape (n_parameters, n_axes + 1)."""
        spread = self.axes * ((self.high - self.low) / np.sqrt(12.0))
        shift = self.axes @ (0.5 * (self.high + self.low))
        return np.column_stack([spread, shift])

    def sample(self, n_samples: int, generator: np.random.Generator) -> NDArray[np.float64]:
        """Draw deviations of the parameters, shape (n_samples, n_parameters)."""
        places = generator.uniform(self.low, self.high, (n_samples, len(self.low)))
        return np.asarray(places @ self.axes.T)


def pointwise_corrections(
    covariance_factor: NDArray[np.float64], design: NDArray[np.float64], residuals: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Least changes of the parameters that fit each row exactly.

    Parameters
    ----------
    covariance_factor : ndarray, shape (n_parameters, n_parameters)
        F with covariance F Fᵀ up to a factor, which does not matter.
    design : ndarray, shape (n_rows, n_parameters)
    residuals : ndarray, shape (n_rows,)

    Returns
    -------
    corrections : ndarray, shape (n_rows, n_parameters)     zero for rows without leverage
    leverages : ndarray, shape (n_rows,)
    """
    check_shape("residuals", residuals, (len(design),))
    projected = design @ covariance_factor
    leverages = np.einsum("ij,ij->i", projected, projected)
    steps = np.divide(residuals, leverages, out=np.zeros_like(residuals), where=leverages > 0.0)
    return (projected * steps[:, None]) @ covariance_factor.T, leverages


def pops_ensemble(
    covariance_factor: NDArray[np.float64], design: NDArray[np.float64], residuals: NDArray[np.float64]
) -> PopsEnsemble:
    """Box that envelops the pointwise optimal parameter sets.

    Parameters
    ----------
    covariance_factor, design, residuals
        See `pointwise_corrections`; rows over their noise where it differs.
    """
    corrections, leverages = pointwise_corrections(covariance_factor, design, residuals)
    kept = corrections[leverages >= np.percentile(leverages, _LEVERAGE_PERCENTILE)]
    values, vectors = eigh(kept.T @ kept)
    axes = vectors[:, values > _SMALLEST_MODE * values.max()]
    places = kept @ axes
    return PopsEnsemble(axes, places.min(axis=0), places.max(axis=0))


def pops_force_sds(
    force_field: ForceField, training: Sequence[LabelledFrame], test: Sequence[LabelledFrame]
) -> NDArray[np.float64]:
    """Errors of all forces of test frames by the box of the training frames, eV/Å.

    The axes of the box are those of parameters in eV/Å.
    """
    powers = training[0].supercell.expansion.displacement_powers
    scale = force_field.training.displacement_rms_angstrom ** powers.astype(float)
    posterior, designs, residuals = force_field.posterior, [], []
    for rows in training:
        each = np.full(rows.n_atoms, 3)
        variances = posterior.hyperparameters.weight_variances(rows.conditions, each)
        noise_sd = np.sqrt(np.repeat(variances, 3))
        design = rows.supercell.rows(rows.displacements)[0]
        designs.append(design / scale / noise_sd[:, None])
        residuals.append((rows.targets.forces - design @ posterior.mean) / noise_sd)
    factor = posterior.covariance_factor * scale[:, None]
    box = pops_ensemble(factor, np.concatenate(designs), np.concatenate(residuals))
    spread = box.factor / scale[:, None]
    designs = [rows.supercell.rows(rows.displacements)[0] for rows in test]
    return np.concatenate([np.linalg.norm(design @ spread, axis=1) for design in designs])
