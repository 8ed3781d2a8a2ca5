"""Reasons not to rely on a finished trajectory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlff_dyn.report.numbers import format_mean, format_percent
from mlff_dyn.training.trusted_region import is_extrapolated
from mlff_dyn.units import BOLTZMANN_EV_PER_K, format_kelvin
from mlff_dyn.workflows.stability import describe_extrapolation

if TYPE_CHECKING:
    from mlff_dyn.model.force_field import TrainingSummary
    from mlff_dyn.workflows.md.md_report import TrajectorySummary


@dataclass(frozen=True)
class TrajectoryLimits:
    """What a trajectory may show of its own errors; by convention.

    Attributes
    ----------
    unreliable_error_relative : float
        Expected error over the root mean square force above which the trajectory says little of the crystal.
    least_femtoseconds : float
        Length from which on temperatures are judged: a thermostat takes about 1 ps to forget the start, and
        statistical errors of a few such times are too small.
    n_sd : float
        Statistical errors by which the mean temperature may differ from the one asked for.
    temperature_relative, energy_kept_temperature_relative : float
        Difference that never counts, with a thermostat and without one, where anharmonicity takes its part.
    element_relative : float
        The same between the temperature of an element and the mean, on top of the statistical error of both.
    drift_of_thermal_energy : float
        Drift of the energy over the whole length, over kT per atom.
    """

    unreliable_error_relative: float = 0.5
    least_femtoseconds: float = 5000.0
    n_sd: float = 4.0
    temperature_relative: float = 0.02
    energy_kept_temperature_relative: float = 0.1
    element_relative: float = 0.1
    drift_of_thermal_energy: float = 0.05


TRAJECTORY_LIMITS = TrajectoryLimits()


def trajectory_warnings(
    summary: TrajectorySummary,
    trained: TrainingSummary,
    limit_relative: float,
    limits: TrajectoryLimits = TRAJECTORY_LIMITS,
) -> list[str]:
    """Say why not to rely on a trajectory, one line each.

    Parameters
    ----------
    summary : TrajectorySummary
    trained : TrainingSummary
    limit_relative : float
        Of the force error relative to the root mean square force.
    limits : TrajectoryLimits
    """
    lines = _of_forces(summary, trained, limit_relative) + _of_motion(summary, limits)
    return [f"{format_kelvin(summary.temperature_k)} K: {line}" for line in lines]


def _of_forces(summary: TrajectorySummary, trained: TrainingSummary, limit_relative: float) -> list[str]:
    lines = []
    if summary.error_relative > limit_relative:
        lines.append(
            f"the expected force error of {format_percent(summary.error_relative)} exceeds the "
            f"{100 * limit_relative:g} % of convergence.force_error_limit_relative; "
            "check-convergence says whether more calculations or more orders lower it"
        )
    rms, largest = summary.displacement_rms_angstrom or 0.0, summary.largest_displacement_angstrom or 0.0
    if is_extrapolated(trained, rms, largest):
        lines.append(describe_extrapolation(trained, rms, largest))
    return lines


def _of_motion(summary: TrajectorySummary, limits: TrajectoryLimits) -> list[str]:
    mean, error, asked = summary.mean_temperature_k, summary.mean_temperature_error_k, summary.temperature_k
    if mean is None or error is None:
        return []
    if summary.ensemble != "nve" and summary.n_steps * summary.timestep_fs < limits.least_femtoseconds:
        return []
    lines = []
    keeps_energy = summary.ensemble == "nve"
    least = limits.energy_kept_temperature_relative if keeps_energy else limits.temperature_relative
    if abs(mean - asked) > max(limits.n_sd * error, least * asked):
        cause = "the crystal is far from harmonic, or the" if keeps_energy else "the"
        lines.append(
            f"the mean temperature of {format_mean(mean, error, 'K', '.1f')} is not the one asked for: "
            f"{cause} time step is too long; lower md.timestep_femtoseconds"
        )
    allowed = limits.element_relative * mean + limits.n_sd * error
    for element, temperature in (summary.temperatures_by_element_k or {}).items():
        if abs(temperature - mean) > allowed:
            lines.append(
                f"{element} moves as at {temperature:.0f} K, all atoms as at {mean:.0f} K: the run is too "
                "short for its parts to share the energy, or the time step too long; raise md.n_steps or "
                "lower md.timestep_femtoseconds"
            )
    drift = summary.energy_drift_mev_per_atom_per_ps or 0.0
    total = 1e-6 * abs(drift) * summary.n_steps * summary.timestep_fs
    if total > limits.drift_of_thermal_energy * BOLTZMANN_EV_PER_K * asked:
        lines.append(
            f"the energy drifts by {drift:.2g} meV per atom and ps; lower md.timestep_femtoseconds, or use "
            "md.precision double"
        )
    return lines
