"""Verdict of `check-convergence`, and what it reports."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.regression.planning.forecast import Forecast
from mlff_dyn.report.answer import Report
from mlff_dyn.report.distance_plot import DistanceCounts
from mlff_dyn.report.numbers import (
    format_count,
    format_displacements,
    format_error,
    format_mean,
    format_parts,
    format_percent,
    format_quantity,
    format_remedy,
)
from mlff_dyn.report.plots import ErrorTrace
from mlff_dyn.units import format_kelvin
from mlff_dyn.workflows.convergence.verdict_limits import VERDICT_LIMITS, VerdictLimits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlff_dyn.workflows.convergence.chosen_observables import ObservableVerdict
    from mlff_dyn.workflows.convergence.quiet_time import QuietTime
    from mlff_dyn.workflows.convergence.single_reference import SingleReference

CONVERGED, NOT_CONVERGED = "converged", "not converged"


@dataclass(frozen=True, kw_only=True)
class TemperatureVerdict:
    """Predicted force errors at one temperature; the names are those of the JSON object.

    Absolute values in eV/Å; relative ones over the root mean square force at this temperature. None where no
    trajectory ran to its end.

    Attributes
    ----------
    temperature_k : float
    converged : bool
    force_sd_mean : float or None           predictive error, averaged over frames and trajectories
    statistical_error : float or None       of that mean
    limit : float or None
    n_effective : float                     independent frames
    n_frames, n_replicas : int
    n_stopped : int                         trajectories that left the trusted region
    force_rms_ev_per_angstrom : float or None
    force_sd_epistemic, force_sd_truncation : float or None
        Parts of the error: what more data remove, and what they do not.
    force_sd_relative, statistical_error_relative, limit_relative : float or None
    quantile_99_relative : float or None    99th percentile of the error of a frame
    displacement_rms_angstrom, displacement_max_angstrom : float or None
        Displacements along the trajectories, for which the errors hold.
    correction_factor : float               on all these errors, see `FoundErrors.factor`
    n_frames_alike : int                    labelled frames that it is of
    reasons : tuple of str                  why it is not converged
    forecast_calculations : int or None
        More calculations needed; None where they cannot reach the limit, or where nothing is known.
    forecast_calculations_low, forecast_calculations_high : int or None
        Their range by the uncertainty of the errors; None: no bound.
    quiet_time : QuietTime or None          time since the last call
    single_reference : SingleReference or None
        Whether one reference structure suffices.
    trace_times_picoseconds : tuple of float
        Ends of stretches of equal length.
    trace_errors_relative : tuple of tuple of float
        Mean error in each stretch, a row for each trajectory that ran to its end.
    """

    temperature_k: float
    converged: bool
    force_sd_mean: float | None = None
    statistical_error: float | None = None
    limit: float | None = None
    n_effective: float
    n_frames: int
    n_replicas: int
    n_stopped: int
    force_rms_ev_per_angstrom: float | None = None
    force_sd_epistemic: float | None = None
    force_sd_truncation: float | None = None
    force_sd_relative: float | None = None
    statistical_error_relative: float | None = None
    limit_relative: float
    quantile_99_relative: float | None = None
    displacement_rms_angstrom: float | None = None
    displacement_max_angstrom: float | None = None
    correction_factor: float = 1.0
    n_frames_alike: int = 0
    reasons: tuple[str, ...]
    forecast_calculations: int | None = None
    forecast_calculations_low: int | None = None
    forecast_calculations_high: int | None = None
    quiet_time: QuietTime | None = None
    single_reference: SingleReference | None = None
    trace_times_picoseconds: tuple[float, ...] = ()
    trace_errors_relative: tuple[tuple[float, ...], ...] = ()

    @property
    def trace(self) -> ErrorTrace | None:
        """The errors over time as a picture takes them; None where there are none."""
        if not self.trace_errors_relative:
            return None
        times, errors = np.array(self.trace_times_picoseconds), np.array(self.trace_errors_relative)
        return ErrorTrace(self.temperature_k, times, errors)

    @property
    def distances(self) -> DistanceCounts | None:
        """Distances of atoms from their sites as a picture takes them; None where there are none."""
        found = self.single_reference
        if found is None:
            return None
        counts = {each.element: each.histogram_counts for each in found.displacements}
        return DistanceCounts(self.temperature_k, found.histogram_bin_angstrom, counts)

    @property
    def forecast(self) -> Forecast:
        """More calculations needed, with their range."""
        return Forecast(
            self.forecast_calculations, self.forecast_calculations_low, self.forecast_calculations_high
        )

    @property
    def is_doubted(self) -> bool:
        """Whether something speaks against one reference structure."""
        return self.single_reference is not None and bool(self.single_reference.doubts)

    def rows(self) -> list[tuple[str, str]]:
        """Return the rows for people."""
        verdict = CONVERGED if self.converged else NOT_CONVERGED
        rows = [(f"{format_kelvin(self.temperature_k)} K", verdict)]
        if self.force_sd_mean is not None and self.force_sd_relative is not None:
            sds = {"epistemic": self.force_sd_epistemic or 0.0, "truncation": self.force_sd_truncation or 0.0}
            mean, spread = 100 * self.force_sd_relative, self.statistical_error_relative
            spread = None if spread is None else 100 * spread
            error = f"{format_error(self.force_sd_mean)}: {format_parts(sds)}"
            rows += [
                ("  expected force error", f"{format_mean(mean, spread, '%', '.2f')} ({error})"),
                (
                    "  it holds",
                    format_displacements(self.displacement_rms_angstrom, self.displacement_max_angstrom),
                ),
                ("  to lower it", format_remedy({**sds, "predictive": math.hypot(*sds.values())})),
                ("  99 % of frames below", format_percent(self.quantile_99_relative or 0.0)),
                ("  independent frames", f"{self.n_effective:.0f} of {self.n_frames}"),
            ]
        if self.correction_factor != 1.0:
            text = f"{format_count(self.n_frames_alike, 'calculation')} with such displacements"
            told = f"{self.correction_factor:.2f} times: as much farther off than expected {text} were"
            rows.append(("  corrected", told))
        if self.quiet_time is not None and self.quiet_time.time_since_call_picoseconds is not None:
            rows.append(("  without a call", self.quiet_time.describe()))
        doubts: tuple[str, ...] = ()
        if self.single_reference is not None:
            doubts = self.single_reference.doubts
            rows.append(("  anharmonicity", format_quantity(self.single_reference.sigma_a, ".3f", "")))
        rows += [("  reason", reason) for reason in self.reasons]
        return rows + [("  one reference", doubt) for doubt in doubts]


def describe_limit(limit_relative: float, limits: VerdictLimits = VERDICT_LIMITS) -> str:
    """Say what the limit holds for."""
    return (
        f"{100 * limit_relative:g} % of the rms force for the mean and its statistical error, "
        f"{100 * limits.quantile_factor * limit_relative:g} % for 99 % of the frames"
    )


@dataclass(frozen=True)
class ConvergenceReport(Report):
    """Result of `check-convergence`.

    Attributes
    ----------
    temperatures : tuple of TemperatureVerdict
    limit_relative : float
    n_atoms : int                              of the cell of the trajectories
    warnings : tuple of str                    imaginary modes of order 2
    observables : tuple of ObservableVerdict
    """

    verb = "check-convergence"
    temperatures: tuple[TemperatureVerdict, ...]
    limit_relative: float
    n_atoms: int
    warnings: tuple[str, ...] = ()
    observables: tuple[ObservableVerdict, ...] = ()

    @property
    def exit_code(self) -> int:
        """0, or 4 if a temperature is not converged."""
        return 4 if self.status == NOT_CONVERGED else 0

    @property
    def forecast_calculations(self) -> int | None:
        """More calculations needed at the worst temperature or observable; None if it is None anywhere."""
        judged = [each for each in self.observables if each.converged is not None]
        counts = [verdict.forecast_calculations for verdict in self.temperatures]
        counts += [verdict.forecast_calculations for verdict in judged]
        known = [count for count in counts if count is not None]
        return max(known, default=0) if len(known) == len(counts) else None

    @property
    def single_reference_holds(self) -> bool:
        """Whether nothing speaks against one reference structure: no imaginary mode, no sign in dynamics."""
        return not self.warnings and not any(verdict.is_doubted for verdict in self.temperatures)

    def values(self) -> dict[str, object]:
        """Return the answer, with the verdict on every temperature."""
        return {
            "n_atoms": self.n_atoms,
            "limit_relative": self.limit_relative,
            "converged": self.status == CONVERGED,
            "forecast_calculations": self.forecast_calculations,
            "single_reference_holds": self.single_reference_holds,
            "temperatures": [asdict(verdict) for verdict in self.temperatures],
            "observables": [asdict(verdict) for verdict in self.observables],
            "warnings": list(self.warnings),
        }

    def why_null(self) -> Mapping[str, str]:
        """Say why values are None."""
        names = [item.name for item in fields(TemperatureVerdict)]
        forecasts = [name for name in names if name.startswith("forecast")]
        return {
            **dict.fromkeys(names, "no trajectory ran to its end with samples"),
            **dict.fromkeys(forecasts, "no number of calculations is known to reach the limit"),
            "training_since_call_picoseconds": "training had no dynamics at this temperature",
            "time_since_call_picoseconds": "no trajectory has frames",
            "limit": "there is no limit to judge by, or no trajectory ran to its end",
            "converged": "there is no limit to judge by",
            "reason": "nothing speaks against it",
        }

    def rows(self) -> list[tuple[str, str]]:
        """Return the limit, the verdicts, and what is needed to reach it."""
        rows = [("limit", describe_limit(self.limit_relative))]
        rows += [row for verdict in self.temperatures for row in verdict.rows()]
        rows += [row for observable in self.observables for row in observable.rows()]
        rows += [("warning", line) for line in self.warnings]
        if self.status != NOT_CONVERGED:
            return rows
        if self.forecast_calculations is None:
            return [*rows, ("more calculations", "cannot be forecast")]
        worst = max(self.temperatures, key=lambda verdict: verdict.forecast_calculations or 0).forecast
        needed = self.forecast_calculations
        more = str(worst) if needed == worst.n_calculations else f"about {needed}, for the observables"
        return [*rows, ("more calculations", more)]
