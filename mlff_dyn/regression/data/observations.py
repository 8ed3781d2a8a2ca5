"""The data of a fit: sums over groups of rows with the same noise, triangles where sums lose digits."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.regression.data.conditions import Conditions, RowKind
from mlff_dyn.regression.linalg.packed import diagonal_places, packed_times

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from mlff_dyn.regression.data.sums import PackedStatistics, SufficientStatistics
    from mlff_dyn.regression.linalg.triangles import RootStatistics


@dataclass(frozen=True, eq=False)
class Observations:
    """Data of a fit: statistics of groups of rows with the same noise.

    Attributes
    ----------
    statistics : tuple of SufficientStatistics or PackedStatistics
        Columns: free parameters, then those of the prior.
    amplitudes : ndarray, shape (n_groups,)
    ratios : ndarray, shape (n_groups,), optional        default: 1, see `Conditions`
    kinds : ndarray of int, shape (n_groups,), optional  default: forces
    n_free : int                                         parameters with a flat prior
    stack : ndarray, shape (n_groups, any), optional     packed grams of the groups, where they lie together
    rows : callable, optional
        Square-root form of each group, made from the rows; asked for once where sums lose too many digits.
    rounding_sq : ndarray, shape (n_groups,), optional
        Square sums of what the targets were before something was taken off; default: those of the targets
    """

    statistics: tuple[SufficientStatistics | PackedStatistics, ...]
    amplitudes: NDArray[np.float64]
    ratios: NDArray[np.float64] | None = None
    kinds: NDArray[np.int64] | None = None
    n_free: int = 0
    stack: NDArray[np.float64] | None = None
    rows: Callable[[], Sequence[RootStatistics]] | None = None
    rounding_sq: NDArray[np.float64] | None = None

    @cached_property
    def grams(self) -> NDArray[np.float64]:
        """Packed grams of the groups, shape (n_groups, any)."""
        return np.array([part.packed for part in self.statistics]) if self.stack is None else self.stack

    @cached_property
    def roots(self) -> tuple[RootStatistics, ...]:
        """Square-root form of each group; none where the rows are not at hand."""
        return () if self.rows is None else tuple(self.rows())

    @cached_property
    def signal_sq(self) -> NDArray[np.float64]:
        """Square sum of each group that rounding is relative to, shape (n_groups,)."""
        if self.rounding_sq is not None:
            return self.rounding_sq
        return np.array([part.target_sq for part in self.statistics])

    @cached_property
    def conditions(self) -> Conditions:
        """What the noise of each group depends on."""
        n = len(self.amplitudes)
        return Conditions(
            np.asarray(self.amplitudes, float),
            np.ones(n) if self.ratios is None else self.ratios,
            np.zeros(n, np.int64) if self.kinds is None else self.kinds,
        )

    @property
    def n_targets(self) -> int:
        """Number of rows."""
        return sum(part.n_targets for part in self.statistics)

    @property
    def n_parameters(self) -> int:
        """Number of columns of the prior."""
        return self.statistics[0].n_parameters - self.n_free

    @cached_property
    def target_rms(self) -> float:
        """Root mean square of the forces."""
        parts = self._forces
        return float(np.sqrt(sum(p.target_sq for p in parts) / sum(p.n_targets for p in parts)))

    @property
    def column_power(self) -> NDArray[np.float64]:
        """Mean square of each column of the prior over the rows of the forces, shape (n_parameters,)."""
        parts = self._forces
        places = diagonal_places(parts[0].n_parameters)
        power = sum(p.packed[places] for p in parts) / sum(p.n_targets for p in parts)
        return np.asarray(power)[self.n_free :]

    def residual_sq(self, mean: NDArray[np.float64]) -> float:
        """Sum of the squared residuals of the forces at given parameters (with the free ones first)."""
        return float(
            sum(p.target_sq - mean @ (2 * p.moment - packed_times(p.packed, mean)) for p in self._forces)
        )

    @property
    def _forces(self) -> list[SufficientStatistics | PackedStatistics]:
        kinds = self.conditions.kinds
        return [part for part, kind in zip(self.statistics, kinds, strict=True) if kind == RowKind.FORCE]
