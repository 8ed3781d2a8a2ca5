"""How three directions make a number that does not change when they are turned together."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.kernels.reference.local_functions import harmonics

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ROUNDING = 1e-12


@lru_cache(maxsize=64)
def coupling(first: int, second: int, third: int) -> NDArray[np.float64]:
    """How harmonics of three directions are coupled to an invariant.

    With coefficients w, sum_mm'm'' w_mm'm'' Y_lm(a) Y_l'm'(b) Y_l''m''(c) is the mean over all directions e
    of P_l(e.a) P_l'(e.b) P_l''(e.c), scaled so that it is 1 where a, b and c are equal; zero for degrees that
    are not `mlff_dyn.kernels.degrees.is_coupled`.

    Parameters
    ----------
    first, second, third : int
        Degrees l, l', l''.

    Returns
    -------
    ndarray, shape (2 l + 1, 2 l' + 1, 2 l'' + 1)
    """
    n_points = first + second + third + 1
    z, weights = np.polynomial.legendre.leggauss(n_points)
    angles = 2.0 * np.pi * np.arange(n_points) / n_points
    across = np.sqrt(1.0 - z**2)[:, None]
    directions = np.stack(
        [across * np.cos(angles), across * np.sin(angles), np.repeat(z[:, None], n_points, axis=1)], axis=-1
    )
    values = harmonics(directions.reshape(-1, 3), max(first, second, third))[0]
    a, b, c = (values[:, n**2 : (n + 1) ** 2] for n in (first, second, third))
    weights = np.repeat(weights / (2.0 * n_points), n_points)
    found = np.einsum("p,pa,pb,pc->abc", weights, a, b, c)
    found[np.abs(found) < _ROUNDING] = 0.0
    equal = np.einsum("abc,a,b,c->", found, a[0], b[0], c[0])
    return np.asarray(found / equal) if found.any() else found
