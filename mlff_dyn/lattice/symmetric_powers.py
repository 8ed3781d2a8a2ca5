"""How a rotation acts on the monomials of one displacement, the symmetric powers of the rotation matrix."""

from __future__ import annotations

from functools import cache
from itertools import combinations_with_replacement, product
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@cache
def monomial_axes(degree: int) -> NDArray[np.int64]:
    """Axes of the monomials of a degree in (x, y, z): xx, xy, xz, yy, ...; shape (n_monomials, degree)."""
    rows = list(combinations_with_replacement(range(3), degree))
    return np.array(rows, np.int64).reshape(len(rows), degree)


def symmetric_power(rotations: NDArray[np.float64], degree: int) -> NDArray[np.float64]:
    """Matrices that carry coefficients of monomials from an atom to its image.

    A polynomial p(u) = sum_m c_m u^m of the displacement of one atom becomes p(R^T u) on the image of the
    atom under the rotation R, with the coefficients c' = D(R) c.

    Parameters
    ----------
    rotations : ndarray, shape (n, 3, 3)     Cartesian rotations R
    degree : int

    Returns
    -------
    ndarray, shape (n, n_monomials, n_monomials)
    """
    axes = monomial_axes(degree)
    index = {tuple(row): i for i, row in enumerate(axes.tolist())}
    matrices = np.zeros((len(rotations), len(axes), len(axes)))
    for column, source in enumerate(axes):
        for target in product(range(3), repeat=degree):
            factor = np.ones(len(rotations))
            for a, b in zip(source, target, strict=True):
                factor = factor * rotations[:, b, a]
            matrices[:, index[tuple(sorted(target))], column] += factor
    return matrices
