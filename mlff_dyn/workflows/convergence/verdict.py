"""From predicted errors along trajectories to a verdict and a forecast.

More data lower the epistemic part of the error, the truncation part stays: see `regression.forecast`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from mlff_dyn.md.correlated_means import CorrelatedMean, correlated_mean
from mlff_dyn.regression.planning.forecast import Forecast
from mlff_dyn.training.trusted_region import is_extrapolated
from mlff_dyn.workflows.convergence.convergence_report import TemperatureVerdict
from mlff_dyn.workflows.convergence.sampling import Replica, error_series
from mlff_dyn.workflows.convergence.verdict_limits import VERDICT_LIMITS, VerdictLimits
from mlff_dyn.workflows.stability import describe_extrapolation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mlff_dyn.model.force_field import TrainingSummary
    from mlff_dyn.regression.planning.forecast import Outlook
    from mlff_dyn.workflows.convergence.found_errors import FoundErrors

EXPANSION_IS_THE_LIMIT = (
    "what the expansion leaves out alone exceeds the limit: add an order, or enlarge "
    "expansion.cutoffs_angstrom or expansion.local"
)

_ERRORS = ("force", "predictive", "epistemic", "truncation")


def judge(
    temperature_kelvin: float,
    replicas: Sequence[Replica],
    *,
    limit: float,
    trained: TrainingSummary,
    outlook: Callable[[], Outlook],
    found: FoundErrors | None = None,
    limits: VerdictLimits = VERDICT_LIMITS,
) -> TemperatureVerdict:
    """Judge one temperature.

    Converged means that the mean relative error plus its statistical error lies within the limit, the 99th
    percentile within a multiple of it, no trajectory left the trusted region, and the data reach far enough.

    Parameters
    ----------
    temperature_kelvin : float
    replicas : sequence of Replica
    limit : float
        Of the error relative to the root mean square force.
    trained : TrainingSummary
    outlook : callable
        Returns what a forecast rests on; asked only where the limit is not reached.
    found : FoundErrors, optional
        How far off labelled frames are, over what is expected; it corrects the errors of like displacements.
    limits : VerdictLimits
    """
    force, predictive, *rest = (error_series(tuple(replicas), name) for name in _ERRORS)
    stops = _describe_stops(replicas)
    if not predictive.size:
        return _unknown(temperature_kelvin, replicas, limit, stops)
    size, (moved, farthest) = _rms(force), _displacements(replicas)
    factor, n_alike = (1.0, 0) if found is None else found.factor(moved)
    predictive, rest = factor * predictive, [factor * part for part in rest]
    mean = correlated_mean(predictive / size)
    quantile = float(np.percentile(predictive / size, 99.0))
    parts = [_rms(part) / size for part in rest]
    reasons = stops + _excesses(mean, quantile, limit, limits.quantile_factor)
    untested = is_extrapolated(trained, moved, farthest)
    reasons += [describe_extrapolation(trained, moved, farthest)] if untested else []
    excess = max(mean.upper / limit, quantile / (limits.quantile_factor * limit))
    needed = Forecast(0, 0, 0)
    if reasons:
        known = outlook().untested() if untested else outlook()
        needed = forecast(known, *parts, limit=limit, excess=excess)
    if needed.n_calculations is None:
        reasons.append(EXPANSION_IS_THE_LIMIT)
    return TemperatureVerdict(
        **_common(temperature_kelvin, replicas, limit) | needed.to_json() | _of_mean(mean, parts, size),
        converged=not reasons,
        limit=limit * size,
        n_frames=predictive.size,
        quantile_99_relative=quantile,
        displacement_rms_angstrom=moved,
        displacement_max_angstrom=farthest,
        correction_factor=factor,
        n_frames_alike=n_alike,
        reasons=tuple(reasons),
    )


def _displacements(replicas: Sequence[Replica]) -> tuple[float, float]:
    """Root mean square of a component and largest displacement of an atom, Å."""
    rms, largest = (error_series(tuple(replicas), name) for name in ("displacement", "largest_displacement"))
    return _rms(rms), float(largest.max())


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def _excesses(mean: CorrelatedMean, quantile: float, limit: float, quantile_factor: float) -> list[str]:
    """Limits that errors relative to the root mean square force exceed."""
    reasons = []
    if mean.statistical_error is None:
        reasons.append("too few frames to know the statistical error: raise convergence.n_steps")
    if mean.upper > limit:
        reasons.append(f"mean plus statistical error exceeds the limit of {100 * limit:g} %")
    if quantile > quantile_factor * limit:
        reasons.append(f"1 % of the frames exceed {100 * quantile_factor * limit:g} %")
    return reasons


def _describe_stops(replicas: Sequence[Replica]) -> list[str]:
    """How many trajectories left the trusted region, and where the first did; nothing if none did."""
    stops = [replica.stop for replica in replicas if replica.stop is not None]
    if not stops:
        return []
    return [f"{len(stops)} of {len(replicas)} trajectories left the trusted region: {stops[0]}"]


def forecast(
    outlook: Outlook, epistemic: float, truncation: float, *, limit: float, excess: float
) -> Forecast:
    """Calculations that are still needed where the limit is not reached: at least one.

    Parameters
    ----------
    outlook : Outlook
    epistemic, truncation, limit : float
        Relative to the root mean square force.
    excess : float
        Ratio of the measured error to its limit, for the stricter of mean and percentile.
    """
    target = min(limit, math.hypot(epistemic, truncation) / max(excess, 1.0))
    found = outlook.forecast(epistemic, truncation, target)
    counts = (found.n_calculations, found.low, found.high)
    return Forecast(*(None if count is None else max(1, count) for count in counts))


def _unknown(
    temperature_kelvin: float, replicas: Sequence[Replica], limit: float, reasons: list[str]
) -> TemperatureVerdict:
    """Verdict where no trajectory ran to its end or the trajectories have no frames."""
    return TemperatureVerdict(
        **_common(temperature_kelvin, replicas, limit),
        converged=False,
        n_effective=0.0,
        n_frames=0,
        reasons=tuple(reasons) or ("the trajectories are too short",),
    )


def _common(temperature_kelvin: float, replicas: Sequence[Replica], limit: float) -> dict[str, Any]:
    """Fields of a verdict that do not depend on the errors."""
    return {
        "temperature_k": temperature_kelvin,
        "n_replicas": len(replicas),
        "n_stopped": sum(replica.stop is not None for replica in replicas),
        "limit_relative": limit,
    }


def _of_mean(mean: CorrelatedMean, parts: Sequence[float], size: float) -> dict[str, Any]:
    """Fields of a verdict about the errors, relative to the root mean square force of ``size`` eV/Å."""
    error = mean.statistical_error
    return {
        "force_rms_ev_per_angstrom": size,
        "force_sd_mean": mean.mean * size,
        "force_sd_relative": mean.mean,
        "force_sd_epistemic": parts[0] * size,
        "force_sd_truncation": parts[1] * size,
        "statistical_error": None if error is None else error * size,
        "statistical_error_relative": error,
        "n_effective": mean.n_effective,
    }
