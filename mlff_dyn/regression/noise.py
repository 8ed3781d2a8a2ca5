"""How far targets scatter about the model: numerical noise, and what the expansion leaves out.

What a truncated expansion leaves out grows with the displacements. The noise of a frame with rms displacement
a is

    variance(a) = floor^2 + truncation^2 (a / a0)^(2 p)

with all three numbers found by evidence. Where frames of one amplitude cannot tell the exponent p, a prior
holds it near its expected value: the next order of an expansion to order N contributes a^N to the forces, the
next range of a lower order n only a^(n - 1).

| symbol | variable |
|---|---|
| floor, truncation, p | floor_sd, truncation_sd, exponent |
| a, a0 | amplitude, reference_amplitude |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_FLOOR_RELATIVE = 1e-4
_FLOOR_LOG_SD = 1.0
_EXPONENT_SD = 0.15
_START_RELATIVE = 0.05
_SMALLEST_RELATIVE = 1e-7


@dataclass(frozen=True)
class NoiseModel:
    """Noise as a function of the amplitude of a frame.

    Attributes
    ----------
    floor_sd : float               unit of the targets
    truncation_sd : float          at the reference amplitude, unit of the targets
    exponent : float
    reference_amplitude : float    unit of the amplitudes
    """

    floor_sd: float
    truncation_sd: float = 0.0
    exponent: float = 1.0
    reference_amplitude: float = 1.0

    def variance(self, amplitude: ArrayLike) -> NDArray[np.float64]:
        """Noise variance at amplitudes, same shape."""
        ratio = np.asarray(amplitude, float) / self.reference_amplitude
        return np.asarray(self.floor_sd**2 + self.truncation_sd**2 * ratio ** (2 * self.exponent))


class NoiseFamily(Protocol):
    """Noise models that evidence chooses from, as functions of unbounded-scale values."""

    def start(self, target_rms: float) -> NDArray[np.float64]:
        """First guess of the values."""

    def bounds(self, target_rms: float) -> list[tuple[float, float]]:
        """Range of each value."""

    def model(self, values: NDArray[np.float64]) -> NoiseModel:
        """Noise model that the values mean."""

    def gradient(
        self, values: NDArray[np.float64], amplitudes: NDArray[np.float64], by_variance: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Chain rule: derivatives by the values, given those by the variance at each amplitude."""

    def log_prior(self, values: NDArray[np.float64], target_rms: float) -> tuple[float, NDArray[np.float64]]:
        """Log prior density of the values, up to a constant, and its gradient."""


@dataclass(frozen=True)
class ConstantNoise:
    """One noise sd for all frames; the value is its logarithm."""

    def start(self, target_rms: float) -> NDArray[np.float64]:
        """First guess of the values."""
        return np.array([np.log(_START_RELATIVE * target_rms)])

    def bounds(self, target_rms: float) -> list[tuple[float, float]]:
        """Range of each value."""
        return [(float(np.log(_SMALLEST_RELATIVE * target_rms)), float(np.log(10 * target_rms)))]

    def model(self, values: NDArray[np.float64]) -> NoiseModel:
        """Noise model that the values mean."""
        return NoiseModel(float(np.exp(values[0])))

    def gradient(
        self,
        values: NDArray[np.float64],
        amplitudes: NDArray[np.float64],  # noqa: ARG002 (constant)
        by_variance: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Chain rule: derivatives by the values, given those by the variance at each amplitude."""
        return np.array([2 * np.exp(2 * values[0]) * by_variance.sum()])

    def log_prior(
        self,
        values: NDArray[np.float64],
        target_rms: float,  # noqa: ARG002 (flat)
    ) -> tuple[float, NDArray[np.float64]]:
        """Log prior density of the values, up to a constant, and its gradient."""
        return 0.0, np.zeros_like(values)


@dataclass(frozen=True)
class TruncationNoise:
    """Noise that grows with amplitude; values: log floor, log truncation, exponent.

    Attributes
    ----------
    max_order : int                 highest order N of the expansion
    reference_amplitude : float
    """

    max_order: int
    reference_amplitude: float

    @property
    def expected_exponent(self) -> float:
        """Center of the prior of the exponent: N - 1."""
        return max(1.0, self.max_order - 1.0)

    def start(self, target_rms: float) -> NDArray[np.float64]:
        """First guess of the values."""
        logs = np.log([_FLOOR_RELATIVE * target_rms, _START_RELATIVE * target_rms])
        return np.array([*logs, self.expected_exponent])

    def bounds(self, target_rms: float) -> list[tuple[float, float]]:
        """Range of each value."""
        low, high = float(np.log(_SMALLEST_RELATIVE * target_rms)), float(np.log(10 * target_rms))
        return [(low, high), (low, high), (1.0, float(max(2, self.max_order)))]

    def model(self, values: NDArray[np.float64]) -> NoiseModel:
        """Noise model that the values mean."""
        floor, truncation = np.exp(values[:2])
        return NoiseModel(float(floor), float(truncation), float(values[2]), self.reference_amplitude)

    def gradient(
        self, values: NDArray[np.float64], amplitudes: NDArray[np.float64], by_variance: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Chain rule: derivatives by the values, given those by the variance at each amplitude."""
        log_ratio = np.log(amplitudes / self.reference_amplitude)
        truncation = np.exp(2 * values[1] + 2 * values[2] * log_ratio)
        floor = np.exp(2 * values[0])
        return 2 * np.array(
            [floor * by_variance.sum(), truncation @ by_variance, (truncation * log_ratio) @ by_variance]
        )

    def log_prior(self, values: NDArray[np.float64], target_rms: float) -> tuple[float, NDArray[np.float64]]:
        """Log prior density of the values, up to a constant, and its gradient."""
        center = np.array([np.log(_FLOOR_RELATIVE * target_rms), 0.0, self.expected_exponent])
        precision = np.array([_FLOOR_LOG_SD**-2, 0.0, _EXPONENT_SD**-2])
        pull = precision * (values - center)
        return float(-0.5 * pull @ (values - center)), -pull
