"""What `check-convergence` found, as a part of the page of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlff_dyn.report.distance_plot import plot_distances
from mlff_dyn.report.html_page import Part, Table, Text
from mlff_dyn.report.numbers import format_count, format_percent
from mlff_dyn.report.plots import plot_convergence
from mlff_dyn.units import format_kelvin
from mlff_dyn.workflows.convergence.stored_report import stored_report

if TYPE_CHECKING:
    from pathlib import Path

    from mlff_dyn.report.html_page import Block, Draw
    from mlff_dyn.workflows.convergence.convergence_report import ConvergenceReport, TemperatureVerdict

_HEADER = (
    "temperature",
    "verdict",
    "expected error",
    "99 % below",
    "independent frames",
    "without a call",
    "anharmonicity",
)
_ERRORS = "Predicted force error along independent trajectories; the thick line is the mean up to that time."
_DISTANCES = (
    "Distances of the atoms from their sites along these trajectories; dashed, normal displacements of the "
    "same mean square."
)


def convergence_part(directory: Path, draw: Draw) -> list[Part]:
    """Verdicts, errors over time and observables; that it has not run, where there is no answer.

    Parameters
    ----------
    directory : Path
        Of the run.
    draw : callable
        Takes name, caption and plot of a picture.
    """
    report = stored_report(directory)
    if report is None:
        text = "Not checked yet on independent trajectories: run mlff-dyn check-convergence."
        return [Part("Convergence", [Text(text)])]
    blocks: list[Block] = [Text(_lead(report))]
    blocks.append(Table(_HEADER, list(map(_row, report.temperatures)), numbers=(2, 3, 4, 5, 6)))
    findings = [row for each in report.temperatures for row in _findings(each)]
    if findings:
        blocks.append(Table(("temperature", "about", "finding"), findings))
    blocks += [Text(f"Warning: {line}.") for line in report.warnings]
    traces = [trace for each in report.temperatures for trace in [each.trace] if trace is not None]
    if traces:
        limit = report.limit_relative
        blocks.append(draw("convergence", _ERRORS, lambda path: plot_convergence(path, traces, limit=limit)))
    found = [counts for each in report.temperatures for counts in [each.distances] if counts is not None]
    if found:
        blocks.append(draw("displacements", _DISTANCES, lambda path: plot_distances(path, found)))
    for observable in report.observables:
        blocks.append(Table(("observable", "value and error"), observable.rows()))
    return [Part("Convergence on independent trajectories", blocks)]


def _lead(report: ConvergenceReport) -> str:
    limit = f"{100 * report.limit_relative:g} %"
    needed = report.forecast_calculations
    text = f"{report.status.capitalize()}, for a limit of {limit}, in a cell of {report.n_atoms} atoms."
    return text + (f" About {format_count(needed, 'more calculation')} needed." if needed else "")


def _row(verdict: TemperatureVerdict) -> tuple[str, ...]:
    relative, quantile = verdict.force_sd_relative, verdict.quantile_99_relative
    quiet = None if verdict.quiet_time is None else verdict.quiet_time.time_since_call_picoseconds
    sigma = None if verdict.single_reference is None else verdict.single_reference.sigma_a
    return (
        f"{format_kelvin(verdict.temperature_k)} K",
        "converged" if verdict.converged else "not converged",
        "" if relative is None else format_percent(relative),
        "" if quantile is None else format_percent(quantile),
        f"{verdict.n_effective:.0f} of {verdict.n_frames}",
        "" if quiet is None else f"{quiet:.3g} ps",
        "" if sigma is None else f"{sigma:.3f}",
    )


def _findings(verdict: TemperatureVerdict) -> list[tuple[str, str, str]]:
    """Why a temperature is not converged, and why one reference structure may not suffice."""
    kelvin = f"{format_kelvin(verdict.temperature_k)} K"
    doubts = () if verdict.single_reference is None else verdict.single_reference.doubts
    return [
        *((kelvin, "convergence", reason) for reason in verdict.reasons),
        *((kelvin, "one reference structure", doubt) for doubt in doubts),
    ]
