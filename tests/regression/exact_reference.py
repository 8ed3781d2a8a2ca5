"""Posterior and evidence of small linear models in rational arithmetic, without rounding."""

import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray


def exact_posterior(
    design: NDArray[np.float64], targets: NDArray[np.float64], variance: float, prior_variance: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Mean and sd of the parameters and the log evidence; one noise, one prior variance."""
    n_rows, n = design.shape
    x = [[Fraction(value) for value in row] for row in design.tolist()]
    y = [Fraction(value) for value in targets.tolist()]
    noise, width = Fraction(variance), Fraction(prior_variance)
    augmented = [
        [sum(row[i] * row[j] for row in x) / noise + (1 / width if i == j else 0) for j in range(n)]
        + [sum(row[i] * target for row, target in zip(x, y, strict=True)) / noise]
        + [Fraction(int(i == j)) for j in range(n)]
        for i in range(n)
    ]
    determinant = _eliminate(augmented)
    mean = [row[n] for row in augmented]
    sds = [math.sqrt(augmented[i][n + 1 + i]) for i in range(n)]
    residual_sq = sum(
        (target - sum(a * b for a, b in zip(row, mean, strict=True))) ** 2
        for row, target in zip(x, y, strict=True)
    )
    exponent = residual_sq / noise + sum(value**2 for value in mean) / width
    log_evidence = -0.5 * (
        n_rows * (math.log(2 * math.pi) + _log(noise)) + float(exponent) + _log(determinant) + n * _log(width)
    )
    return np.array([float(value) for value in mean]), np.array(sds), log_evidence


def _eliminate(rows: list[list[Fraction]]) -> Fraction:
    """Turn the square part into the identity; its determinant."""
    determinant = Fraction(1)
    for i, pivot_row in enumerate(rows):
        pivot = pivot_row[i]
        determinant *= pivot
        rows[i] = [value / pivot for value in pivot_row]
        for k, row in enumerate(rows):
            if k != i:
                rows[k] = [value - row[i] * other for value, other in zip(row, rows[i], strict=True)]
    return determinant


def _log(value: Fraction) -> float:
    return math.log(value.numerator) - math.log(value.denominator)
