"""Verdict of `check-convergence`, and what it reports."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field

from mlff_dyn.regression.planning.forecast import Forecast
from mlff_dyn.workflows.training.train_report import remedy

CONVERGED, NOT_CONVERGED, DRY_RUN = "converged", "not converged", "dry run"
QUANTILE_FACTOR = 2.0


@dataclass(frozen=True)
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
    reasons : tuple of str                  why it is not converged
    forecast_calculations : int or None
        More calculations needed; None where they cannot reach the limit, or where nothing is known.
    forecast_calculations_low, forecast_calculations_high : int or None
        Their range by the uncertainty of the errors; None: no bound.
    """

    temperature_k: float
    converged: bool
    force_sd_mean: float | None
    statistical_error: float | None
    limit: float | None
    n_effective: float
    n_frames: int
    n_replicas: int
    n_stopped: int
    force_rms_ev_per_angstrom: float | None
    force_sd_epistemic: float | None
    force_sd_truncation: float | None
    force_sd_relative: float | None
    statistical_error_relative: float | None
    limit_relative: float
    quantile_99_relative: float | None
    reasons: tuple[str, ...]
    forecast_calculations: int | None
    forecast_calculations_low: int | None
    forecast_calculations_high: int | None

    @property
    def forecast(self) -> Forecast:
        """More calculations needed, with their range."""
        return Forecast(
            self.forecast_calculations, self.forecast_calculations_low, self.forecast_calculations_high
        )

    def rows(self) -> list[tuple[str, str]]:
        """Return the rows for people."""
        verdict = CONVERGED if self.converged else NOT_CONVERGED
        rows = [(f"{self.temperature_k:g} K", verdict)]
        if self.force_sd_relative is not None and self.statistical_error_relative is not None:
            mean, error = 100 * self.force_sd_relative, 100 * self.statistical_error_relative
            parts = f"epistemic {self.force_sd_epistemic:#.2g}, truncation {self.force_sd_truncation:#.2g}"
            rows += [
                (
                    "  expected force error",
                    f"{mean:.2f} ± {error:.2f} % ({self.force_sd_mean:#.2g} eV/Å: {parts})",
                ),
                ("  to lower it", self._remedy()),
                ("  99 % of frames below", f"{100 * (self.quantile_99_relative or 0.0):.2f} %"),
                ("  independent frames", f"{self.n_effective:.0f} of {self.n_frames}"),
            ]
        return rows + [("  reason", reason) for reason in self.reasons]

    def _remedy(self) -> str:
        sds = (self.force_sd_epistemic or 0.0, self.force_sd_truncation or 0.0)
        parts = {"epistemic": sds[0], "truncation": sds[1], "predictive": math.hypot(*sds)}
        return remedy(parts)


@dataclass(frozen=True)
class ConvergenceReport:
    """Result of `check-convergence`.

    Attributes
    ----------
    status : str
    temperatures : tuple of TemperatureVerdict
    limit_relative : float
    n_atoms : int                              of the cell of the trajectories
    plan : dict                                of a dry run: sizes
    up_to_date : bool                          nothing had to be done
    """

    status: str
    temperatures: tuple[TemperatureVerdict, ...]
    limit_relative: float
    n_atoms: int
    plan: dict[str, object] = field(default_factory=dict)
    up_to_date: bool = False

    @property
    def exit_code(self) -> int:
        """0, or 4 if a temperature is not converged."""
        return 4 if self.status == NOT_CONVERGED else 0

    @property
    def forecast_calculations(self) -> int | None:
        """More calculations needed at the worst temperature; None if that is None anywhere."""
        counts = [verdict.forecast_calculations for verdict in self.temperatures]
        known = [count for count in counts if count is not None]
        return max(known, default=0) if len(known) == len(counts) else None

    def to_json(self) -> dict[str, object]:
        """Return the JSON object."""
        head: dict[str, object] = {
            "schema": "mlff-dyn check-convergence 1",
            "status": self.status,
            "n_atoms": self.n_atoms,
            "limit_relative": self.limit_relative,
        }
        if self.status == DRY_RUN:
            return {**head, **self.plan}
        return {
            **head,
            "converged": self.status == CONVERGED,
            "forecast_calculations": self.forecast_calculations,
            "temperatures": [asdict(verdict) for verdict in self.temperatures],
        }

    def table(self) -> list[tuple[str, str]]:
        """Return the rows for people."""
        limit = (
            f"{100 * self.limit_relative:g} % of the rms force for the mean and its statistical error, "
            f"{100 * QUANTILE_FACTOR * self.limit_relative:g} % for 99 % of the frames"
        )
        rows = [
            ("status", self.status + (" (up to date)" if self.up_to_date else "")),
            ("limit", limit),
            *((name.replace("_", " "), str(value)) for name, value in self.plan.items()),
        ]
        for verdict in self.temperatures:
            rows += verdict.rows()
        if self.status != NOT_CONVERGED:
            return rows
        if self.forecast_calculations is None:
            return [*rows, ("more calculations", "cannot be forecast")]
        worst = max(self.temperatures, key=lambda verdict: verdict.forecast_calculations or 0)
        return [*rows, ("more calculations", str(worst.forecast))]
