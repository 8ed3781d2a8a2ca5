"""held-out configurations in closed form: are the error bars right where the model was not trained?

With the posterior covariance S, and the rows X_k of configuration k and its residuals e_k, both divided by
the noise sd v^(1/2) of each row, put H_k = X_k S X_k^T. The prediction of configuration k by a fit to all
others has

    e_k' = (1 - H_k)^-1 e_k                       error
    h_k' = diag[(1 - H_k)^-1 H_k]                 epistemic variance / v

exactly, with the hyperparameters held fixed. H_k is P P^T with P = X_k F, S = F F^T; where there
are fewer parameters than rows, the smaller matrix P^T P gives the same:

    (1 - H_k)^-1 = 1 + P (1 - P^T P)^-1 P^T

The scores z = e' / (1 + h')^(1/2) are normal with sd 1 where the model of noise and prior is right, whatever
the number of data; a scale c corrects all error bars where it is not. Its square is (1 + 1 / 2 K) times the
geometric mean of two estimates of the variance of z: the median over configurations of their mean square,
which no single configuration unlike all others moves, and the square of the bound that 68 % of all |z| keep,
as normal ones would keep 1. Where errors have longer tails than normal ones the two differ, and the scale
stands between the right size and the right coverage. The factor 1 + 1 / 2 K pays for hyperparameters that the
K configurations determined.

Rows of several classes, such as the forces on atoms of several sites, have a factor k of their own beside it,

    k^2 = [(n r + 1) / (n + 1)]^(n / (n + n_0))

with the median r over configurations of the mean z^2 of the class over that of all, and n rows of the class,
scaled so that the mean of k^2 is one.

| symbol | variable |
|---|---|
| X_k, e_k, v | design, residuals, noise_variances |
| P | projected |
| e', h' | errors, leverages |
| c | scale |

References
----------
Leave-one-out of linear smoothers: Allen, Technometrics 16, 125 (1974), for blocks of rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg.lapack import dpotrf, dtrtri, spotrf, strtri

from mlff_dyn.regression.errors.calibration_limits import CALIBRATION_LIMITS, CalibrationLimits
from mlff_dyn.regression.linalg.factorization import times_upper

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from mlff_dyn.regression.fit.posterior import Posterior

_SMALLEST_GAP = 1e-7
"""Pivot of 1 - H_k below which its inverse loses about half the digits of a double."""
_SMALLEST_SINGLE_GAP = 1e-2
"""The same in single precision, to four digits."""
_ROUNDING = 10.0 * float(np.finfo(float).eps)
"""Of residuals, over the terms that they are differences of."""
_ONE_SD = 0.6826894921370859
"""Part of normal errors within one standard deviation."""


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Predictions of a configuration by a fit to all others.

    Attributes
    ----------
    errors : ndarray, shape (n_rows,)         prediction minus target, up to sign; unit of the targets
    leverages : ndarray, shape (n_rows,)      epistemic variance over noise variance
    noise_variances : ndarray, shape (n_rows,)
    fitted_variances : ndarray, shape (n_rows,), or None
        Epistemic variance by the fit to all data, this configuration included.
    """

    errors: NDArray[np.float64]
    leverages: NDArray[np.float64]
    noise_variances: NDArray[np.float64]
    fitted_variances: NDArray[np.float64] | None = None

    @property
    def scores(self) -> NDArray[np.float64]:
        """Errors over predictive standard deviations, shape (n_rows,)."""
        return np.asarray(self.errors / np.sqrt(self.noise_variances * (1.0 + self.leverages)))

    def with_noise(self, noise_variances: NDArray[np.float64]) -> HeldOut:
        """Return the same predictions of rows whose noise is not the variance that they had in the fit."""
        leverages = self.leverages * self.noise_variances / noise_variances
        return replace(self, leverages=leverages, noise_variances=noise_variances)

    def with_scales(self, scales: NDArray[np.float64]) -> HeldOut:
        """Return the same predictions with standard deviations times factors, shape (n_rows,)."""
        return replace(self, noise_variances=self.noise_variances * scales**2)

    def take(self, rows: NDArray[np.bool_]) -> HeldOut:
        """Return some of the rows."""
        fitted = None if self.fitted_variances is None else self.fitted_variances[rows]
        return HeldOut(self.errors[rows], self.leverages[rows], self.noise_variances[rows], fitted)


def hold_out(
    posterior: Posterior,
    design: NDArray[np.float64],
    targets: NDArray[np.float64],
    noise_variances: ArrayLike,
    free_design: NDArray[np.float64] | None = None,
    *,
    scored: NDArray[np.int64] | None = None,
    is_rough: bool = False,
) -> HeldOut:
    """Predict one configuration of the data from all the others, without a refit.

    Parameters
    ----------
    posterior : Posterior
        Of all data, this configuration included.
    design : ndarray, shape (n_rows, n_parameters)
    targets : ndarray, shape (n_rows,)
    noise_variances : float or ndarray, shape (n_rows,)
        As the fit took them to be.
    free_design : ndarray, shape (n_rows, n_free), optional
        Columns of the free parameters of the posterior.
    scored : ndarray of int, optional
        Rows that are predicted, while all are held out; default: all.
    is_rough : bool
        To four digits: what the held-out rows change is computed in single precision where no pivot of
        1 - H_k is below 0.01, a hundred thousand times the rounding.
    """
    variances = np.broadcast_to(np.asarray(noise_variances, float), targets.shape)
    noise_sd = np.sqrt(variances)
    prediction, projected = posterior.project(design, free_design)
    projected /= noise_sd[:, None]
    residuals = (targets - prediction) / noise_sd
    sizes = np.abs(design) @ posterior.parameter_sds + np.abs(targets)
    smallest_gap = max(_SMALLEST_GAP, _ROUNDING * float((sizes / noise_sd).max()))
    gaps = (_SMALLEST_SINGLE_GAP, smallest_gap) if is_rough else (smallest_gap,)
    chosen = slice(None) if scored is None else scored
    errors, leverages = _hold_out(projected, residuals, chosen, gaps)
    variances = variances[chosen]
    fitted = np.einsum("ij,ij->i", projected[chosen], projected[chosen]) * variances
    return HeldOut(errors * noise_sd[chosen], np.maximum(leverages, 0.0), variances, fitted)


def _hold_out(
    projected: NDArray[np.float64],
    residuals: NDArray[np.float64],
    scored: slice | NDArray[np.int64],
    smallest_gaps: tuple[float, ...],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Errors and leverages of some rows, both over the noise.

    The last of the gaps, the smallest that 1 - H may have, is for double precision, one before it for single.
    """
    is_wide = projected.shape[0] <= projected.shape[1]
    precisions = (np.float32, np.float64)[-len(smallest_gaps) :]
    for precision, smallest in zip(precisions, smallest_gaps, strict=True):
        rows = projected.astype(precision, copy=False)
        inverse = _inverse_factor(rows if is_wide else rows.T, smallest)
        if inverse is None:
            continue
        if is_wide:
            half = inverse[:, scored]
            return half.T @ (inverse @ residuals), np.einsum("ij,ij->j", half, half) - 1.0
        half = times_upper(rows[scored], inverse.T)
        errors = residuals[scored] + half @ (inverse @ (residuals @ projected))
        return errors, np.einsum("ij,ij->i", half, half)
    errors, leverages = _hold_out_near_interpolation(projected, residuals, smallest_gaps[-1])
    return errors[scored], leverages[scored]


def _inverse_factor(rows: NDArray[Any], smallest_gap: float) -> NDArray[Any] | None:
    """Inverse of the lower Cholesky factor of 1 - rows rows^T; None where rounding may hide a pivot."""
    factorize, invert = (spotrf, strtri) if rows.dtype == np.float32 else (dpotrf, dtrtri)
    gap = -(rows @ rows.T)
    gap.flat[:: len(gap) + 1] += 1.0
    factor, failed = factorize(gap, lower=1, clean=1)
    if failed or np.diag(factor).min() ** 2 < smallest_gap:
        return None
    return np.asarray(invert(factor, lower=1)[0])


def _hold_out_near_interpolation(
    projected: NDArray[np.float64], residuals: NDArray[np.float64], smallest_gap: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """By eigenvalues of 1 - H.

    Directions whose eigenvalue rounding hides tell nothing: they count as being as far off as promised.
    """
    values, vectors = np.linalg.eigh(projected @ projected.T)
    told = 1.0 - values > smallest_gap
    gap, vectors = 1.0 - values[told], vectors[:, told]
    errors = vectors @ ((vectors.T @ residuals) / gap)
    hidden = np.maximum(1.0 - (vectors**2).sum(axis=1), 0.0)
    leverages = (vectors**2) @ (np.maximum(1.0 - gap, 0.0) / gap)
    return np.copysign(np.sqrt(errors**2 + hidden), errors), leverages


def calibration_scale(
    held_out: Sequence[HeldOut],
    n_configurations: int | None = None,
    limits: CalibrationLimits = CALIBRATION_LIMITS,
) -> float:
    """Factor c that turns standard deviations into the size of the errors found.

    Parameters
    ----------
    held_out : sequence of HeldOut
        Configurations of the data; a single one, which nothing predicts, leaves the scale at 1.
    n_configurations : int, optional
        Of the data; default: all are held out once.
    limits : CalibrationLimits
    """
    n = len(held_out) if n_configurations is None else n_configurations
    if n < 2:
        return 1.0
    typical = float(np.sqrt(np.median([np.mean(part.scores**2) for part in held_out])))
    kept = float(np.quantile(np.abs(np.concatenate([part.scores for part in held_out])), _ONE_SD))
    return max(limits.smallest_scale, float(np.sqrt(small_number_factor(n, limits) * typical * kept)))


def class_scales(
    held_out: Sequence[HeldOut],
    classes: Sequence[NDArray[np.int64]],
    weights: NDArray[np.float64],
    limits: CalibrationLimits = CALIBRATION_LIMITS,
) -> NDArray[np.float64]:
    """Factors on the standard deviations of classes of rows, beside that of all; shape (n_classes,).

    Parameters
    ----------
    held_out : sequence of HeldOut
        Two configurations or more.
    classes : sequence of ndarray of int
        Class of each row of each configuration.
    weights : ndarray, shape (n_classes,)
        How often each class occurs; the weighted mean of the squared factors is one.
    limits : CalibrationLimits
    """
    n_classes, ratios, counts = len(weights), [], np.zeros(len(weights))
    for part, labels in zip(held_out, classes, strict=True):
        squares, own = part.scores**2, np.bincount(labels, minlength=n_classes)
        means = np.bincount(labels, squares, n_classes) / np.maximum(own, 1)
        size = float(squares.mean())
        ratios.append(means / size if size > 0.0 else np.ones(n_classes))
        counts += own
    unknown = limits.rows_of_a_class
    found = (counts * np.median(ratios, axis=0) + 1.0) / (counts + 1.0)
    shares = found ** (counts / (counts + unknown))
    return np.asarray(np.sqrt(shares * weights.sum() / (weights @ shares)))


def small_number_factor(n_configurations: int, limits: CalibrationLimits = CALIBRATION_LIMITS) -> float:
    """Factor on variances that pays for what few configurations do not tell about noise and prior."""
    return 1.0 + limits.margin / n_configurations


def scalar_calibration_scale(
    scores: NDArray[np.float64], n_configurations: int, limits: CalibrationLimits = CALIBRATION_LIMITS
) -> float:
    """Factor on the standard deviations of a quantity of which each configuration has few.

    Its square is the mean square of the scores, to which some more of size one are added, so that few do not
    move it much, times 1 + m / K: what K configurations do not tell about noise and zero of the quantity.

    Parameters
    ----------
    scores : ndarray
        held-out errors over their predictive standard deviations.
    n_configurations : int
        Of the data.
    limits : CalibrationLimits
    """
    total = float(np.sum(np.square(scores))) + limits.pseudo_count
    few = 1.0 + limits.scalar_margin / n_configurations
    return float(np.sqrt(few * total / (np.size(scores) + limits.pseudo_count)))
