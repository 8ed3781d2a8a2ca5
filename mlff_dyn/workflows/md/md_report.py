"""What `run-md` reports."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

from mlff_dyn.errors import SimulationError
from mlff_dyn.report.answer import Report
from mlff_dyn.report.numbers import (
    UNKNOWN,
    format_displacements,
    format_error,
    format_mean,
    format_quantity,
)
from mlff_dyn.units import format_kelvin
from mlff_dyn.workflows.md.md_analysis import TrajectoryAnalysis

if TYPE_CHECKING:
    from collections.abc import Mapping

DONE, UNRELIABLE = "done", "done, but the forces are wrong by more than half of their size"
_NO_SAMPLE = "no sample after the first steps, which are left out"
WHY_NULL = {
    **{item.name: _NO_SAMPLE for item in fields(TrajectoryAnalysis)},
    "temperatures_by_element_k": f"{_NO_SAMPLE}, or md.store is without velocities",
    **dict.fromkeys(
        ("pressure_gigapascal", "pressure_error_gigapascal"),
        "no sample, or expansion.born_file, for which it is not known",
    ),
    "target_pressure_gigapascal": "md.ensemble is not npt",
}


@dataclass(frozen=True, kw_only=True)
class TrajectorySummary(TrajectoryAnalysis):
    """One finished trajectory with its averages; the names are those of the JSON object.

    Averages leave out the first 0.5 ps; at constant volume, of a run shorter than 1 ps the first half.

    Attributes
    ----------
    directory : str                          relative to the run directory
    temperature_k : float                    that was asked for
    seed : int
    ensemble : str
    n_atoms, n_steps : int
    timestep_fs : float
    steps_per_second : float
    displacement_limit_angstrom : float
    target_pressure_gigapascal : float or None
        That was asked for, at constant pressure.
    """

    directory: str
    temperature_k: float
    seed: int
    ensemble: str
    n_atoms: int
    n_steps: int
    timestep_fs: float
    steps_per_second: float
    displacement_limit_angstrom: float
    target_pressure_gigapascal: float | None = None

    def rows(self) -> list[tuple[str, str]]:
        """Return the rows for people."""
        picoseconds = self.n_steps * self.timestep_fs / 1000.0
        pressure = format_mean(self.pressure_gigapascal, self.pressure_error_gigapascal, "GPa")
        return [
            (f"{format_kelvin(self.temperature_k)} K", f"{self.directory}/trajectory.h5"),
            ("  length", f"{self.n_steps} steps, {picoseconds:g} ps, {self.n_atoms} atoms, {self.ensemble}"),
            ("  mean temperature", self._temperature()),
            ("  speed", f"{self.steps_per_second:.0f} steps/s"),
            ("  expected force error", self._error()),
            *self._holds(),
            ("  anharmonicity", format_quantity(self.sigma_a, ".3f", "")),
            ("  pressure", pressure),
            *self._cell(),
        ]

    def _temperature(self) -> str:
        text = format_mean(self.mean_temperature_k, self.mean_temperature_error_k, "K", ".1f")
        drift = self.energy_drift_mev_per_atom_per_ps
        return text if drift is None else f"{text}; energy drift {drift:.2g} meV per atom and ps"

    def _cell(self) -> list[tuple[str, str]]:
        if self.target_pressure_gigapascal is None or self.cell_lengths_angstrom is None:
            return []
        lengths = ", ".join(f"{length:.4f}" for length in self.cell_lengths_angstrom)
        return [
            ("  pressure asked for", f"{self.target_pressure_gigapascal:g} GPa"),
            ("  mean volume", format_mean(self.volume_angstrom3, self.volume_error_angstrom3, "Å³")),
            ("  mean cell lengths", f"{lengths} Å"),
        ]

    def _error(self) -> str:
        mean, largest, force = self.force_sd_mean, self.force_sd_max, self.force_rms_ev_per_angstrom
        if mean is None or largest is None or not force:
            return UNKNOWN
        return f"{format_error(mean, mean / force)}, at most {format_error(largest)}"

    def _holds(self) -> list[tuple[str, str]]:
        text = format_displacements(self.displacement_rms_angstrom, self.largest_displacement_angstrom)
        return [("  it holds", text)] if text else []

    @property
    def error_relative(self) -> float:
        """Expected force error over the root mean square force; 0 where there are no frames."""
        return (self.force_sd_mean or 0.0) / (self.force_rms_ev_per_angstrom or 1.0)


@dataclass(frozen=True)
class MdReport(Report):
    """Result of `run-md`.

    Attributes
    ----------
    trajectories : tuple of TrajectorySummary     one for each temperature
    warnings : tuple of str
    """

    verb = "run-md"
    trajectories: tuple[TrajectorySummary, ...]
    warnings: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0, or 6 where a trajectory says little about the crystal."""
        return SimulationError.exit_code if self.status == UNRELIABLE else 0

    def values(self) -> dict[str, object]:
        """Return the trajectories; with one temperature its values are also at the top."""
        described = [asdict(summary) for summary in self.trajectories]
        alone = described[0] if len(described) == 1 else {}
        return {**alone, "trajectories": described, "warnings": list(self.warnings)}

    def why_null(self) -> Mapping[str, str]:
        """Say why values are None."""
        return WHY_NULL

    def rows(self) -> list[tuple[str, str]]:
        """Return the rows of all trajectories."""
        rows = [row for summary in self.trajectories for row in summary.rows()]
        return rows + [("warning", line) for line in self.warnings]
