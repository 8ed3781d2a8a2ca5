"""What `run-md` reports."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

from mlff_dyn.report.answer import Report
from mlff_dyn.report.numbers import UNKNOWN, format_error, format_mean, format_quantity
from mlff_dyn.workflows.md.md_analysis import TrajectoryAnalysis

if TYPE_CHECKING:
    from collections.abc import Mapping

_NO_SAMPLE = "no sample after the first steps, which are left out"
WHY_NULL = {
    **{item.name: _NO_SAMPLE for item in fields(TrajectoryAnalysis)},
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
            (f"{self.temperature_k:g} K", f"{self.directory}/trajectory.h5"),
            ("  length", f"{self.n_steps} steps, {picoseconds:g} ps, {self.n_atoms} atoms, {self.ensemble}"),
            ("  mean temperature", format_quantity(self.mean_temperature_k, ".1f", "K")),
            ("  speed", f"{self.steps_per_second:.0f} steps/s"),
            ("  expected force error", self._error()),
            ("  anharmonicity", format_quantity(self.sigma_a, ".3f", "")),
            ("  pressure", pressure),
            *self._cell(),
        ]

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


@dataclass(frozen=True)
class MdReport(Report):
    """Result of `run-md`.

    Attributes
    ----------
    trajectories : tuple of TrajectorySummary     one for each temperature
    """

    verb = "run-md"
    trajectories: tuple[TrajectorySummary, ...]

    def values(self) -> dict[str, object]:
        """Return the trajectories; with one temperature its values are also at the top."""
        described = [asdict(summary) for summary in self.trajectories]
        return {**(described[0] if len(described) == 1 else {}), "trajectories": described}

    def why_null(self) -> Mapping[str, str]:
        """Say why values are None."""
        return WHY_NULL

    def rows(self) -> list[tuple[str, str]]:
        """Return the rows of all trajectories."""
        return [row for summary in self.trajectories for row in summary.rows()]
