"""`status`: where a run stands, also while it runs and from another shell; nothing is written."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from mlff_dyn.execution.states import (
    FAILED,
    FINISHED,
    PENDING,
    RUNNING,
    UNREAD,
    calculation_states,
    typical_seconds,
)
from mlff_dyn.regression.planning.forecast import Forecast
from mlff_dyn.report.answer import Report, read_report
from mlff_dyn.report.numbers import format_count
from mlff_dyn.store.journal import read_journal
from mlff_dyn.store.lock import holder_of
from mlff_dyn.store.provenance import ON_RAMP
from mlff_dyn.units import format_kelvin
from mlff_dyn.workflows.convergence.convergence_report import ConvergenceReport
from mlff_dyn.workflows.reporting.history import training_history
from mlff_dyn.workflows.setup.workspace import Workspace
from mlff_dyn.workflows.training.temperature_rows import (
    ALL_ORDERS,
    describe_error,
    describe_file,
    describe_observable,
    order_rows,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlff_dyn.config.schema import Config
    from mlff_dyn.execution.states import CalculationState
    from mlff_dyn.workflows.reporting.history import TrainingHistory

NOT_STARTED, IN_PROGRESS, INTERRUPTED = "not started", "in progress", "interrupted"
ELSEWHERE = "waiting for calculations elsewhere"
STOPPED = "stopped by a failed calculation"
UNTRAINED = "labelled frames that are not trained on"


@dataclass(frozen=True, kw_only=True)
class TemperatureStatus:
    """One temperature, or the ramp; the names are those of the JSON object.

    Attributes
    ----------
    temperature_kelvin : float or None       that the last ramp came to; None: there was none
    n_calculations : int                     of frames of this temperature
    state : str                              how its last exploration ended, or that there was none
    force_sd_relative : float or None        expected error of that exploration
    limit_relative : float or None           None of a training for an observable
    forecast_calculations, forecast_calculations_low, forecast_calculations_high : int or None
        Further calculations needed.
    """

    temperature_kelvin: float | None
    n_calculations: int
    state: str
    force_sd_relative: float | None
    limit_relative: float | None
    forecast_calculations: int | None
    forecast_calculations_low: int | None
    forecast_calculations_high: int | None


@dataclass(frozen=True, kw_only=True)
class FileStatus:
    """The user's trajectory; the names are those of the JSON object.

    Attributes
    ----------
    file : str
    n_calculations : int                     of its frames
    n_frames : int or None                   that were predicted the last time
    state : str                              what came of it, or that nobody has looked at it
    force_sd_relative : float or None        mean expected error of those frames
    limit_relative : float
    """

    file: str
    n_calculations: int
    n_frames: int | None
    state: str
    force_sd_relative: float | None
    limit_relative: float

    @property
    def told(self) -> str:
        """What came of it, in words."""
        errors = (self.force_sd_relative, self.limit_relative)
        return describe_file(self.state, self.n_calculations, self.n_frames, *errors)


@dataclass(frozen=True, kw_only=True)
class ObservableStatus:
    """The observable that a training is for; the names are those of the JSON object.

    Attributes
    ----------
    observable : str
    error_relative : float or None           after the last refit
    limit_relative : float
    forecast_calculations, forecast_calculations_low, forecast_calculations_high : int or None
        Further calculations needed.
    """

    observable: str
    error_relative: float | None
    limit_relative: float
    forecast_calculations: int | None
    forecast_calculations_low: int | None
    forecast_calculations_high: int | None

    @property
    def told(self) -> str:
        """Its error, in words."""
        return describe_observable(self.error_relative, self.limit_relative, self.forecast_calculations)


@dataclass(frozen=True, kw_only=True)
class StatusReport(Report):
    """Where a run stands.

    Attributes
    ----------
    process : int or None                    that works in the run directory now
    n_labelled : int
    n_calculations, max_calculations : int   made, and the budget
    n_untrained : int                        labelled frames since the training ended
    running, unread, pending, failed : tuple of str
        Names of calculations that are not finished; see `mlff_dyn.execution.states`.
    failure_reasons : tuple of str           why each that failed has
    running_seconds : tuple of float         time since the input of each that runs
    n_steps : int                            of exploring dynamics
    temperatures : tuple of TemperatureStatus
    ramp : TemperatureStatus or None
    seconds_per_calculation : float or None  median of the finished ones
    seconds_left : float or None             of the calculations that are forecast, one after the other
    convergence : str or None                last answer of check-convergence
    file : FileStatus or None                of the user's trajectory
    observable : ObservableStatus or None    that the training is for
    orders : dict or None                    in use after the last refit, where data choose them
    """

    verb = "status"
    process: int | None
    n_labelled: int
    n_calculations: int
    max_calculations: int
    n_untrained: int
    running: tuple[str, ...]
    unread: tuple[str, ...]
    pending: tuple[str, ...]
    failed: tuple[str, ...]
    failure_reasons: tuple[str, ...]
    running_seconds: tuple[float, ...]
    n_steps: int
    temperatures: tuple[TemperatureStatus, ...]
    ramp: TemperatureStatus | None
    seconds_per_calculation: float | None
    seconds_left: float | None
    convergence: str | None
    file: FileStatus | None = None
    observable: ObservableStatus | None = None
    orders: dict[str, Any] | None = None

    def values(self) -> dict[str, object]:
        """Return the values, a dictionary for each temperature, the ramp, the file and the observable."""
        own = {"ramp": self.ramp, "file": self.file, "observable": self.observable}
        parts = {name: None if each is None else asdict(each) for name, each in own.items()}
        return {**super().values(), "temperatures": [asdict(each) for each in self.temperatures], **parts}

    def why_null(self) -> Mapping[str, str]:
        """Say why values are None."""
        forecasts = ("forecast_calculations", "forecast_calculations_low", "forecast_calculations_high")
        return {
            "process": "no command works in the run directory",
            "ramp": "the configuration has no training.exploration.ramp",
            "temperature_kelvin": "there was no ramp yet",
            "force_sd_relative": "no exploring dynamics at this temperature, or no look at the file",
            "limit_relative": "the training is for an observable",
            "error_relative": "no refit yet, or the crystal is not stable yet",
            "n_frames": "nobody has looked at the file",
            "file": "training.exploration.file is not set",
            "observable": "training.criterion.kind is not observable",
            "orders": f"no refit yet, or {ALL_ORDERS}",
            **dict.fromkeys(forecasts, "the training has ended, or no number is known to reach the limit"),
            "seconds_per_calculation": "no calculation of this run is finished",
            "seconds_left": "no forecast",
            "convergence": "check-convergence has not run",
        }

    def calculation_rows(self) -> list[tuple[str, str]]:
        """Return the rows about calculations that are not finished."""
        running = [
            f"{name} for {_duration(seconds)}"
            for name, seconds in zip(self.running, self.running_seconds, strict=True)
        ]
        named = ((RUNNING, running), (UNREAD, self.unread), (PENDING, self.pending))
        failures = zip(self.failed, self.failure_reasons, strict=True)
        return [
            *((state, ", ".join(names)) for state, names in named if names),
            *((FAILED, f"{name}: {reason}") for name, reason in failures),
        ]

    def rows(self) -> list[tuple[str, str]]:
        """Return the rows for people."""
        rows = [] if self.process is None else [("process", str(self.process))]
        rows.append(("calculations", f"{self.n_calculations} done of at most {self.max_calculations}"))
        rows += self.calculation_rows()
        new = f", {self.n_untrained} since the training ended" if self.n_untrained else ""
        rows += [("labelled snapshots", f"{self.n_labelled}{new}"), ("MD steps", str(self.n_steps))]
        rows += order_rows(self.orders)
        rows += [
            (f"{format_kelvin(each.temperature_kelvin or 0.0)} K", _describe(each))
            for each in self.temperatures
        ]
        if self.ramp is not None:
            kelvin = self.ramp.temperature_kelvin
            reached = "" if kelvin is None else f"to {format_kelvin(kelvin)} K: "
            rows.append(("ramp", reached + _describe(self.ramp)))
        if self.file is not None:
            rows.append(("trajectory file", self.file.told))
        if self.observable is not None:
            rows.append((self.observable.observable, self.observable.told))
        if self.seconds_per_calculation is not None:
            rows.append(("a calculation takes", _duration(self.seconds_per_calculation)))
        if self.seconds_left:
            rows.append(("time left", f"about {_duration(self.seconds_left)}"))
        return rows if self.convergence is None else [*rows, ("convergence", self.convergence)]


def run_status(config: Config) -> StatusReport:
    """Say where the run of a configuration stands.

    Parameters
    ----------
    config : Config

    Raises
    ------
    DataError
        If the journal is damaged.
    """
    workspace = Workspace(config)
    directory = workspace.directory
    history = training_history(read_journal(workspace.journal_path), None)
    states = calculation_states(workspace.calculations_path)
    process = holder_of(directory)
    temperatures = tuple(_temperature(config, history, t) for t in config.training.temperatures_kelvin)
    has_ramp = config.training.exploration.ramp is not None
    typical = typical_seconds(states)
    running = {each.name: each.seconds or 0.0 for each in states if each.state == RUNNING}
    failed = {each.name: each.reason or "" for each in states if each.state == FAILED}
    return StatusReport(
        status=_state(config, history, process, states),
        process=process,
        n_labelled=history.n_snapshots,
        n_calculations=len(history.calculations),
        max_calculations=config.training.max_calculations,
        n_untrained=history.n_untrained,
        running=tuple(running),
        running_seconds=tuple(running.values()),
        unread=tuple(each.name for each in states if each.state == UNREAD),
        pending=tuple(each.name for each in states if each.state == PENDING),
        failed=tuple(failed),
        failure_reasons=tuple(failed.values()),
        n_steps=history.n_steps,
        temperatures=temperatures,
        ramp=_temperature(config, history, None) if has_ramp else None,
        seconds_per_calculation=typical,
        seconds_left=None if history.status is not None else _seconds_left(temperatures, typical),
        convergence=read_report(directory / "convergence.json", ConvergenceReport).get("status"),
        file=_file(config, history),
        observable=_observable(config, history),
        orders=history.orders,
    )


def _state(
    config: Config, history: TrainingHistory, process: int | None, states: Sequence[CalculationState]
) -> str:
    if process is not None:
        return IN_PROGRESS
    if history.status is not None:
        return UNTRAINED if history.n_untrained else history.status
    found = {each.state for each in states}
    if FAILED in found:
        return STOPPED
    if found - {FINISHED} and config.execution.kind == "external":
        return ELSEWHERE
    return INTERRUPTED if states or history.n_snapshots else NOT_STARTED


def _temperature(config: Config, history: TrainingHistory, temperature: float | None) -> TemperatureStatus:
    """Status of a temperature; None: of the ramp."""
    explored = history.has_ramp if temperature is None else temperature in history.temperatures_kelvin
    ramped = [each for each in history.calculations if each.reason.endswith(ON_RAMP)]
    own = [each for each in history.calculations if each.temperature_kelvin == temperature]
    last = history.last(temperature) if explored else None
    unknown = Forecast(None, None, None)
    forecast = unknown if history.status else history.forecasts.get(temperature, unknown)
    criterion = config.training.criterion
    reached = None if last is None or last.ramped_kelvin is None else last.ramped_kelvin[1]
    return TemperatureStatus(
        temperature_kelvin=reached if temperature is None else temperature,
        n_calculations=len(ramped if temperature is None else own),
        state="not explored" if last is None else last.reason,
        force_sd_relative=None if last is None else last.predictive,
        limit_relative=None if criterion.kind == "observable" else criterion.force_error_limit_relative,
        **forecast.to_json(),
    )


def _file(config: Config, history: TrainingHistory) -> FileStatus | None:
    file = config.training.exploration.file
    if file is None:
        return None
    last = history.judged[-1] if history.judged else None
    return FileStatus(
        file=str(file),
        n_calculations=len(history.of_file),
        n_frames=None if last is None else last.n_frames,
        state="not looked at" if last is None else last.reason,
        force_sd_relative=None if last is None else last.predictive,
        limit_relative=config.training.criterion.force_error_limit_relative,
    )


def _observable(config: Config, history: TrainingHistory) -> ObservableStatus | None:
    criterion = config.training.criterion
    if criterion.kind != "observable":
        return None
    last = history.observed[-1] if history.observed else None
    known = [each for each in history.forecasts.values() if each.n_calculations]
    is_over = history.status is not None or not known
    needed = max(known, key=lambda each: each.n_calculations or 0) if known else Forecast(None, None, None)
    return ObservableStatus(
        observable=criterion.observable,
        error_relative=None if last is None else last.error_relative,
        limit_relative=config.conductivity.error_limit_relative,
        **(Forecast(None, None, None) if is_over else needed).to_json(),
    )


def _seconds_left(temperatures: Sequence[TemperatureStatus], typical: float | None) -> float | None:
    counts = [each.forecast_calculations for each in temperatures if each.forecast_calculations is not None]
    return None if typical is None or not counts else max(counts) * typical


def _describe(status: TemperatureStatus) -> str:
    parts = [status.state]
    if status.force_sd_relative is not None:
        parts.append(describe_error("expected force error", status.force_sd_relative, status.limit_relative))
    if status.forecast_calculations:
        parts.append(f"about {format_count(status.forecast_calculations, 'more calculation')}")
    return "; ".join(parts)


def _duration(seconds: float) -> str:
    for unit, size in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2.0 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.2g} s"
