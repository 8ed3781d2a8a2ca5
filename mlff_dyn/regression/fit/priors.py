"""Gaussian priors whose few hyperparameters know the structure of the parameters.

Independent parameters w of a block are combinations of structural ones, x = N w with orthonormal columns N;
in a lattice expansion x are the force constants of orbits and N their sum rules. The prior of x, conditioned
on the sum rules, is

    x_j ~ N(0, v_j),   v_j = m_j t_g^2 (exp(-2 d (r_j - r0)) + eps^2),   precision of w:  N^T diag(1 / v) N

whose inverse is N^T v^(1/2) Π v^(1/2) N with the projector Π onto the range of v^(-1/2) N

(eps = 1e-6; v_j = m_j t_g^2 in blocks without decay) with one scale t_g per group g (order and number of
bodies), one decay rate d per block (order), the distance r_j and the multiplicity m_j of each structural
parameter.

| symbol | variable |
|---|---|
| N | PriorBlock.structure |
| g, r - r0, log m | PriorBlock.groups, .distances, .log_weights |
| log t, d | values |
| v | variances, at least 1e-11 of the largest of the block to keep it well conditioned |
| Π | PriorPrecision.projectors, block by block |
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from scipy.linalg import block_diag

from mlff_dyn.regression.fit.hyperpriors import HYPERPRIORS, Hyperpriors
from mlff_dyn.regression.linalg.factorization import times_upper
from mlff_dyn.regression.linalg.projector import Projector, ScaledColumns
from mlff_dyn.regression.linalg.triangles import positive_diagonal, triangle_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class PriorBlock:
    """Parameters with a common decay.

    Attributes
    ----------
    structure : ndarray, shape (n_structural, n_parameters)     orthonormal columns
    groups : ndarray of int, shape (n_structural,)              numbered from 0 over all blocks
    distances : ndarray, shape (n_structural,), or None         None: no decay
    log_weights : ndarray, shape (n_structural,)
    """

    structure: NDArray[np.float64]
    groups: NDArray[np.int64]
    distances: NDArray[np.float64] | None
    log_weights: NDArray[np.float64]

    @cached_property
    def is_unstructured(self) -> bool:
        """Whether the parameters are the structural ones."""
        return np.array_equal(self.structure, np.eye(len(self.structure)))


@dataclass(frozen=True, eq=False)
class PriorPrecision:
    """A prior at given hyperparameters.

    Attributes
    ----------
    matrix : ndarray, shape (n_parameters, n_parameters)
    log_determinant : float
    variances : ndarray, shape (n_structural,)           v
    by_values : ndarray, shape (n_structural, n_values)  derivatives of log v
    projectors : tuple of Projector                      Π of each block
    """

    matrix: NDArray[np.float64]
    log_determinant: float
    variances: NDArray[np.float64]
    by_values: NDArray[np.float64]
    projectors: tuple[Projector, ...]


class Prior(Protocol):
    """Gaussian prior of mean zero as a function of values that evidence chooses."""

    def start(self, column_power: NDArray[np.float64], target_rms: float) -> NDArray[np.float64]:
        """First guess of the values, given the mean square of each column of X and of the targets."""

    def other_starts(self, start: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        """Further guesses, for few data, whose evidence may have several maxima."""

    def bounds(self, start: NDArray[np.float64]) -> list[tuple[float, float]]:
        """Range of each value."""

    def precision(self, values: NDArray[np.float64]) -> Any:  # noqa: ANN401
        """Precision matrix (``matrix``) and its ``log_determinant``, with whatever `gradient` needs."""

    def rooted(self, values: NDArray[np.float64]) -> tuple[Any, NDArray[np.float64]]:
        """Return the same and an upper triangle P with PᵀP = precision, neither made from the matrix."""

    def gradient(
        self,
        precision: Any,  # noqa: ANN401
        mean: NDArray[np.float64],
        covariance: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Derivative of the log evidence by the values, given the posterior."""

    def sensitivity(
        self,
        precision: Any,  # noqa: ANN401
        mean: NDArray[np.float64],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Minus the derivatives of the precision times the mean, shape (n_parameters, n_values).

        The second array is the prior covariance times the first.
        """


class StructuredPrior:
    """Blocks of parameters with group scales and decays; ``values`` are log scales, then decays.

    Parameters
    ----------
    blocks : sequence of PriorBlock
        In the order of the parameters.
    group_names : tuple of str
        What each group stands for.
    group_orders : ndarray of int, shape (n_groups,), optional
        Order of each group, for those whose scale has the unit of an order.
    hyperpriors : Hyperpriors
    late_groups : tuple of int
        Those that few data may do without.

    Examples
    --------
    Three parameters of one scale, 0.5, that decays at the rate 2 with the distance.

    >>> import numpy as np
    >>> distances = np.array([0.0, 1.0, 2.0])
    >>> prior = StructuredPrior([PriorBlock(np.eye(3), np.zeros(3, int), distances, log_weights=np.zeros(3))])
    >>> precision = prior.precision(np.array([np.log(0.5), 2.0]))
    >>> print(np.sqrt(precision.variances).round(4))
    [0.5    0.0677 0.0092]
    """

    def __init__(
        self,
        blocks: Sequence[PriorBlock],
        group_names: tuple[str, ...] = (),
        group_orders: NDArray[np.int64] | None = None,
        hyperpriors: Hyperpriors = HYPERPRIORS,
        late_groups: tuple[int, ...] = (),
    ) -> None:
        self.blocks = tuple(blocks)
        self._late_groups = list(late_groups)
        self.group_names = group_names
        self.hyperpriors = hyperpriors
        self.n_groups = 1 + max(int(block.groups.max()) for block in blocks)
        self.group_orders = np.ones(self.n_groups, np.int64) if group_orders is None else group_orders
        self.n_parameters = sum(block.structure.shape[1] for block in blocks)
        self._decaying = [block for block in self.blocks if block.distances is not None]

    @cached_property
    def _groups(self) -> NDArray[np.int64]:
        return np.concatenate([block.groups for block in self.blocks])

    @cached_property
    def _group_features(self) -> NDArray[np.float64]:
        """One in the column of the group, shape (n_structural, n_groups)."""
        return np.asarray(np.eye(self.n_groups)[self._groups])

    @cached_property
    def _log_weights(self) -> NDArray[np.float64]:
        return np.concatenate([block.log_weights for block in self.blocks])

    @cached_property
    def _residual(self) -> NDArray[np.float64]:
        """Part of the variance that does not decay, where there is decay."""
        parts = [
            np.full(len(block.groups), 0.0 if block.distances is None else self.hyperpriors.residual_decay**2)
            for block in self.blocks
        ]
        return np.concatenate(parts)

    @cached_property
    def _decay_features(self) -> NDArray[np.float64]:
        """Minus the distance in the column of its decay, shape (n_structural, n_decays)."""
        columns = []
        for decaying in self._decaying:
            parts = [
                -block.distances
                if block is decaying and block.distances is not None
                else np.zeros(len(block.groups))
                for block in self.blocks
            ]
            columns.append(np.concatenate(parts))
        return np.stack(columns, axis=1) if columns else np.zeros((len(self._groups), 0))

    def start(self, column_power: NDArray[np.float64], target_rms: float) -> NDArray[np.float64]:
        """First guess: each block alone explains the targets.

        Parameters
        ----------
        column_power : ndarray, shape (n_parameters,)     mean square of each column of X
        target_rms : float
        """
        logs = np.zeros(self.n_groups)
        first = 0
        floor = 1e-12 * column_power.max()
        for block in self.blocks:
            count = block.structure.shape[1]
            power = max(column_power[first : first + count].sum(), floor)
            for group in np.unique(block.groups):
                weight = block.log_weights[block.groups == group].mean()
                logs[group] = np.log(target_rms / np.sqrt(power)) - 0.5 * weight
            first += count
        return np.concatenate([logs, np.full(len(self._decaying), self.hyperpriors.start_decay)])

    def other_starts(self, start: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        """Start where groups that few data may do without hold little; none without such groups."""
        lower = start.copy()
        lower[self._late_groups] -= self.hyperpriors.late_start_log
        return [lower] if self._late_groups else []

    def bounds(self, start: NDArray[np.float64]) -> list[tuple[float, float]]:
        """Range of each value."""
        low, high = self.hyperpriors.scale_log_range
        scales = [(value + low, value + high) for value in start[: self.n_groups]]
        return scales + [(0.0, self.hyperpriors.largest_decay)] * len(self._decaying)

    @cached_property
    def _columns(self) -> tuple[ScaledColumns, ...]:
        return tuple(ScaledColumns(block.structure) for block in self.blocks)

    def precision(self, values: NDArray[np.float64]) -> PriorPrecision:
        """Evaluate the prior."""
        scale = np.exp(2 * values[: self.n_groups])[self._groups] * np.exp(self._log_weights)
        decay = np.exp(2 * self._decay_features @ values[self.n_groups :])
        scaled = scale * (decay + self._residual)
        shares = scale * decay / scaled
        by_values = np.concatenate([self._group_features, self._decay_features * shares[:, None]], axis=1)
        variances, by_values = self._raised(scaled, 2 * by_values)
        matrix, projectors = np.zeros((self.n_parameters, self.n_parameters)), []
        log_determinant, first, parameter = 0.0, 0, 0
        for block, columns in zip(self.blocks, self._columns, strict=True):
            sds = np.sqrt(variances[first : first + len(block.groups)])
            here = slice(parameter, parameter + block.structure.shape[1])
            matrix[here, here] = _gram_of_scaled(block, sds)
            projector, own = columns.projector(sds)
            projectors.append(projector)
            log_determinant += own
            first, parameter = first + len(block.groups), here.stop
        return PriorPrecision(matrix, log_determinant, variances, by_values, tuple(projectors))

    def rooted(self, values: NDArray[np.float64]) -> tuple[PriorPrecision, NDArray[np.float64]]:
        """Evaluate the prior by QR decompositions.

        Returns
        -------
        precision : PriorPrecision
        root : ndarray, shape (n_parameters, n_parameters)
            Upper triangle P with PᵀP = precision.
        """
        precision = self.precision(values)
        sds, first, roots = np.sqrt(precision.variances), 0, []
        for block in self.blocks:
            rows = block.structure / sds[first : first + len(block.groups), None]
            roots.append(positive_diagonal(triangle_of(rows)))
            first += len(block.groups)
        return precision, np.asarray(block_diag(*roots))

    def _raised(
        self, variances: NDArray[np.float64], by_values: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Variances and derivatives of their logarithms, those of decaying blocks on top of a floor.

        It is a small share of the largest variance of the block, which keeps the precision well conditioned.
        """
        raised, derivatives, first = variances.copy(), by_values.copy(), 0
        for block in self.blocks:
            here = slice(first, first + len(block.groups))
            first = here.stop
            if block.distances is None:
                continue
            largest = here.start + int(variances[here].argmax())
            floor = self.hyperpriors.smallest_variance * variances[largest]
            raised[here] += floor
            below = (floor / raised[here])[:, None]
            derivatives[here] += below * (by_values[largest] - by_values[here])
        return raised, derivatives

    def gradient(
        self, precision: PriorPrecision, mean: NDArray[np.float64], covariance: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Derivative of the log evidence by the values, given the posterior.

        It is that of the mean square of x over its prior variance under the sum rules.
        """
        excess, first = [], 0
        for block in self.blocks:
            here = slice(first, first + block.structure.shape[1])
            first = here.stop
            if block.is_unstructured:
                excess.append(mean[here] ** 2 + np.diag(covariance)[here])
                continue
            half = covariance[here, here].copy()
            half[np.diag_indices_from(half)] *= 0.5
            spread = np.einsum("ij,ij->i", times_upper(block.structure, half), block.structure)
            excess.append((block.structure @ mean[here]) ** 2 + 2.0 * spread)
        known = np.concatenate([projector.diagonal for projector in precision.projectors])
        beyond = np.concatenate(excess) / precision.variances - known
        return np.asarray(0.5 * precision.by_values.T @ beyond)

    def sensitivity(
        self, precision: PriorPrecision, mean: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Minus the derivatives of the precision times the mean, and the prior covariance times them."""
        pull, carried, first, parameter = [], [], 0, 0
        for block, projector in zip(self.blocks, precision.projectors, strict=True):
            here = slice(first, first + len(block.groups))
            sds = np.sqrt(precision.variances[here, None])
            structural = block.structure @ mean[parameter : parameter + block.structure.shape[1]]
            weighted = precision.by_values[here] * (structural[:, None] / sds)
            pull.append(block.structure.T @ (weighted / sds))
            carried.append(block.structure.T @ (sds * (projector @ weighted)))
            first, parameter = here.stop, parameter + block.structure.shape[1]
        return np.concatenate(pull), np.concatenate(carried)


def _gram_of_scaled(block: PriorBlock, sds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gram of the structure of a block whose rows are divided by scales."""
    if block.is_unstructured:
        return np.diag((1.0 / sds) ** 2)
    scaled = block.structure / sds[:, None]
    return np.asarray(scaled.T @ scaled)
