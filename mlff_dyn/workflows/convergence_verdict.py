"""From predicted errors along trajectories to a verdict and a forecast.

Of the squared predictive error p² = e² + t², more data lower the epistemic part e² as one over their number
n; the truncation part t² stays. The limit L is reached with n e² / (L² - t²) snapshots, or never if t >= L.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.md.statistics import correlated_mean
from mlff_dyn.workflows.convergence_report import QUANTILE_FACTOR, TemperatureVerdict
from mlff_dyn.workflows.convergence_sampling import Replica, error_series

if TYPE_CHECKING:
    from collections.abc import Sequence

EXPANSION_IS_THE_LIMIT = (
    "what the expansion leaves out alone exceeds the limit: add an order or enlarge a cutoff in "
    "expansion.cutoffs_angstrom"
)


def judge(
    temperature_kelvin: float, replicas: Sequence[Replica], *, limit: float, n_snapshots: int
) -> TemperatureVerdict:
    """Judge one temperature.

    Converged means that the mean relative error plus its statistical error lies within the limit, the 99th
    percentile of the frames within twice the limit, and no trajectory left the trusted region.

    Parameters
    ----------
    temperature_kelvin : float
    replicas : sequence of Replica
    limit : float
        Of the error relative to the root mean square force.
    n_snapshots : int
        Snapshots that the force field was trained on.
    """
    stops = [replica.stop for replica in replicas if replica.stop is not None]
    reasons = (
        [f"{len(stops)} of {len(replicas)} trajectories left the trusted region: {stops[0]}"] if stops else []
    )
    force, predictive, epistemic, truncation = (
        error_series(tuple(replicas), name) for name in ("force", "predictive", "epistemic", "truncation")
    )
    if not predictive.size:
        return _unknown(temperature_kelvin, replicas, limit, reasons)
    size = float(np.sqrt(np.mean(force**2)))
    mean = correlated_mean(predictive / size)
    quantile = float(np.percentile(predictive / size, 99.0))
    parts = [float(np.sqrt(np.mean(part**2))) / size for part in (epistemic, truncation)]
    if mean.mean + mean.statistical_error > limit:
        reasons.append(f"mean plus statistical error exceeds the limit of {100 * limit:g} %")
    if quantile > QUANTILE_FACTOR * limit:
        reasons.append(f"1 % of the frames exceed {100 * QUANTILE_FACTOR * limit:g} %")
    excess = max((mean.mean + mean.statistical_error) / limit, quantile / (QUANTILE_FACTOR * limit))
    calculations: int | None = 0
    if reasons:
        calculations = forecast(*parts, limit=limit, n_snapshots=n_snapshots, excess=excess)
        if calculations is None:
            reasons.append(EXPANSION_IS_THE_LIMIT)
    return TemperatureVerdict(
        temperature_k=temperature_kelvin,
        converged=not reasons,
        force_sd_mean=mean.mean * size,
        statistical_error=mean.statistical_error * size,
        limit=limit * size,
        n_effective=mean.n_effective,
        n_frames=predictive.size,
        n_replicas=len(replicas),
        n_stopped=len(stops),
        force_rms_ev_per_angstrom=size,
        force_sd_epistemic=parts[0] * size,
        force_sd_truncation=parts[1] * size,
        force_sd_relative=mean.mean,
        statistical_error_relative=mean.statistical_error,
        limit_relative=limit,
        quantile_99_relative=quantile,
        reasons=tuple(reasons),
        forecast_calculations=calculations,
    )


def forecast(
    epistemic: float, truncation: float, *, limit: float, n_snapshots: int, excess: float
) -> int | None:
    """Calculations that are still needed where the limit is not reached.

    Parameters
    ----------
    epistemic, truncation, limit : float
        Relative to the root mean square force.
    n_snapshots : int
    excess : float
        Ratio of the measured error to its limit, for the stricter of mean and percentile.

    Returns
    -------
    int or None
        At least 1; None if truncation alone exceeds the limit.
    """
    predictive_sq = epistemic**2 + truncation**2
    target_sq = predictive_sq / max(excess, 1.0) ** 2
    if truncation >= limit or target_sq <= truncation**2:
        return None
    needed = n_snapshots * epistemic**2 / (target_sq - truncation**2)
    return max(1, math.ceil(needed - n_snapshots - 1e-9))


def _unknown(
    temperature_kelvin: float, replicas: Sequence[Replica], limit: float, reasons: list[str]
) -> TemperatureVerdict:
    """Verdict where no trajectory ran to its end or the trajectories have no frames."""
    n_stopped = sum(replica.stop is not None for replica in replicas)
    return TemperatureVerdict(
        temperature_k=temperature_kelvin,
        converged=False,
        force_sd_mean=None,
        statistical_error=None,
        limit=None,
        n_effective=0.0,
        n_frames=0,
        n_replicas=len(replicas),
        n_stopped=n_stopped,
        force_rms_ev_per_angstrom=None,
        force_sd_epistemic=None,
        force_sd_truncation=None,
        force_sd_relative=None,
        statistical_error_relative=None,
        limit_relative=limit,
        quantile_99_relative=None,
        reasons=tuple(reasons) or ("the trajectories are too short",),
        forecast_calculations=None,
    )
