"""Systematic error of a fit for frames of other amplitudes than those that it was made to.

What a truncated expansion leaves out is no mere noise: a share of it acts like a change of the parameters
that grows with the amplitude. A fit to frames k, of which the expansion leaves out forces of size t_k, is as
right as it can be for frames of which it leaves out their weighted mean, and errs for others: the mean square
bias over some frames is

    b^2 = share <(t - t_mean)^2>,     t_mean = sum_k w_k t_k / sum_k w_k,     w_k = n_k / v_k

with the number of rows n_k and their noise variance v_k, both those of the fit.

| symbol | variable |
|---|---|
| t, w | sizes, weights |
| t_mean, sum_k w_k | known_size, known_weight |
| share | share |

References
----------
Box and Draper, J. Am. Stat. Assoc. 54, 622 (1959): designs where the model is not exact.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Misfit:
    """What an expansion leaves out of frames of a pool, and of those that are known.

    Attributes
    ----------
    sizes : ndarray, shape (n_frames,)       of the forces left out, unit of the targets
    weights : ndarray, shape (n_frames,)     rows over noise variance
    known_size : float                       weighted mean of the known frames
    known_weight : float                     sum of their weights
    share : float
        Of the mean square that acts like a change of the parameters, found with several crystals: chosen by
        `python -m benchmarks.accuracy --only selections`.
    counts : ndarray, shape (n_frames,), or None
        How much each frame of the pool counts, their sum being one; None: all the same.
    """

    sizes: NDArray[np.float64]
    weights: NDArray[np.float64]
    known_size: float = 0.0
    known_weight: float = 0.0
    share: float = 0.3
    counts: NDArray[np.float64] | None = None

    def add(self, frame: int) -> Misfit:
        """Count a frame of the pool among the known ones too."""
        total = self.known_weight + self.weights[frame]
        size = self.known_weight * self.known_size + self.weights[frame] * self.sizes[frame]
        return replace(self, known_size=float(size / total), known_weight=float(total))

    @property
    def biases(self) -> NDArray[np.float64]:
        """Mean square bias over the pool once each frame of it is known too, shape (n_frames,)."""
        total = self.known_weight + self.weights
        means = (self.known_weight * self.known_size + self.weights * self.sizes) / total
        center, spread = float(self.sizes.mean()), float(np.var(self.sizes))
        if self.counts is not None:
            center = float(self.counts @ self.sizes)
            spread = float(self.counts @ (self.sizes - center) ** 2)
        return np.asarray(self.share * (spread + (means - center) ** 2))


def no_misfit(n_frames: int) -> Misfit:
    """Misfit of frames that the expansion describes in full."""
    return Misfit(np.zeros(n_frames), np.ones(n_frames))
