"""What happened in a training, from its journal and its data set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlff_dyn.regression.planning.forecast import Forecast
from mlff_dyn.store.provenance import Provenance
from mlff_dyn.training.trace import TRACE_NAMES
from mlff_dyn.workflows.training.training_journal import (
    EXPLORED,
    JUDGED,
    LABELLED,
    OBSERVED,
    ORDERS,
    RAMP_FROM,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Calculation:
    """One reference calculation.

    Attributes
    ----------
    name : str
    reason : str
    n_steps_before : int
        MD steps of all explorations before it.
    temperature_kelvin : float or None
    expected_ev_per_angstrom, found_ev_per_angstrom : float or None
        Root mean square force error before it was trained on.
    found_relative : float or None
        Over the root mean square force.
    """

    name: str
    reason: str
    n_steps_before: int
    temperature_kelvin: float | None
    expected_ev_per_angstrom: float | None
    found_ev_per_angstrom: float | None
    found_relative: float | None

    @property
    def is_of_file(self) -> bool:
        """Whether it is of a frame of the user's trajectory."""
        return Provenance(
            engine="", reason=self.reason, temperature_kelvin=self.temperature_kelvin
        ).is_of_file

    @property
    def expected_relative(self) -> float | None:
        """Expected error over the same root mean square force."""
        if not self.found_relative or self.expected_ev_per_angstrom is None:
            return None
        return self.found_relative * self.expected_ev_per_angstrom / (self.found_ev_per_angstrom or 1.0)


@dataclass(frozen=True)
class Explored:
    """One exploring trajectory.

    Attributes
    ----------
    n_snapshots : int
        Labelled frames that the force field knew.
    first_step, n_steps : int
        Steps of all trajectories before it, and its own.
    temperature_kelvin : float or None
        None: of a ramp.
    ramped_kelvin : tuple of (float, float), or None
        Temperatures at the beginning and the end of a ramp.
    reason : str
    predictive, epistemic, truncation : float or None
        Force errors over the root mean square force, averaged over its frames.
    trace : dict of str to list
        See `mlff_dyn.training.trace.Trace`; empty where the journal has none.
    """

    n_snapshots: int
    first_step: int
    n_steps: int
    temperature_kelvin: float | None
    ramped_kelvin: tuple[float, float] | None
    reason: str
    predictive: float | None
    epistemic: float | None
    truncation: float | None
    trace: dict[str, list[float]]


@dataclass(frozen=True)
class Judged:
    """Frames of the user's trajectory that were predicted.

    Attributes
    ----------
    n_snapshots : int               labelled frames that the force field knew
    n_frames : int
    reason : str                    what came of it
    predictive : float or None      mean force error over the root mean square force
    """

    n_snapshots: int
    n_frames: int
    reason: str
    predictive: float | None


@dataclass(frozen=True)
class Observed:
    """Error of the observable that a training is for.

    Attributes
    ----------
    n_snapshots : int                              labelled frames that it rests on, those that run included
    name : str
    error_relative : float or None                 None where the crystal was not stable yet
    epistemic_relative, truncation_relative : float or None
    limit_relative : float
    """

    n_snapshots: int
    name: str
    error_relative: float | None
    epistemic_relative: float | None
    truncation_relative: float | None
    limit_relative: float


@dataclass(frozen=True)
class TrainingHistory:
    """A training from its first calculation to its end, or to where it stands.

    Attributes
    ----------
    calculations : tuple of Calculation
    explorations : tuple of Explored
    forecasts : dict of float to Forecast      last one for each temperature, K; None: for the ramp
    n_snapshots : int                          labelled frames
    status : str or None                       how it ended; None where it has not
    n_untrained : int                          labelled frames since the end, which it has not seen
    judged : tuple of Judged                   the user's trajectory, each time
    observed : tuple of Observed               the observable that it is for, after each refit
    orders : dict or None
        Orders in use and evidences after the last refit, where data choose them.
    """

    calculations: tuple[Calculation, ...]
    explorations: tuple[Explored, ...]
    forecasts: dict[float | None, Forecast]
    n_snapshots: int
    status: str | None
    n_untrained: int = 0
    judged: tuple[Judged, ...] = ()
    observed: tuple[Observed, ...] = ()
    orders: dict[str, Any] | None = None

    @property
    def temperatures_kelvin(self) -> tuple[float, ...]:
        """Temperatures that were explored, in their first order; not those of ramps."""
        every = dict.fromkeys(each.temperature_kelvin for each in self.explorations)
        return tuple(kelvin for kelvin in every if kelvin is not None)

    @property
    def has_ramp(self) -> bool:
        """Whether a temperature rose."""
        return any(each.ramped_kelvin is not None for each in self.explorations)

    @property
    def of_file(self) -> tuple[Calculation, ...]:
        """Calculations of frames of the user's trajectory."""
        return tuple(each for each in self.calculations if each.is_of_file)

    @property
    def n_steps(self) -> int:
        """MD steps of all explorations."""
        return sum(each.n_steps for each in self.explorations)

    def last(self, temperature_kelvin: float | None) -> Explored:
        """Last exploration at a temperature, or ramp; of several at a time the one that errs most."""
        there = [each for each in self.explorations if each.temperature_kelvin == temperature_kelvin]
        newest = max(each.n_snapshots for each in there)
        return max(
            (each for each in there if each.n_snapshots == newest), key=lambda each: each.predictive or 0.0
        )


def training_history(events: Sequence[dict[str, Any]], basis: str | None) -> TrainingHistory:
    """Read the history of a training from the events of its journal.

    Parameters
    ----------
    events : sequence of dict
        See `mlff_dyn.store.journal.read_journal`.
    basis : str or None
        Identity of the basis whose events count; None: that of the last event that has one.
    """
    chosen = basis or next((e["basis"] for e in reversed(events) if "basis" in e), None)
    calculations: dict[str, Calculation] = {}
    explorations: list[Explored] = []
    judged: list[Judged] = []
    observed: list[Observed] = []
    forecasts: dict[float | None, Forecast] = {}
    orders: dict[str, Any] | None = None
    status, n_snapshots, n_steps, n_at_end = None, 0, 0, 0
    for event in events:
        kind = event["event"]
        if kind == LABELLED:
            calculations[str(event.get("calculation"))] = _calculation(event, n_steps)
        elif event.get("basis") != chosen:
            continue
        n_snapshots = max(n_snapshots, int(event.get("n_snapshots") or 0))
        if kind == EXPLORED:
            status = None
            explorations.append(_explored(event, n_steps))
            n_steps += explorations[-1].n_steps
        elif kind == JUDGED:
            status = None
            judged.append(_judged(event))
        elif kind == OBSERVED:
            observed.append(_observed(event))
        elif kind == ORDERS:
            orders = {name: event[name] for name in ("orders", "log_evidences")}
        elif kind == "forecast":
            names = ("forecast_calculations", "forecast_calculations_low", "forecast_calculations_high")
            forecasts[_temperature(event)] = Forecast(*(event.get(name) for name in names))
        elif kind == "end":
            status, n_at_end = str(event["status"]), n_snapshots
    n_untrained = 0 if status is None else n_snapshots - n_at_end
    return TrainingHistory(
        tuple(calculations.values()),
        tuple(explorations),
        forecasts,
        n_snapshots,
        status,
        n_untrained,
        tuple(judged),
        tuple(observed),
        orders,
    )


def _calculation(event: dict[str, Any], n_steps: int) -> Calculation:
    return Calculation(
        name=str(event.get("calculation")),
        reason=str(event.get("reason", "")),
        n_steps_before=n_steps,
        temperature_kelvin=event.get("temperature_kelvin"),
        expected_ev_per_angstrom=event.get("expected_force_error_ev_per_angstrom"),
        found_ev_per_angstrom=event.get("found_force_error_ev_per_angstrom"),
        found_relative=event.get("found_force_error_relative"),
    )


def _judged(event: dict[str, Any]) -> Judged:
    return Judged(
        int(event["n_snapshots"]),
        int(event["n_frames"]),
        str(event["reason"]),
        event.get("predictive_relative"),
    )


def _observed(event: dict[str, Any]) -> Observed:
    return Observed(
        n_snapshots=int(event["n_snapshots"]) + int(event.get("n_running") or 0),
        name=str(event["observable"]),
        error_relative=event["error_relative"],
        epistemic_relative=event["epistemic_relative"],
        truncation_relative=event["truncation_relative"],
        limit_relative=float(event["error_limit_relative"]),
    )


def _temperature(event: dict[str, Any]) -> float | None:
    return None if RAMP_FROM in event else float(event["temperature_kelvin"])


def _explored(event: dict[str, Any], n_steps: int) -> Explored:
    return Explored(
        n_snapshots=int(event["n_snapshots"]),
        first_step=n_steps,
        n_steps=int(event["n_steps"]),
        temperature_kelvin=_temperature(event),
        ramped_kelvin=(
            (float(event[RAMP_FROM]), float(event["temperature_kelvin"])) if RAMP_FROM in event else None
        ),
        reason=str(event["reason"]),
        predictive=event.get("predictive_relative"),
        epistemic=event.get("epistemic_relative"),
        truncation=event.get("truncation_relative"),
        trace={name: event[name] for name in TRACE_NAMES if name in event},
    )
