"""What a row of data is about, and what its noise depends on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class RowKind(IntEnum):
    """What a row of data is about."""

    FORCE = 0
    ENERGY = 1
    STRESS = 2


@dataclass(frozen=True, eq=False)
class Conditions:
    """What the noise of rows, or of groups of rows, depends on.

    Attributes
    ----------
    amplitudes : ndarray, shape (n,)       amplitude of the frame
    ratios : ndarray, shape (n,)           amplitude of the neighborhood over that of the frame
    kinds : ndarray of int, shape (n,)     `RowKind`
    """

    amplitudes: NDArray[np.float64]
    ratios: NDArray[np.float64]
    kinds: NDArray[np.int64]

    def take(self, index: NDArray[np.intp] | NDArray[np.bool_]) -> Conditions:
        """Return the conditions at some places."""
        return Conditions(self.amplitudes[index], self.ratios[index], self.kinds[index])

    @classmethod
    def joined(cls, parts: Sequence[Conditions]) -> Conditions:
        """Return the conditions of several sets of rows, one after the other."""
        return cls(
            np.concatenate([part.amplitudes for part in parts]),
            np.concatenate([part.ratios for part in parts]),
            np.concatenate([part.kinds for part in parts]),
        )
