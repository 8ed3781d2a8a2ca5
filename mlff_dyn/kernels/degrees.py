"""Degrees of harmonics that go together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def is_coupled(
    first: NDArray[np.int64], second: NDArray[np.int64], third: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Whether harmonics of three degrees can be coupled to a number that a mirror leaves as it is."""
    is_triangle = (third <= first + second) & (first <= second + third) & (second <= first + third)
    return np.asarray(is_triangle & ((first + second + third) % 2 == 0))
