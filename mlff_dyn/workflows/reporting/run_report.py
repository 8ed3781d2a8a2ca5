"""`report`: one HTML page about a run, with its pictures as files too."""

from __future__ import annotations

import math
import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.config.load import resolved_yaml
from mlff_dyn.errors import DataError
from mlff_dyn.observables.dispersion import dispersion
from mlff_dyn.report.answer import Report, read_report
from mlff_dyn.report.formula import reduced_formula
from mlff_dyn.report.html_page import Listing, Part, Picture, Table, Text, html_page
from mlff_dyn.report.numbers import format_count, format_percent
from mlff_dyn.report.plots import plot_parity
from mlff_dyn.report.training_plots import (
    ErrorSpan,
    FoundError,
    plot_dispersion,
    plot_errors_over_steps,
    plot_learning,
    plot_ramps,
    plot_species_errors,
)
from mlff_dyn.store.atomic import atomic_write_text
from mlff_dyn.store.journal import read_journal
from mlff_dyn.units import format_kelvin
from mlff_dyn.workflows.reporting.conductivity_part import conductivity_part
from mlff_dyn.workflows.reporting.convergence_part import convergence_part
from mlff_dyn.workflows.reporting.held_out import hold_out_frames
from mlff_dyn.workflows.reporting.history import Calculation, Explored, TrainingHistory, training_history
from mlff_dyn.workflows.reporting.observable_part import observable_part
from mlff_dyn.workflows.reporting.phonons_part import phonons_part
from mlff_dyn.workflows.reporting.run_status import (
    NOT_STARTED,
    run_status,
)
from mlff_dyn.workflows.reporting.thermodynamics_part import thermodynamics_part
from mlff_dyn.workflows.setup.workspace import Workspace
from mlff_dyn.workflows.training.temperature_rows import order_rows
from mlff_dyn.workflows.training.train_report import STATIC, TrainReport
from mlff_dyn.workflows.training.trained_model import ANSWER_NAME

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mlff_dyn.config.schema import Config
    from mlff_dyn.model.force_field import ForceField
    from mlff_dyn.regression.planning.forecast import Forecast
    from mlff_dyn.report.html_page import Block
    from mlff_dyn.workflows.reporting.run_status import StatusReport

PAGE_NAME, PICTURES_NAME = "report.html", "report"
_PROGRAMS = ("mlff-dyn", "numpy", "scipy", "ase", "phonopy", "spglib")


@dataclass(frozen=True, kw_only=True)
class RunReport(Report):
    """Result of `report`.

    Attributes
    ----------
    page : Path
        The HTML file.
    pictures : tuple of Path
        The same drawings, as PNG and SVG.
    """

    verb = "report"
    page: Path
    pictures: tuple[Path, ...]

    def rows(self) -> list[tuple[str, str]]:
        """Return the page and the folder of its pictures."""
        folders = sorted({str(path.parent) for path in self.pictures})
        return [("page", str(self.page)), *(("pictures", folder) for folder in folders)]


def write_run_report(config: Config, output: Path | None = None) -> RunReport:
    """Write the page of a run, whatever of it is there yet.

    Parameters
    ----------
    config : Config
    output : Path, optional
        The HTML file; default: ``report.html`` in the run directory. Pictures lie in a folder of its name.

    Raises
    ------
    DataError
        If nothing has been trained, a file of the run is damaged, or one cannot be written.
    """
    workspace = Workspace(config)
    events, status = read_journal(workspace.journal_path), run_status(config)
    if not workspace.model_path.exists() and not events and status.status == NOT_STARTED:
        raise DataError(f"there is no training in {workspace.directory}", fix="run mlff-dyn train first")
    page = output or workspace.directory / PAGE_NAME
    album = _Album(page.with_suffix(""))
    history = training_history(events, workspace.basis_identity)
    force_field = workspace.read_model() if workspace.model_path.exists() else None
    parts = [
        _overview(workspace, history, force_field, status),
        *observable_part(status.observable, history, _ahead(history), album.draw),
        *_training(workspace, history, album),
        *([] if force_field is None else _accuracy(workspace, force_field, album)),
        *convergence_part(workspace.directory, album.draw),
        *([] if force_field is None else _phonons(workspace, force_field, album)),
        *phonons_part(workspace.directory, album.draw),
        *conductivity_part(workspace.directory, album.draw),
        *thermodynamics_part(workspace.directory, album.draw),
        Part("Settings", [Text("With all defaults; paths are absolute."), Listing(resolved_yaml(config))]),
        Part("Versions", [Table((), [(name, _version(name)) for name in ("Python", *_PROGRAMS)])]),
    ]
    formula = reduced_formula(workspace.crystal.input_numbers)
    lead = f"Anharmonic force field of {formula}, trained in {workspace.directory}."
    atomic_write_text(page, html_page(f"{formula}: training of a force field", lead, parts))
    return RunReport(status="done", page=page, pictures=tuple(album.pictures))


class _Album:
    """Folder of the pictures, each as SVG and PNG."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.pictures: list[Path] = []

    def draw(self, name: str, caption: str, plot: Callable[[Path], None]) -> Picture:
        """Draw both files, and return the drawing for the page."""
        self._folder.mkdir(parents=True, exist_ok=True)
        files = [self._folder / f"{name}.{suffix}" for suffix in ("svg", "png")]
        for file in files:
            plot(file)
        self.pictures += files
        return Picture(files[0].read_text(encoding="utf-8"), caption)


def _overview(
    workspace: Workspace, history: TrainingHistory, force_field: ForceField | None, state: StatusReport
) -> Part:
    config, torus = workspace.config, workspace.training_torus
    limit = _limit(config)
    limit_text = f"{100 * limit:g} %" + (" of the rms force" if state.observable is None else "")
    what = "force error" if state.observable is None else f"error of the {state.observable.observable}"
    rows = [
        ("training", state.status),
        *state.calculation_rows(),
        ("calculations", str(len(history.calculations))),
        ("labelled frames", str(history.n_snapshots)),
        ("steps of exploring dynamics", str(history.n_steps)),
        (f"limit of the {what}", limit_text),
        ("training cell", f"{torus.n_atoms} atoms"),
        ("space group", workspace.crystal.space_group),
        ("parameters", str(workspace.expansion.n_parameters)),
        *order_rows(state.orders),
    ]
    if force_field is not None:
        summary = force_field.training
        rows.append(("force error of the fit", f"{summary.rmse_force_ev_per_angstrom:#.2g} eV/Å"))
        rows.append(("displacements of the data", f"up to {summary.displacement_max_angstrom:.2g} Å"))
    for temperature in (*history.temperatures_kelvin, *([None] if history.has_ramp else [])):
        last = history.last(temperature)
        error = "" if last.predictive is None else f", expected force error {format_percent(last.predictive)}"
        forecast = history.forecasts.get(temperature)
        is_foretold = forecast is not None and forecast.n_calculations and history.status is None
        more = f", more calculations: {forecast}" if is_foretold else ""
        rows.append((_name(last), f"{last.reason}{error}{more}"))
    if state.file is not None:
        rows.append(("trajectory file", f"{state.file.file}: {state.file.told}"))
    if state.observable is not None:
        rows.append((state.observable.observable, state.observable.told))
    answer = read_report(workspace.directory / ANSWER_NAME, TrainReport)
    warned = [Text(f"Warning: {line}.") for line in answer.get("warnings", ())]
    return Part(
        "What was done",
        [Text(_story(history, f"the expected {what} exceeded {limit_text}")), *warned, Table((), rows)],
    )


def _name(explored: Explored) -> str:
    if explored.ramped_kelvin is None:
        return f"{format_kelvin(explored.temperature_kelvin or 0.0)} K"
    return f"ramp to {format_kelvin(explored.ramped_kelvin[1])} K"


def _limit(config: Config) -> float:
    """Limit of the error that the training is to reach."""
    criterion = config.training.criterion
    if criterion.kind == "observable":
        return config.conductivity.error_limit_relative
    return criterion.force_error_limit_relative


def _story(history: TrainingHistory, why: str) -> str:
    """Say in words how the training went."""
    if not history.n_snapshots:
        return "No calculation has been learnt yet."
    if history.status == STATIC:
        frames = format_count(history.n_snapshots, "labelled frame")
        return f"The force field was fitted to {frames}, without dynamics."
    first = [each for each in history.calculations if each.n_steps_before == 0]
    later = len(history.calculations) - len(first)
    given = max(0, history.n_snapshots - len(history.calculations))
    text = (
        f"Training began with {format_count(len(first), 'calculation')} before any dynamics. Dynamics on the "
        f"force field, {history.n_steps} steps in all, then called for {later} more where {why} or a "
        "temperature was new."
    )
    n_of_file = len(history.of_file)
    if n_of_file:
        verb = "is" if n_of_file == 1 else "are"
        text += f" {format_count(n_of_file, 'calculation')} {verb} of the trajectory file."
    if given:
        text += f" {format_count(given, 'labelled frame')} {'was' if given == 1 else 'were'} given besides."
    ends = {"converged": " It ended since the error stays below the limit at all temperatures."}
    return text + ends.get(history.status or "", "")


def _training(workspace: Workspace, history: TrainingHistory, album: _Album) -> list[Part]:
    criterion = workspace.config.training.criterion
    of_forces = criterion.force_error_limit_relative
    limit = None if criterion.kind == "observable" else of_forces
    spans = [_span(each) for each in history.explorations if each.predictive is not None]
    found = [
        FoundError(number, each.n_steps_before, *map(_number, (each.expected_relative, each.found_relative)))
        for number, each in enumerate(history.calculations, start=1)
    ]
    blocks: list[Block] = []
    if spans:
        caption = (
            "Predicted force error along the exploring dynamics and temperature of the atoms; gray lines "
            "are calculations, circles the errors that they found before they were trained on."
        )
        blocks.append(
            album.draw("errors", caption, lambda p: plot_errors_over_steps(p, spans, found, limit=limit))
        )
    ramps = [_heating(each, each.ramped_kelvin) for each in history.explorations if each.ramped_kelvin]
    ramps = [each for each in ramps if len(each.steps)]
    if ramps:
        caption = (
            "Predicted force error along each ramp, the last one in blue. Above the highest temperature "
            "asked for, beyond the dotted line, only three times the limit calls."
        )
        asked = max(workspace.config.training.temperatures_kelvin)
        blocks.append(
            album.draw("ramp", caption, lambda p: plot_ramps(p, ramps, limit=of_forces, asked_kelvin=asked))
        )
    if any(each.found_relative is not None for each in history.calculations):
        caption = "Each calculation is predicted before it is trained on: expected and found force error."
        ahead = _ahead(history) if limit is not None else None
        if ahead is not None:
            caption += " Dashed: to the limit, by the forecast; the bar is its range."
        blocks.append(
            album.draw("learning", caption, lambda p: plot_learning(p, found, limit=limit, ahead=ahead))
        )
    header = ("calculation", "temperature", "why", "expected", "found", "found, relative")
    rows = [
        (
            each.name,
            _source(each),
            each.reason,
            *map(_error, (each.expected_ev_per_angstrom, each.found_ev_per_angstrom)),
            "" if each.found_relative is None else format_percent(each.found_relative),
        )
        for each in history.calculations
    ]
    if rows:
        blocks.append(Table(header, rows, numbers=(3, 4, 5)))
    return [Part("Training", blocks)] if blocks else []


def _source(calculation: Calculation) -> str:
    """Temperature or file that a calculated frame is of."""
    if calculation.is_of_file:
        return "file"
    kelvin = calculation.temperature_kelvin
    return "" if kelvin is None else f"{format_kelvin(kelvin)} K"


def _ahead(history: TrainingHistory) -> Forecast | None:
    """Forecast of a training that goes on, for the temperature that needs most; None without one."""
    foretold = [each for each in history.forecasts.values() if each.n_calculations]
    if history.status is not None or not foretold:
        return None
    return max(foretold, key=lambda each: each.n_calculations or 0)


def _accuracy(workspace: Workspace, force_field: ForceField, album: _Album) -> list[Part]:
    found = hold_out_frames(workspace, force_field)
    if found is None:
        return []
    text = (
        f"Every labelled frame predicted by a fit to all others: the error is "
        f"{format_percent(found.errors_relative)} of the rms force, and {found.calibration_z:.2f} times the "
        f"predicted one (1 is right)."
    )
    species = found.of_species()
    parity = "Predicted over calculated forces, and errors over their predicted standard deviations."
    blocks: list[Block] = [
        Text(text),
        album.draw("parity", parity, lambda p: plot_parity(p, found.reference, found.predicted, found.sds)),
        album.draw("species", "Force errors by species.", lambda p: plot_species_errors(p, species)),
    ]
    return [Part("Accuracy", blocks)]


def _phonons(workspace: Workspace, force_field: ForceField, album: _Album) -> list[Part]:
    found = dispersion(force_field.at_rest, workspace.training_torus)
    largest = float(found.sds_thz.max())
    path, cells = found.path, workspace.training_torus
    unstable = "" if found.is_stable else " There are imaginary frequencies, drawn below zero."
    text = (
        f"Order 2 on the training cell of {cells.n_atoms} atoms. The largest standard deviation of a "
        f"frequency is {largest:#.2g} THz.{unstable}"
    )
    caption = "Harmonic phonons of the force field; the band is two standard deviations of the posterior."
    picture = album.draw(
        "phonons",
        caption,
        lambda p: plot_dispersion(p, path.distances, found.frequencies_thz, found.sds_thz, path.ticks),
    )
    return [Part("Phonons", [Text(text), picture])]


def _span(explored: Explored) -> ErrorSpan:
    """Errors of an exploration along its way; only their mean where the journal has no more."""
    trace = explored.trace
    steps = np.array(trace.get("trace_steps", [0, explored.n_steps]), float)
    mean = math.nan if explored.predictive is None else explored.predictive
    kelvin = trace.get("trace_temperature_kelvin", [math.nan] * len(steps))
    return ErrorSpan(
        temperature_kelvin=explored.temperature_kelvin,
        steps=explored.first_step + steps,
        errors_relative=np.array(trace.get("trace_predictive_relative", [mean, mean]), float),
        temperatures_kelvin=np.array(kelvin, float),
    )


def _heating(explored: Explored, kelvin: tuple[float, float]) -> ErrorSpan:
    """Errors of a ramp with the temperatures of its thermostat, which rises from the first error on."""
    steps = np.array(explored.trace.get("trace_steps", []), float)
    ends = np.array([steps[0] if len(steps) else 0.0, max(1, explored.n_steps)])
    return ErrorSpan(
        temperature_kelvin=None,
        steps=steps,
        errors_relative=np.array(explored.trace.get("trace_predictive_relative", []), float),
        temperatures_kelvin=np.interp(steps, ends, np.array(kelvin)),
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _error(value: float | None) -> str:
    return "" if value is None else f"{value:#.2g} eV/Å"


def _version(name: str) -> str:
    if name == "Python":
        return platform.python_version()
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
