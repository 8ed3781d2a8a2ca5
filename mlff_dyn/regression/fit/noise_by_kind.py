"""Noise of several kinds of rows at once: forces, and with them energies and stresses.

Every further kind k has its own floor and truncation; the growth of its truncation with the amplitude a of
the frame follows from that of the forces,

    variance_k = floor_k^2 + truncation_k^2 (a / a0)^(2 (p + g_k))

because an energy is a force times a displacement (g = 1). Frames are few, and each has one energy: a prior of
its truncation, a factor e wide, expects errors of forces f left out along independent paths,

    truncation_k ~ truncation_force r_k

| symbol | variable |
|---|---|
| g_k, r_k | KindSettings.exponent_gain, .expected_ratio |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.regression.data.conditions import Conditions, RowKind
from mlff_dyn.regression.fit.noise import SMALLEST_RELATIVE, NoiseModel, TruncationNoise

if TYPE_CHECKING:
    from numpy.typing import NDArray

_N_FORCE = 5


@dataclass(frozen=True)
class KindSettings:
    """What is expected of the noise of one kind of rows.

    Attributes
    ----------
    kind : RowKind
    exponent_gain : float       exponent minus that of the forces
    expected_ratio : float      truncation over that of the forces, at the reference amplitude
    target_rms : float          size of the targets about their mean
    """

    kind: RowKind
    exponent_gain: float
    expected_ratio: float
    target_rms: float


@dataclass(frozen=True)
class KindNoise:
    """Noise family of forces and further kinds; values: those of the forces, then two logs per kind.

    Attributes
    ----------
    forces : TruncationNoise
    others : tuple of KindSettings
    """

    forces: TruncationNoise
    others: tuple[KindSettings, ...]

    def start(self, target_rms: float) -> NDArray[np.float64]:
        """First guess of the values."""
        first = self.forces.start(target_rms)
        return np.concatenate([first, *(self._centers(first, settings) for settings in self.others)])

    def bounds(self, target_rms: float, smallest: float = SMALLEST_RELATIVE) -> list[tuple[float, float]]:
        """Range of each value; noise of forces is at least ``smallest`` times the targets."""
        reach = self.forces.hyperpriors.kind_log_range
        low = reach + float(np.log(SMALLEST_RELATIVE / smallest))
        start = self.start(target_rms)[_N_FORCE:]
        return self.forces.bounds(target_rms, smallest) + [(v - low, v + reach) for v in start.tolist()]

    def model(self, values: NDArray[np.float64]) -> NoiseModel:
        """Noise model of the forces that the values mean."""
        return self.forces.model(values[:_N_FORCE])

    def other_models(self, values: NDArray[np.float64]) -> dict[int, NoiseModel]:
        """Noise models of the other kinds of rows."""
        amplitude = self.forces.reference_amplitude
        models = {}
        for place, settings in enumerate(self.others):
            floor, truncation = np.exp(self._own(values, place)).tolist()
            exponent = float(values[2]) + settings.exponent_gain
            models[int(settings.kind)] = NoiseModel(floor, truncation, exponent, amplitude)
        return models

    def values(
        self, forces: NoiseModel, others: dict[int, NoiseModel], target_rms: float
    ) -> NDArray[np.float64]:
        """Return the values that mean given models; first guesses for kinds without one."""
        own = self.forces.values(forces, {}, target_rms)
        parts = [own]
        for settings in self.others:
            model = others.get(int(settings.kind))
            known = None if model is None else np.log([model.floor_sd, model.truncation_sd])
            parts.append(self._centers(own, settings) if known is None else known)
        return np.concatenate(parts)

    def variances(self, values: NDArray[np.float64], conditions: Conditions) -> NDArray[np.float64]:
        """Noise variance under each of the conditions."""
        return variances_by_kind(self.model(values), self.other_models(values), conditions)

    def gradient(
        self, values: NDArray[np.float64], conditions: Conditions, by_variance: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Chain rule: derivatives by the values, given those by the variance under each condition."""
        is_force = conditions.kinds == RowKind.FORCE
        gradient = np.zeros(len(values))
        gradient[:_N_FORCE] = self.forces.gradient(
            values[:_N_FORCE], conditions.take(is_force), by_variance[is_force]
        )
        for place, settings in enumerate(self.others):
            here = conditions.kinds == settings.kind
            log_relative = np.log(conditions.amplitudes[here] / self.forces.reference_amplitude)
            floor, truncation = self._own(values, place)
            exponent = values[2] + settings.exponent_gain
            grown = np.exp(2 * (truncation + exponent * log_relative)) * by_variance[here]
            first = _N_FORCE + 2 * place
            gradient[first] = 2 * np.exp(2 * floor) * by_variance[here].sum()
            gradient[first + 1] = 2 * grown.sum()
            gradient[2] += 2 * grown @ log_relative
        return gradient

    def log_prior(self, values: NDArray[np.float64], target_rms: float) -> tuple[float, NDArray[np.float64]]:
        """Log prior density of the values, up to a constant, and its gradient."""
        log_sd = self.forces.hyperpriors.kind_log_sd
        total, by_force = self.forces.log_prior(values[:_N_FORCE], target_rms)
        gradient = np.concatenate([by_force, np.zeros(len(values) - _N_FORCE)])
        for place, settings in enumerate(self.others):
            first = _N_FORCE + 2 * place
            gap = self._own(values, place) - self._centers(values, settings)
            total -= 0.5 * float(gap @ gap) / log_sd**2
            gradient[first : first + 2] -= gap / log_sd**2
            gradient[1] += gap[1] / log_sd**2
        return total, gradient

    def _own(self, values: NDArray[np.float64], place: int) -> NDArray[np.float64]:
        """Log floor and log truncation of a further kind."""
        first = _N_FORCE + 2 * place
        return values[first : first + 2]

    def _centers(self, values: NDArray[np.float64], settings: KindSettings) -> NDArray[np.float64]:
        """Expected log floor and log truncation."""
        floor = np.log(self.forces.hyperpriors.floor_relative * settings.target_rms)
        return np.array([floor, values[1] + np.log(settings.expected_ratio)])


def variances_by_kind(
    forces: NoiseModel, others: dict[int, NoiseModel], conditions: Conditions
) -> NDArray[np.float64]:
    """Noise variance under each of the conditions, each kind of rows by its own model."""
    variances = forces.variance(conditions.amplitudes, conditions.ratios)
    for kind, model in others.items():
        here = conditions.kinds == kind
        variances[here] = model.variance(conditions.amplitudes[here])
    return variances
