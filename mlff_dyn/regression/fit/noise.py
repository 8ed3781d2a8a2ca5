"""How far targets scatter about the model: numerical noise, and what the expansion leaves out.

What a truncated expansion leaves out grows with the displacements. The noise of the force on an atom with the
amplitude b of its neighborhood, in a frame of amplitude a, is

    variance = floor^2 + truncation^2 (a / a0)^(2 p) cosh(2 d log(a / a0)) [f + (1 - f) (b / a)^(2 q)]

with five numbers found by evidence. The spread d is known beforehand: where a polynomial is all there is, one
order dominates and d = 0; what functions of distances and angles leave out is of all orders, half of it of
p - d, half of p + d. An order left out acts through the neighbors, and q is of the size of
p; a range left out acts through atoms farther away, which the share f stands for. Where frames of one
amplitude cannot tell the exponent p, a prior holds it near its expected value: the next order of an expansion
to order N contributes a^N to the forces, the next range of a lower order n only a^(n - 1). The prior is wider
upwards: frames of one amplitude pull p down by chance, and a p that is too small promises too much at higher
temperatures. Evidence and error bars use this noise; a fit weights the atoms of a frame more alike, see
`NoiseModel.weight_variance`.

Noise below 1e-7 of the targets drowns in the rounding of sums of their products, below 1e-12 in that of the
rows: `bounds` take the smallest share of the targets that can be told.

| symbol | variable |
|---|---|
| floor, truncation, p, q | floor_sd, truncation_sd, exponent, neighborhood_exponent |
| f | far_share |
| d | exponent_spread |
| a, a0, b / a | amplitude, reference_amplitude, ratio |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from mlff_dyn.regression.fit.hyperpriors import HYPERPRIORS, Hyperpriors

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from mlff_dyn.regression.data.conditions import Conditions

SMALLEST_RELATIVE = 1e-7
SMALLEST_RELATIVE_OF_ROWS = 1e-12


@dataclass(frozen=True)
class NoiseModel:
    """Noise as a function of amplitude.

    Attributes
    ----------
    floor_sd : float                 unit of the targets
    truncation_sd : float            at the reference amplitude, unit of the targets
    exponent : float
    reference_amplitude : float      unit of the amplitudes
    neighborhood_exponent : float
    far_share : float                share of the truncation variance that is the same for all neighborhoods
    exponent_spread : float
    """

    floor_sd: float
    truncation_sd: float = 0.0
    exponent: float = 1.0
    reference_amplitude: float = 1.0
    neighborhood_exponent: float = 0.0
    far_share: float = 0.0
    exponent_spread: float = 0.0

    def variance(self, amplitude: ArrayLike, ratio: ArrayLike = 1.0) -> NDArray[np.float64]:
        """Noise variance at amplitudes of frames and ratios of neighborhoods to them, shape of both."""
        return np.asarray(self.floor_sd**2 + self.truncation_variance(amplitude, ratio))

    def truncation_variance(self, amplitude: ArrayLike, ratio: ArrayLike = 1.0) -> NDArray[np.float64]:
        """Mean square of what the expansion leaves out, shape of both arguments; zero at rest."""
        relative = np.asarray(amplitude, float) / self.reference_amplitude
        moved = np.where(relative > 0.0, relative, 1.0)
        grown = moved ** (2 * self.exponent) * _mixed_orders(moved, self.exponent_spread)
        found = self.truncation_sd**2 * grown * self.local_factor(ratio)
        return np.asarray(np.where(relative > 0.0, found, 0.0))

    def local_factor(self, ratio: ArrayLike) -> NDArray[np.float64]:
        """Mean square of what is left out in a neighborhood, over that where the ratio is one."""
        near = (1.0 - self.far_share) * np.asarray(ratio, float) ** (2 * self.neighborhood_exponent)
        return np.asarray(self.far_share + near)

    def weight_variance(
        self,
        amplitude: NDArray[np.float64],
        ratio: NDArray[np.float64],
        counts: NDArray[np.int64] | NDArray[np.float64],
        power: float = HYPERPRIORS.weight_power,
    ) -> NDArray[np.float64]:
        """Variance that rows have in a fit: their noise, less different within a frame than it is.

        What is left out is no noise: the parameters that are best for all atoms weight them more alike than
        their errors are. The factor of the neighborhood is taken to a low power and scaled to the same mean.

        Parameters
        ----------
        amplitude, ratio, counts : ndarray, shape (n,)
            Conditions of groups of rows, and the number of rows of each.
        power : float
            See `Hyperpriors`.
        """
        local = self.local_factor(ratio)
        tempered = local**power
        tempered *= np.average(local, weights=counts) / np.average(tempered, weights=counts)
        return np.asarray(self.floor_sd**2 + self.truncation_variance(amplitude) * tempered)


def _mixed_orders(relative: NDArray[np.float64], spread: float) -> NDArray[np.float64]:
    """Mean of two powers, 2 spread below and above none, of positive amplitudes; 1 without a spread."""
    if spread == 0.0:
        return np.ones_like(relative)
    return np.asarray(0.5 * (relative ** (2 * spread) + relative ** (-2 * spread)))


class NoiseFamily(Protocol):
    """Noise models that evidence chooses from, as functions of unbounded-scale values."""

    def start(self, target_rms: float) -> NDArray[np.float64]:
        """First guess of the values."""

    def bounds(self, target_rms: float, smallest: float = SMALLEST_RELATIVE) -> list[tuple[float, float]]:
        """Range of each value; noise is at least ``smallest`` times the targets."""

    def model(self, values: NDArray[np.float64]) -> NoiseModel:
        """Noise model of the forces that the values mean."""

    def other_models(self, values: NDArray[np.float64]) -> dict[int, NoiseModel]:
        """Noise models of the other kinds of rows."""

    def values(
        self, forces: NoiseModel, others: dict[int, NoiseModel], target_rms: float
    ) -> NDArray[np.float64]:
        """Return the values that mean given models; as in `start` where there is no model."""

    def variances(self, values: NDArray[np.float64], conditions: Conditions) -> NDArray[np.float64]:
        """Noise variance under each of the conditions."""

    def gradient(
        self, values: NDArray[np.float64], conditions: Conditions, by_variance: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Chain rule: derivatives by the values, given those by the variance under each condition."""

    def log_prior(self, values: NDArray[np.float64], target_rms: float) -> tuple[float, NDArray[np.float64]]:
        """Log prior density of the values, up to a constant, and its gradient."""


@dataclass(frozen=True)
class TruncationNoise:
    """Noise that grows with amplitude; values: log floor, log truncation, both exponents, far share.

    Attributes
    ----------
    max_order : int                 highest order N of the expansion
    reference_amplitude : float
    exponent_spread : float
    hyperpriors : Hyperpriors
    """

    max_order: int
    reference_amplitude: float
    exponent_spread: float = 0.0
    hyperpriors: Hyperpriors = HYPERPRIORS

    @property
    def expected_exponent(self) -> float:
        """Center of the prior of the exponent: N - 1."""
        return float(max(1, self.max_order - 1))

    @property
    def largest_exponent(self) -> float:
        """Largest exponent: N."""
        return float(max(2, self.max_order))

    def start(self, target_rms: float) -> NDArray[np.float64]:
        """First guess of the values."""
        known = self.hyperpriors
        logs = np.log([known.floor_relative * target_rms, known.start_relative * target_rms])
        return np.array([*logs, self.expected_exponent, float(self.max_order), known.start_far_share])

    def bounds(self, target_rms: float, smallest: float = SMALLEST_RELATIVE) -> list[tuple[float, float]]:
        """Range of each value; noise is at least ``smallest`` times the targets."""
        low, high = float(np.log(smallest * target_rms)), float(np.log(10 * target_rms))
        exponents = [(1.0, self.largest_exponent), (0.0, self.largest_exponent)]
        return [(low, high), (low, high), *exponents, (0.0, 1.0)]

    def model(self, values: NDArray[np.float64]) -> NoiseModel:
        """Noise model that the values mean."""
        floor, truncation = np.exp(values[:2])
        exponent, local, far_share = values[2:].tolist()
        return NoiseModel(
            float(floor),
            float(truncation),
            exponent,
            self.reference_amplitude,
            local,
            far_share,
            self.exponent_spread,
        )

    def other_models(self, values: NDArray[np.float64]) -> dict[int, NoiseModel]:  # noqa: ARG002 (none)
        """No other kinds of rows."""
        return {}

    def values(
        self,
        forces: NoiseModel,
        others: dict[int, NoiseModel],  # noqa: ARG002 (none)
        target_rms: float,  # noqa: ARG002 (not needed)
    ) -> NDArray[np.float64]:
        """Return the values that mean a given model."""
        logs = np.log([forces.floor_sd, forces.truncation_sd])
        return np.array([*logs, forces.exponent, forces.neighborhood_exponent, forces.far_share])

    def variances(self, values: NDArray[np.float64], conditions: Conditions) -> NDArray[np.float64]:
        """Noise variance under each of the conditions."""
        return self.model(values).variance(conditions.amplitudes, conditions.ratios)

    def gradient(
        self, values: NDArray[np.float64], conditions: Conditions, by_variance: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Chain rule: derivatives by the values, given those by the variance under each condition."""
        log_relative = np.log(conditions.amplitudes / self.reference_amplitude)
        log_ratio = np.log(conditions.ratios)
        grown = np.exp(2 * (values[1] + values[2] * log_relative)) * by_variance
        grown *= _mixed_orders(np.exp(log_relative), self.exponent_spread)
        local = np.exp(2 * values[3] * log_ratio)
        near = (1.0 - values[4]) * grown * local
        truncation = values[4] * grown + near
        floor = np.exp(2 * values[0]) * by_variance.sum()
        logs = [floor, truncation.sum(), truncation @ log_relative, near @ log_ratio]
        return 2 * np.array([*logs, 0.5 * grown @ (1.0 - local)])

    def log_prior(self, values: NDArray[np.float64], target_rms: float) -> tuple[float, NDArray[np.float64]]:
        """Log prior density of the values, up to a constant, and its gradient."""
        known = self.hyperpriors
        floor = float(np.log(known.floor_relative * target_rms))
        center = np.array([floor, 0.0, self.expected_exponent, self.max_order, 0.0])
        exponent_sd = known.exponent_sds[int(values[2] > center[2])]
        sds = [known.floor_log_sd, np.inf, exponent_sd, known.neighborhood_exponent_sd, np.inf]
        precision = np.array(sds) ** -2.0
        pull = precision * (values - center)
        return float(-0.5 * pull @ (values - center)), -pull
