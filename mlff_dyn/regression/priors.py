"""Gaussian priors whose few hyperparameters know the structure of the parameters.

Independent parameters w of a block are combinations of structural ones, x = N w with orthonormal columns N;
in a lattice expansion x are the force constants of orbits and N their sum rules. The prior of x, conditioned
on the sum rules, is

    x_j ~ N(0, v_j),   v_j = m_j t_g^2 (exp(-2 d (r_j - r0)) + eps^2),   precision of w:  N^T diag(1 / v) N

(eps^2 = 1e-6; v_j = m_j t_g^2 in blocks without decay) with one scale t_g per group g (order and number of
bodies), one decay rate d per block (order), the distance r_j and the multiplicity m_j of each structural
parameter.

| symbol | variable |
|---|---|
| N | PriorBlock.structure |
| g, r - r0, log m | PriorBlock.groups, .distances, .log_weights |
| log t, d | values |
| v | variances, at least 1e-11 of the largest of the block to keep it well conditioned |
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from scipy.linalg import block_diag, solve_triangular

from mlff_dyn.regression.factorization import precision_factor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_RESIDUAL_DECAY = 1e-3
_SMALLEST_VARIANCE = 1e-11
_LOG_RANGE = (-9.0, 7.0)
_START_DECAY = 1.0
_LARGEST_DECAY = 4.0


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


@dataclass(frozen=True, eq=False)
class PriorPrecision:
    """A prior at given hyperparameters.

    Attributes
    ----------
    matrix : ndarray, shape (n_parameters, n_parameters)
    log_determinant : float
    variances : ndarray, shape (n_structural,)           v
    conditioned : ndarray, shape (n_structural,)         prior variance of x under the sum rules
    scaled : ndarray, shape (n_structural,)              share of v that the group scale sets
    decaying : ndarray, shape (n_structural,)            share of v that decays
    """

    matrix: NDArray[np.float64]
    log_determinant: float
    variances: NDArray[np.float64]
    conditioned: NDArray[np.float64]
    scaled: NDArray[np.float64]
    decaying: NDArray[np.float64]


class Prior(Protocol):
    """Gaussian prior of mean zero as a function of values that evidence chooses."""

    def start(self, column_power: NDArray[np.float64], target_rms: float) -> NDArray[np.float64]:
        """First guess of the values, given the mean square of each column of X and of the targets."""

    def bounds(self, start: NDArray[np.float64]) -> list[tuple[float, float]]:
        """Range of each value."""

    def precision(self, values: NDArray[np.float64]) -> Any:  # noqa: ANN401
        """Precision matrix (``matrix``) and its ``log_determinant``, with whatever `gradient` needs."""

    def gradient(
        self,
        precision: Any,  # noqa: ANN401
        mean: NDArray[np.float64],
        covariance: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Derivative of the log evidence by the values, given the posterior."""


class StructuredPrior:
    """Blocks of parameters with group scales and decays; ``values`` are log scales, then decays.

    Parameters
    ----------
    blocks : sequence of PriorBlock
        In the order of the parameters.
    group_names : tuple of tuple of int
        What each group stands for, such as (order, number of bodies).
    """

    def __init__(self, blocks: Sequence[PriorBlock], group_names: tuple[tuple[int, ...], ...] = ()) -> None:
        self.blocks = tuple(blocks)
        self.group_names = group_names
        self.n_groups = 1 + max(int(block.groups.max()) for block in blocks)
        self.n_parameters = sum(block.structure.shape[1] for block in blocks)
        self._decaying = [block for block in self.blocks if block.distances is not None]

    @cached_property
    def _groups(self) -> NDArray[np.int64]:
        return np.concatenate([block.groups for block in self.blocks])

    @cached_property
    def _log_weights(self) -> NDArray[np.float64]:
        return np.concatenate([block.log_weights for block in self.blocks])

    @cached_property
    def _residual(self) -> NDArray[np.float64]:
        """Part of the variance that does not decay, where there is decay."""
        parts = [
            np.full(len(block.groups), 0.0 if block.distances is None else _RESIDUAL_DECAY**2)
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
        return np.concatenate([logs, np.full(len(self._decaying), _START_DECAY)])

    def bounds(self, start: NDArray[np.float64]) -> list[tuple[float, float]]:
        """Range of each value."""
        scales = [(value + _LOG_RANGE[0], value + _LOG_RANGE[1]) for value in start[: self.n_groups]]
        return scales + [(0.0, _LARGEST_DECAY)] * len(self._decaying)

    def precision(self, values: NDArray[np.float64]) -> PriorPrecision:
        """Evaluate the prior.

        Raises
        ------
        FitError
            If the precision is not positive definite.
        """
        scale = np.exp(2 * values[: self.n_groups])[self._groups] * np.exp(self._log_weights)
        decay = np.exp(2 * self._decay_features @ values[self.n_groups :])
        scaled = scale * (decay + self._residual)
        variances = scaled + self._smallest_variances(scaled)
        matrices, conditioned = [], []
        log_determinant, first = 0.0, 0
        for block in self.blocks:
            inverse = 1.0 / variances[first : first + len(block.groups)]
            matrix = block.structure.T @ (inverse[:, None] * block.structure)
            factor = precision_factor(matrix, "prior")
            half = solve_triangular(factor, block.structure.T, lower=True, check_finite=False)
            matrices.append(matrix)
            conditioned.append(np.einsum("ij,ij->j", half, half))
            log_determinant += 2 * float(np.log(np.diag(factor)).sum())
            first += len(block.groups)
        return PriorPrecision(
            matrix=np.asarray(block_diag(*matrices)),
            log_determinant=log_determinant,
            variances=variances,
            conditioned=np.concatenate(conditioned),
            scaled=scaled / variances,
            decaying=scale * decay / variances,
        )

    def _smallest_variances(self, scaled: NDArray[np.float64]) -> NDArray[np.float64]:
        """Floor of the variances of each decaying block, which keeps its precision well conditioned."""
        sizes = [len(block.groups) for block in self.blocks]
        parts = np.split(scaled, np.cumsum(sizes)[:-1])
        floors = [
            0.0 if block.distances is None else _SMALLEST_VARIANCE * part.max()
            for block, part in zip(self.blocks, parts, strict=True)
        ]
        return np.repeat(floors, sizes)

    def gradient(
        self, precision: PriorPrecision, mean: NDArray[np.float64], covariance: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Derivative of the log evidence by the values, given the posterior."""
        second_moment, first = [], 0
        for block in self.blocks:
            here = slice(first, first + block.structure.shape[1])
            spread = np.einsum("ij,ij->i", block.structure @ covariance[here, here], block.structure)
            second_moment.append((block.structure @ mean[here]) ** 2 + spread)
            first = here.stop
        by_log = (np.concatenate(second_moment) - precision.conditioned) / precision.variances
        scales = np.bincount(self._groups, weights=by_log * precision.scaled, minlength=self.n_groups)
        return np.concatenate([scales, self._decay_features.T @ (by_log * precision.decaying)])


def independent_prior(groups: NDArray[np.int64]) -> StructuredPrior:
    """Prior with one sd per group of parameters; groups are numbered from 0."""
    n = len(groups)
    return StructuredPrior([PriorBlock(np.eye(n), groups, None, np.zeros(n))])
