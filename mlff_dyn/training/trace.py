"""Errors and temperature along a trajectory, in as few numbers as a picture needs."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.units import BOLTZMANN_EV_PER_K

if TYPE_CHECKING:
    from mlff_dyn.training.criteria.errors import FrameErrors

MOST_BINS = 50


@dataclass(frozen=True)
class Trace:
    """Means over stretches of equal length; the names are those of the journal.

    Attributes
    ----------
    trace_steps : tuple of int                            last step of each stretch
    trace_predictive_relative : tuple of float            error over force, root mean squares of the stretch
    trace_temperature_kelvin : tuple of float
    """

    trace_steps: tuple[int, ...]
    trace_predictive_relative: tuple[float, ...]
    trace_temperature_kelvin: tuple[float, ...]

    def to_json(self) -> dict[str, list[float]]:
        """Return plain values for the journal, errors to four digits, temperatures to 0.1 K."""
        found = asdict(self)
        found["trace_predictive_relative"] = [float(f"{x:.4g}") for x in self.trace_predictive_relative]
        found["trace_temperature_kelvin"] = [round(x, 1) for x in self.trace_temperature_kelvin]
        return {name: list(values) for name, values in found.items()}


TRACE_NAMES = tuple(item.name for item in fields(Trace))


class TraceRecorder:
    """Takes frame by frame; whenever there are too many stretches, two neighbors become one."""

    def __init__(self) -> None:
        self._length, self._count = 1, 0
        self._sums = np.zeros((0, 4))
        self._steps: list[int] = []

    def add(self, n_steps: int, errors: FrameErrors, kinetic_energy: float, n_atoms: int) -> None:
        """Take a frame.

        Parameters
        ----------
        n_steps : int
            MD steps up to it.
        errors : FrameErrors
        kinetic_energy : float
            Of all atoms, eV.
        n_atoms : int
        """
        kelvin = 2.0 * kinetic_energy / (3.0 * max(1, n_atoms - 1) * BOLTZMANN_EV_PER_K)
        row = np.array([errors.predictive**2, errors.force**2, kelvin, 1.0])
        if self._count % self._length == 0:
            if len(self._steps) == 2 * MOST_BINS:
                self._sums = self._sums[0::2] + self._sums[1::2]
                self._steps = self._steps[1::2]
                self._length *= 2
            self._sums = np.vstack([self._sums, np.zeros(4)])
            self._steps.append(n_steps)
        self._sums[-1] += row
        self._steps[-1] = n_steps
        self._count += 1

    def binned(self) -> Trace | None:
        """Return the stretches so far; None where there are none."""
        if not self._steps:
            return None
        squared, force, kelvin, count = self._sums.T
        relative = np.sqrt(squared / np.maximum(force, 1e-300))
        return Trace(tuple(self._steps), tuple(relative.tolist()), tuple((kelvin / count).tolist()))
