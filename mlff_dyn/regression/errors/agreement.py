"""How predictions agree with truths, and predicted errors with the errors found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import erfinv

from mlff_dyn.errors import check_shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

LEVELS = (50, 68, 90, 95)
_ROUNDING = float(np.sqrt(np.finfo(float).eps))


@dataclass(frozen=True)
class Agreement:
    """Sizes of errors.

    Attributes
    ----------
    n : int
    rmse, mae, mean_error : float        unit of the values
    rmse_relative : float or None        over the size of the truths; None where that is zero
    r2 : float or None                   1 - squared errors / variance of the truths
    """

    n: int
    rmse: float
    mae: float
    mean_error: float
    rmse_relative: float | None
    r2: float | None


@dataclass(frozen=True)
class Calibration:
    """Predicted errors against those found.

    Attributes
    ----------
    sd : float                           predicted, root mean square
    z : float or None                    root mean square of error over predicted error; 1 is right
    coverage : tuple of float            fraction of errors within bounds that should hold 50, 68, 90, 95 %
    """

    sd: float
    z: float | None
    coverage: tuple[float, ...]


def agreement(
    truths: NDArray[np.float64], predictions: NDArray[np.float64], *, about_mean: bool = False
) -> Agreement:
    """Compare predictions with truths.

    Parameters
    ----------
    truths, predictions : ndarray, shape (n,)
    about_mean : bool
        Whether the size of the truths is measured from their mean, as that of energies.
    """
    check_shape("predictions", predictions, truths.shape)
    errors = predictions - truths
    rmse = float(np.sqrt(np.mean(errors**2)))
    size = float(truths.std()) if about_mean else float(np.sqrt(np.mean(truths**2)))
    spread = float(truths.var())
    return Agreement(
        n=len(truths),
        rmse=rmse,
        mae=float(np.abs(errors).mean()),
        mean_error=float(errors.mean()),
        rmse_relative=rmse / size if size > 0.0 else None,
        r2=1.0 - rmse**2 / spread if spread > 0.0 else None,
    )


def calibration(errors: NDArray[np.float64], sd: NDArray[np.float64]) -> Calibration:
    """Compare errors with their predicted standard deviations, both of shape (n,).

    Those that symmetry makes zero are rounding errors of the others, and stay out of ``z``.
    """
    check_shape("sd", sd, errors.shape)
    size = float(np.sqrt(np.mean(sd**2)))
    known = sd > _ROUNDING * size
    return Calibration(
        sd=size,
        z=float(np.sqrt(np.mean((errors[known] / sd[known]) ** 2))) if known.any() else None,
        coverage=tuple(coverage(errors, sd, [level / 100.0 for level in LEVELS]).tolist()),
    )


def coverage(
    errors: NDArray[np.float64], sd: NDArray[np.float64], probabilities: Sequence[float]
) -> NDArray[np.float64]:
    """Fraction of errors within the bounds that hold a normal error with each of the probabilities."""
    bounds = np.sqrt(2.0) * erfinv(np.asarray(probabilities, float))
    return np.array([np.mean(np.abs(errors) <= bound * sd) for bound in bounds])
