"""Sufficient statistics of a linear model: small, additive, all that a fit needs of the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlff_dyn.errors import check_shape
from mlff_dyn.regression.linalg.packed import pack

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class SufficientStatistics:
    """Sums over the rows of y = X parameters + noise.

    Attributes
    ----------
    gram : ndarray, shape (n_parameters, n_parameters)     XᵀX
    moment : ndarray, shape (n_parameters,)                Xᵀy
    target_sq : float                                      yᵀy
    n_targets : int                                        rows of X
    """

    gram: NDArray[np.float64]
    moment: NDArray[np.float64]
    target_sq: float
    n_targets: int

    def __post_init__(self) -> None:
        """Check shapes."""
        n = len(self.moment)
        check_shape("gram", self.gram, (n, n))

    @property
    def n_parameters(self) -> int:
        """Number of columns of X."""
        return len(self.moment)

    @property
    def packed(self) -> NDArray[np.float64]:
        """XᵀX packed."""
        return pack(self.gram)

    def __add__(self, other: SufficientStatistics) -> SufficientStatistics:
        """Statistics of both data sets together."""
        return SufficientStatistics(
            self.gram + other.gram,
            self.moment + other.moment,
            self.target_sq + other.target_sq,
            self.n_targets + other.n_targets,
        )


@dataclass(frozen=True, eq=False)
class PackedStatistics:
    """Sums over the rows of y = X parameters + noise, the symmetric one stored once; see `packed`.

    Attributes
    ----------
    packed : ndarray, shape (n_parameters (n_parameters + 1) / 2,)     XᵀX
    moment : ndarray, shape (n_parameters,)                            Xᵀy
    target_sq : float                                                  yᵀy
    n_targets : int                                                    rows of X
    """

    packed: NDArray[np.float64]
    moment: NDArray[np.float64]
    target_sq: float
    n_targets: int

    @property
    def n_parameters(self) -> int:
        """Number of columns of X."""
        return len(self.moment)


def collect(design: NDArray[np.float64], targets: NDArray[np.float64]) -> SufficientStatistics:
    """Statistics of one block of rows.

    Parameters
    ----------
    design : ndarray, shape (n_targets, n_parameters)
    targets : ndarray, shape (n_targets,)
    """
    check_shape("targets", targets, (len(design),))
    return SufficientStatistics(design.T @ design, design.T @ targets, float(targets @ targets), len(targets))
