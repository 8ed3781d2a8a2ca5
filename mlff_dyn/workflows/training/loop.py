"""The loop of dynamic training: explore, decide, label, refit."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.engines.base import engine_identity
from mlff_dyn.execution.registry import EXECUTIONS
from mlff_dyn.store.provenance import Provenance
from mlff_dyn.training.criteria.base import Decision
from mlff_dyn.training.criteria.registry import create_criterion
from mlff_dyn.training.exploration import QUIET, Exploration, ExplorationPlan, explore
from mlff_dyn.training.frame_choice import (
    LAST,
    can_judge_truncation,
    choose_frames,
    information_pool,
    outlook,
)
from mlff_dyn.training.initial import rattled_displacements
from mlff_dyn.training.limits import LIMITS
from mlff_dyn.units import format_kelvin
from mlff_dyn.workflows.setup.initialise import initial_displacements
from mlff_dyn.workflows.snapshots import displaced_atoms, labelled_snapshot
from mlff_dyn.workflows.training.second_look import confirmed
from mlff_dyn.workflows.training.train_report import BUDGET, CONVERGED, LIMITED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mlff_dyn.engines.base import Engine
    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.regression.planning.forecast import Forecast
    from mlff_dyn.report.progress import Progress
    from mlff_dyn.store.dataset import Snapshot
    from mlff_dyn.training.criteria.base import Criterion
    from mlff_dyn.training.criteria.errors import MeanErrors
    from mlff_dyn.workflows.training.learner import Learner

_NO_CALL = (QUIET, Decision.EXPANSION_LIMITED.value)
_EXPLORATION, _FALLBACK = 1, 2


@dataclass(frozen=True, eq=False)
class _Call:
    """A structure to label and why."""

    torus: Torus
    displacements: NDArray[np.float64]
    temperature_kelvin: float | None
    reason: str


class TrainingLoop:
    """Dynamic training with one engine.

    Every random number is drawn from the seed of the configuration and the number of snapshots, so the next
    call depends only on the data set.

    Parameters
    ----------
    learner : Learner
    engine : Engine
    progress : Progress
    """

    def __init__(self, learner: Learner, engine: Engine, progress: Progress) -> None:
        self._learner = learner
        self._engine = engine
        self._progress = progress
        self._workspace = learner.workspace
        self._config = learner.workspace.config
        self._call_seconds: list[float] = []
        self._forecast: Forecast | None = None
        self._stops: dict[float, str] = {}

    def warnings(self) -> list[str]:
        """Temperatures at which the last dynamics left the trusted region, one line each."""
        return [
            f"dynamics is unstable at {format_kelvin(temperature)} K with these data and this "
            f"expansion: {stop}"
            for temperature, stop in sorted(self._stops.items())
        ]

    def run(self) -> tuple[str, MeanErrors | None]:
        """Train until all temperatures are quiet or the budget is spent.

        Returns
        -------
        status : str
        errors : MeanErrors or None
            Of the last exploration, at the temperature where they are largest; None where it left the trusted
            region before there were any, see `warnings`.

        Raises
        ------
        EngineError
            If a calculation fails; all finished ones are kept.
        """
        budget = self._config.training.max_calculations
        self._progress.start(budget, "training")
        self._progress.update(self._learner.n_calculations)
        for call in self._missing_initial_calls()[: budget - self._learner.n_calculations]:
            self._label([call])
        while True:
            calls, errors, limited = self._one_pass()
            if not calls:
                return (LIMITED if limited else CONVERGED), errors
            room = budget - self._learner.n_calculations
            if room <= 0:
                return BUDGET, errors
            self._label(calls[:room])

    def _missing_initial_calls(self) -> list[_Call]:
        """First structures that are not labelled yet; none where the user gave snapshots."""
        data = self._learner.data
        if len(data) > self._learner.n_calculations:
            return []
        torus = self._workspace.training_torus
        missing = initial_displacements(self._workspace, self._learner.guess)[len(data) :]
        return [_Call(torus, u, temperature, "initial structure") for u, temperature in missing]

    def _one_pass(self) -> tuple[list[_Call], MeanErrors | None, bool]:
        """Explore the temperatures in turn, that of the last call first, until one calls."""
        temperatures = self._config.training.temperatures_kelvin
        last = self._learner.data.snapshots[-1].provenance.temperature_kelvin
        start = temperatures.index(last) if last in temperatures else 0
        errors: list[MeanErrors] = []
        limited = False
        for step in range(len(temperatures)):
            index = (start + step) % len(temperatures)
            found = [self._explore(index, r) for r in range(self._config.execution.max_parallel)]
            errors += [exploration.errors for exploration in found if exploration.errors is not None]
            limited |= any(e.reason == Decision.EXPANSION_LIMITED.value for e in found)
            calls = self._calls(index, found)
            if calls:
                return calls, _worst(errors), False
        return [], _worst(errors), limited

    def _explore(self, index: int, replica: int) -> Exploration:
        training, learner = self._config.training, self._learner
        temperature = training.temperatures_kelvin[index]
        plan = ExplorationPlan(
            temperature_kelvin=temperature,
            timestep_femtoseconds=self._config.md.timestep_femtoseconds,
            n_steps=training.n_steps,
            seed=(self._config.seed, _EXPLORATION, len(learner.data), index, replica),
            must_label=not learner.is_tested(temperature),
            n_pool=training.selection.n_pool,
            complete_pool=training.selection.kind != LAST,
            displacement_limit_angstrom=self._config.md.displacement_limit_angstrom,
            large_error_relative=LIMITS.sudden_factor * training.criterion.force_error_limit_relative,
        )
        limit = training.criterion.force_error_limit_relative

        def show(steps: int, errors: MeanErrors) -> None:
            self._progress.update(
                learner.n_calculations,
                temperature=f"{format_kelvin(temperature)} K",
                error=f"{100 * errors.predictive:.2f} %",
                limit=f"{100 * limit:g} %",
                steps=steps,
                left=self._time_left(),
            )
            self._progress.part(steps, training.n_steps, "exploration")

        force_field = learner.force_field().on(self._exploring_torus())
        exploration = explore(force_field, self._criterion(temperature), plan, show)
        self._note_stop(temperature, exploration)
        learner.journal.append(
            "explored",
            n_snapshots=len(learner.data),
            temperature_kelvin=temperature,
            replica=replica,
            n_steps=exploration.n_steps,
            reason=exploration.reason,
            **({} if exploration.errors is None else exploration.errors.to_json()),
        )
        self._foretell(temperature, replica, exploration)
        return exploration

    def _note_stop(self, temperature: float, exploration: Exploration) -> None:
        self._stops.pop(temperature, None)
        if exploration.stop is not None:
            self._stops[temperature] = exploration.stop

    def _foretell(self, temperature: float, replica: int, exploration: Exploration) -> None:
        """Record how many calculations this temperature still needs; none are foretold without frames."""
        learner, errors = self._learner, exploration.errors
        if errors is None or not len(exploration.pool):
            self._forecast = None
            return
        expected = outlook(learner.force_field(), self._exploring_torus(), exploration.pool, learner.scores)
        if not self._can_judge_truncation(temperature):
            expected = expected.untested()
        limit = self._config.training.criterion.force_error_limit_relative
        found = expected.forecast(errors.epistemic, errors.truncation, limit)
        self._forecast = found
        learner.journal.append(
            "forecast",
            n_snapshots=len(learner.data),
            temperature_kelvin=temperature,
            replica=replica,
            **found.to_json(),
        )

    def _criterion(self, temperature: float) -> Criterion:
        settings = self._config.training.criterion.model_dump()
        kind = settings.pop("kind")
        judge = self._can_judge_truncation(temperature)
        return create_criterion(kind, {**settings, "can_judge_truncation": judge})

    def _can_judge_truncation(self, temperature: float) -> bool:
        """Whether data and predictions at a temperature tell truncation from lack of data."""
        learner, n_predicted = self._learner, LIMITS.predictions_for_truncation
        return learner.is_tested(temperature, n_predicted) and can_judge_truncation(learner.force_field())

    def _exploring_torus(self) -> Torus:
        return self._workspace.supercell(self._config.training.md_supercell)

    def _calls(self, index: int, found: Sequence[Exploration]) -> list[_Call]:
        """Structures to label, one for each trajectory that calls, chosen from all their frames."""
        kind = self._config.training.selection.kind
        callers = {r: e for r, e in enumerate(found) if e.reason not in _NO_CALL}
        pooled = [] if kind == LAST else [r for r, e in callers.items() if len(e.pool)]
        calls = [self._call(index, r, e) for r, e in callers.items() if r not in pooled]
        if not pooled:
            return calls
        frames = np.concatenate([callers[r].pool for r in pooled])
        origins = np.repeat(pooled, [len(callers[r].pool) for r in pooled])
        torus = self._exploring_torus()
        labelled = self._learner.fit_data.frames
        pool = information_pool(self._learner.force_field(), torus, frames, labelled)
        temperature = self._config.training.temperatures_kelvin[index]
        chosen = choose_frames(pool, kind, len(pooled))
        return calls + [_Call(torus, frames[i], temperature, callers[int(origins[i])].reason) for i in chosen]

    def _call(self, index: int, replica: int, exploration: Exploration) -> _Call:
        """Structure to label; if the trajectory exploded at once, a rattled cell of the trained amplitude."""
        torus = self._exploring_torus()
        if len(exploration.displacements):
            temperature = self._config.training.temperatures_kelvin[index]
            return _Call(torus, exploration.displacements[-1], temperature, exploration.reason)
        sd = self._learner.force_field().training.displacement_rms_angstrom
        seed = (self._config.seed, _FALLBACK, len(self._learner.data), index, replica)
        return _Call(torus, rattled_displacements(torus.n_atoms, sd, seed), None, exploration.reason)

    def _label(self, calls: Sequence[_Call]) -> None:
        """Calculate structures, predict them with what is known, then learn them."""
        if not calls:
            return
        first = self._learner.n_calculations
        names = [f"{first + i + 1:04d}" for i in range(len(calls))]
        started = time.monotonic()
        snapshots = self._calculate(calls, names)
        self._call_seconds.append((time.monotonic() - started) / len(calls))
        self._learner.learn(
            confirmed(
                self._learner,
                snapshots,
                lambda which, again: self._calculate([calls[i] for i in which], again),
                self._progress,
            )
        )
        self._forecast = None if self._forecast is None else self._forecast.after(len(calls))
        self._progress.update(self._learner.n_calculations)
        for snapshot in self._learner.data.snapshots[-len(calls) :]:
            self._progress.log(_describe(snapshot.provenance))

    def _calculate(self, calls: Sequence[_Call], names: Sequence[str]) -> list[Snapshot]:
        """Results of the engine with where they come from."""
        atoms = [displaced_atoms(call.torus, call.displacements) for call in calls]
        results = EXECUTIONS[self._config.execution.kind](
            self._engine,
            atoms,
            self._workspace.calculations_path,
            names,
            max_parallel=self._config.execution.max_parallel,
        )
        snapshots = []
        for call, structure, result, name in zip(calls, atoms, results, names, strict=True):
            provenance = Provenance(
                calculation=name,
                reason=call.reason,
                engine=engine_identity(self._engine),
                engine_kind=self._engine.kind,
                temperature_kelvin=call.temperature_kelvin,
            )
            snapshots.append(labelled_snapshot(structure, result, provenance))
        return snapshots

    def _time_left(self) -> str:
        """Calculations still needed by the last forecast, and their time."""
        if self._forecast is None:
            return "?"
        number = self._forecast.n_calculations
        if not number or not self._call_seconds:
            return str(self._forecast)
        seconds = number * sum(self._call_seconds) / len(self._call_seconds)
        return f"{self._forecast} calculations, {seconds / 60:.1f} min"


def _describe(label: Provenance) -> str:
    text = f"calculation {label.calculation}: {label.reason}"
    if label.found_force_error_relative is None:
        return text
    return (
        f"{text}; expected error {label.expected_force_error_ev_per_angstrom:#.2g} eV/Å, "
        f"found {label.found_force_error_ev_per_angstrom:#.2g} eV/Å "
        f"({100 * label.found_force_error_relative:.2f} %)"
    )


def _worst(errors: Sequence[MeanErrors]) -> MeanErrors | None:
    return max(errors, key=lambda e: e.predictive, default=None)
