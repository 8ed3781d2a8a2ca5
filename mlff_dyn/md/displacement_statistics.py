"""How far atoms are from their sites along a trajectory, gathered frame by frame.

For displacements u of normal distribution the ratio <|u|^4> / <|u|^2>^2 is 5/3 if all directions are alike,
and larger if they are not; in a well of the fourth power it is 1.37, and for atoms that stay at one distance
from their sites, in wells around them, 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

BIN_ANGSTROM = 0.02


class DisplacementSums:
    """Sums over the frames of a trajectory.

    Parameters
    ----------
    numbers : ndarray of int, shape (n_atoms,)      atomic numbers

    Attributes
    ----------
    n_frames : int
    """

    def __init__(self, numbers: NDArray[np.int64]) -> None:
        self._numbers = np.asarray(numbers)
        self._first = np.zeros((len(numbers), 3))
        self._second, self._fourth = np.zeros(len(numbers)), np.zeros(len(numbers))
        self._counts: dict[int, NDArray[np.int64]] = {
            number: np.zeros(0, int) for number in sorted(set(self._numbers.tolist()))
        }
        self.n_frames = 0

    @property
    def elements(self) -> tuple[int, ...]:
        """Atomic numbers, ascending."""
        return tuple(self._counts)

    def add(self, displacements: NDArray[np.float64]) -> None:
        """Take a frame in; displacements in Å, shape (n_atoms, 3)."""
        squares = np.sum(displacements**2, axis=1)
        self._first += displacements
        self._second += squares
        self._fourth += squares**2
        places = (np.sqrt(squares) / BIN_ANGSTROM).astype(int)
        for number, counts in self._counts.items():
            self._counts[number] = _sum_of([counts, np.bincount(places[self._numbers == number])])
        self.n_frames += 1

    def histogram(self, number: int) -> NDArray[np.int64]:
        """Atoms of an element in all frames by their distance from the site, in steps of `BIN_ANGSTROM`."""
        return self._counts[number]

    def static_share(self, number: int) -> float:
        """Part of the mean square displacement of an element that does not average out over time.

        One over the number of independent frames where atoms move about their sites.
        """
        of = self._numbers == number
        static = np.sum((self._first[of] / self.n_frames) ** 2)
        return float(static / max(np.sum(self._second[of]) / self.n_frames, 1e-300))

    def flatness(self, number: int) -> float:
        """The ratio <|u|^4> / <|u|^2>^2 of an element."""
        of = self._numbers == number
        second, fourth = (np.mean(sums[of]) / self.n_frames for sums in (self._second, self._fourth))
        return float(fourth / max(second**2, 1e-300))


def total_histogram(sums: Sequence[DisplacementSums], number: int) -> NDArray[np.int64]:
    """Histogram of an element over several trajectories."""
    return _sum_of([each.histogram(number) for each in sums])


def _sum_of(counts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Sum of arrays of different lengths."""
    total = np.zeros(max(map(len, counts)), int)
    for each in counts:
        total[: len(each)] += each
    return total
