"""How a rotation acts on the monomials of one displacement, the symmetric powers of the rotation matrix."""

from __future__ import annotations

from functools import cache
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@cache
def monomial_axes(degree: int) -> NDArray[np.int64]:
    """Axes of the monomials of a degree in (x, y, z): xx, xy, xz, yy, ...; shape (n_monomials, degree)."""
    rows = list(combinations_with_replacement(range(3), degree))
    return np.array(rows, np.int64).reshape(len(rows), degree)


def symmetric_powers(rotations: NDArray[np.float64], highest: int) -> list[NDArray[np.float64]]:
    """Matrices that carry coefficients of monomials from an atom to its image, for degrees 0 to highest.

    A polynomial p(u) = sum_m c_m u^m of the displacement of one atom becomes p(R^T u) on the image of the
    atom under the rotation R, with the coefficients c' = D(R) c. A monomial is its first factor times one of
    the degree below, and so is its image.

    Parameters
    ----------
    rotations : ndarray, shape (n, 3, 3)     Cartesian rotations R
    highest : int

    Returns
    -------
    list of ndarray, shape (n, n_monomials, n_monomials)
    """
    powers = [np.ones((len(rotations), 1, 1))]
    for degree in range(1, highest + 1):
        axes = monomial_axes(degree)
        lower = monomial_axes(degree - 1)
        rest = _monomial_index(axes[:, 1:])
        below = powers[-1][:, :, rest]
        matrices = np.zeros((len(rotations), len(axes), len(axes)))
        for axis in range(3):
            raised = _monomial_index(np.insert(lower, 0, axis, axis=1))
            matrices[:, raised] += rotations[:, axis, axes[:, 0]][:, None] * below
        powers.append(matrices)
    return powers


def _monomial_index(axes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Place of monomials, axes in any order, in the list of their degree."""
    degree = axes.shape[1]
    weights = 3 ** np.arange(degree)[::-1]
    return np.searchsorted(monomial_axes(degree) @ weights, np.sort(axes, axis=1) @ weights)
