"""The loop of dynamic training: explore, decide, label, refit."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.execution.registry import create_execution
from mlff_dyn.kernels.threads import available_cores
from mlff_dyn.model.harmonic_modes import harmonic_modes
from mlff_dyn.store.json_file import digest
from mlff_dyn.store.provenance import INITIAL, RAMP
from mlff_dyn.training.criteria.decision import Decision
from mlff_dyn.training.criteria.registry import create_criterion
from mlff_dyn.training.exploration import Exploration, ExplorationPlan, explore
from mlff_dyn.training.frame_choice import (
    LAST,
    can_judge_truncation,
    frames_on,
)
from mlff_dyn.training.given_trajectory import judge_frames
from mlff_dyn.training.initial import phonon_displacements
from mlff_dyn.training.limits import LIMITS
from mlff_dyn.training.running import with_running
from mlff_dyn.units import format_kelvin
from mlff_dyn.workflows.constant_pressure import barostat_of
from mlff_dyn.workflows.setup.initialise import initial_displacements
from mlff_dyn.workflows.training.departures import Departures
from mlff_dyn.workflows.training.given_frames import given_frames_of
from mlff_dyn.workflows.training.goal import Goal
from mlff_dyn.workflows.training.in_flight import Call, CallsInFlight
from mlff_dyn.workflows.training.ongoing_trajectories import OngoingTrajectories
from mlff_dyn.workflows.training.ramps import named_in_journal, ramp_of, ramp_warnings
from mlff_dyn.workflows.training.round_calls import NO_CALL, RoundCalls, Source, selection_of
from mlff_dyn.workflows.training.second_look import confirmed
from mlff_dyn.workflows.training.side_by_side import side_by_side
from mlff_dyn.workflows.training.train_report import (
    ALL_STEPS,
    BUDGET,
    CONVERGED,
    LIMITED,
    NARROW,
    describe_calculation,
)
from mlff_dyn.workflows.training.training_journal import JUDGED

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from mlff_dyn.engines.base import Engine
    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.md.barostat import Barostat
    from mlff_dyn.model.force_field import ForceField
    from mlff_dyn.regression.planning.forecast import Forecast
    from mlff_dyn.report.progress import Progress
    from mlff_dyn.store.provenance import Provenance, Where
    from mlff_dyn.training.criteria.decision import Criterion
    from mlff_dyn.training.criteria.errors import MeanErrors
    from mlff_dyn.training.exploration import TrajectoryState
    from mlff_dyn.training.ramp import Ramp
    from mlff_dyn.workflows.training.learner import Learner

_EXPLORATION, _FALLBACK, _PHONONS, _SAMPLING, _CELLS = 1, 2, 5, 6, 7
_FILE_FRAMES = 8
_FILE = -1
"""In place of the number of a temperature."""


class TrainingLoop:
    """Dynamic training with one engine.

    Every random number is drawn from the seed of the configuration and the number of snapshots, so the next
    call depends only on the data set and on what is being calculated.

    Where several calculations may run at the same time, two batches are on their way: while the older one
    runs, the next one is chosen as if all that runs had been found as predicted. The older one is learnt as a
    whole before the one after the next is chosen. So neither the choice nor the order of the data depends on
    how long a calculation takes.

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
        self._departures = Departures(learner.workspace.config)
        self._ramp: Ramp | None = ramp_of(self._config)
        self._in_flight: CallsInFlight
        self._force_field: ForceField
        self._ongoing = OngoingTrajectories(self._workspace.trajectories_path, self._identity())
        self._trajectories: dict[str, TrajectoryState] = {}
        self._goal = Goal(learner)
        self._given = given_frames_of(self._workspace)

    def warnings(self) -> list[str]:
        """Refused frames, and temperatures at which the last dynamics left the trusted region."""
        ramps = ramp_warnings(self._config, self._learner.data.provenances)
        given = () if self._given is None else self._given.warnings
        return [*given, *self._departures.warnings(), *ramps]

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
        config = self._config
        self._progress.start(config.training.max_calculations, "training")
        self._progress.update(self._learner.n_calculations)
        for line in () if self._given is None else self._given.warnings:
            self._progress.log(f"warning: {line}")
        with create_execution(
            config.execution.kind,
            self._engine,
            config.require_engine().model_dump(),
            self._workspace.calculations_path,
            config.execution.model_dump(),
        ) as execution:
            self._in_flight = CallsInFlight(self._learner, self._engine, execution, self._progress)
            self._in_flight.resume()
            return self._train()

    def _train(self) -> tuple[str, MeanErrors | None]:
        n_batches = 1 if self._config.execution.max_parallel == 1 else 2
        while True:
            status, errors = CONVERGED, None
            while self._in_flight.n_batches < n_batches:
                calls, errors, status = self._next_batch()
                if not calls:
                    break
                self._in_flight.add(calls)
            if not self._in_flight.n_batches:
                return status, errors
            self._learn_oldest()

    def _next_batch(self) -> tuple[list[Call], MeanErrors | None, str]:
        """Structures to calculate next; if there are none, why: the status that the training ends with.

        Where calculations run, none may also mean that what they tell must be known first.
        """
        running = self._in_flight.calls
        room = self._config.training.max_calculations - self._learner.n_calculations - len(running)
        initial = self._missing_initial_calls()
        if initial and room > 0:
            return initial[: min(room, self._config.execution.max_parallel)], None, BUDGET
        if running and (room <= 0 or not len(self._learner.data)):
            return [], None, BUDGET
        self._trajectories = self._ongoing.at(self._n_chosen)
        calls, errors, limited = self._one_pass()
        if not calls:
            return [], errors, self._ending(errors, limited=limited)
        if not self._trajectories:
            return calls[: max(room, 0)], errors, BUDGET
        if len(calls) > room:
            return [], errors, BUDGET
        oldest, n_next = len(self._learner.data), self._n_chosen + len(calls)
        self._ongoing.keep(n_next, self._trajectories, oldest=oldest)
        return calls, errors, BUDGET

    def _ending(self, errors: MeanErrors | None, *, limited: bool) -> str:
        """Status of a training that calls for nothing more."""
        if limited:
            return LIMITED
        if self._departures.is_too_narrow:
            return NARROW
        if self._goal.observable is not None:
            return CONVERGED
        limit = self._config.training.criterion.force_error_limit_relative
        return CONVERGED if errors is None or errors.predictive <= limit else ALL_STEPS

    def _identity(self) -> str:
        """Digest of what exploring trajectories belong to."""
        training = self._config.training.deciding({"max_calculations"})
        return digest([self._workspace.basis_identity, training, self._config.seed])

    def _missing_initial_calls(self) -> list[Call]:
        """First structures that nobody has chosen yet; none where the user gave snapshots."""
        data = self._learner.data
        if len(data) > self._learner.n_calculations:
            return []
        torus, known = self._workspace.training_torus, self._n_chosen
        if known >= (self._config.training.first_structures.n or 0):
            return []
        first = initial_displacements(self._workspace, self._learner.guess)
        if self._config.training.initial.kind == "thermal" and self._learner.guess is None:
            missing = first[known:1] if known == 0 else self._thermal(range(known, len(first)))
        else:
            missing = first[known:]
        return [Call(torus, u, temperature, INITIAL) for u, temperature in missing]

    def _thermal(self, numbers: Sequence[int]) -> list[tuple[NDArray[np.float64], float]]:
        """First structures by the phonons of the present force field; none before there is one."""
        if not len(self._learner.data) or not numbers:
            return []
        config, torus, learner = self._config, self._workspace.training_torus, self._learner
        modes = harmonic_modes(learner.fit_data.expansion, learner.force_field().posterior.mean, torus)
        is_quantum = config.training.initial.statistics == "quantum"
        found = []
        for number in numbers:
            temperatures = config.training.temperatures_kelvin
            temperature = temperatures[(number - 1) % len(temperatures)]
            seed = (config.seed, _PHONONS, number)
            u = phonon_displacements(modes, torus, temperature, seed, is_quantum=is_quantum)
            found.append((u, temperature))
        return found

    def _one_pass(self) -> tuple[list[Call], MeanErrors | None, bool]:
        """Explore the temperatures and the ramp in turn, that of the last call first, until one calls."""
        running, known = self._in_flight.calls, self._learner.data.provenances
        self._ramp = ramp_of(self._config, known)
        self._force_field = self._with(self._learner.force_field(), running)
        self._goal.record(self._force_field, self._moment())
        order = self._order(running[-1].provenance if running else known[-1])
        places = [
            *([] if self._given is None else [_FILE]),
            *(order if self._config.training.exploration.dynamics else []),
        ]
        errors: list[MeanErrors] = []
        limited = False
        explored: dict[int, Source] = {}
        choice = RoundCalls(self._learner, self._force_field, self._moment(), self._goal.observable)
        with closing(self._explorations([index for index in places if index != _FILE])) as found:
            for index in places:
                explored[index] = source = self._source(index, found)
                own = [e.errors for e in source.explorations if e.errors is not None]
                others = [k for k in sorted(places) if k != index and self._where(k) != RAMP]
                calls = choice.of(source, partial(self._others, others, explored))
                if calls:
                    return calls, _worst([*errors, *own]), False
                if self._where(index) != RAMP:
                    errors += own
                    limited |= any(e.reason == Decision.EXPANSION_LIMITED.value for e in source.explorations)
        return [], _worst(errors), limited

    def _order(self, last: Provenance) -> list[int]:
        """Numbers of the ramp and the temperatures, those first whose turn it is after the last call."""
        temperatures = self._config.training.temperatures_kelvin
        start = temperatures.index(last.temperature_kelvin) if last.temperature_kelvin in temperatures else 0
        order = [(start + step) % len(temperatures) for step in range(len(temperatures))]
        ramp = [] if self._ramp is None else [len(temperatures)]
        is_their_turn = last.is_of(temperatures[start]) and not (last.reason or INITIAL).startswith(INITIAL)
        return [*order, *ramp] if is_their_turn else [*ramp, *order]

    def _where(self, index: int) -> Where:
        """What dynamics a number stands for."""
        temperatures = self._config.training.temperatures_kelvin
        if index == _FILE:
            return None
        return RAMP if index == len(temperatures) else temperatures[index]

    def _others(self, indices: Sequence[int], explored: Mapping[int, Source]) -> list[Source]:
        return [explored.get(index) or self._sampled(index) for index in indices]

    def _source(self, index: int, found: Iterator[Exploration]) -> Source:
        """Frames of a temperature, the next that is explored, or of the file of the user."""
        seed = (self._config.seed, _FALLBACK, self._n_chosen, index)
        if index == _FILE:
            return self._of_file()
        own = [next(found) for _ in range(self._config.execution.max_parallel)]
        where = self._where(index)
        return Source(self._exploring_torus(), None if where == RAMP else where, own, seed)

    def _of_file(self) -> Source:
        """Frames of the user that nobody has calculated, some of them, and whether they call."""
        given, training, seed = self._given, self._config.training, (self._config.seed, _FILE_FRAMES)
        assert given is not None  # noqa: S101 (asked only where there is one)
        known = [(frame.supercell.torus, frame.displacements) for frame in self._learner.data.rows]
        left = given.left([*known, *(call.structure[:2] for call in self._in_flight.calls)])
        generator = np.random.default_rng((*seed, self._n_chosen))
        n_frames = min(len(left), training.selection.n_pool)
        frames = given.frames[np.sort(generator.permutation(left)[:n_frames])]
        supercell = self._force_field.on(given.torus)
        limit = training.criterion.force_error_limit_relative
        found = judge_frames(supercell, self._criterion(None), frames, self._tested_error(None), limit)
        self._learner.journal.append(
            JUDGED,
            **self._moment(),
            n_frames=n_frames,
            reason=found.reason,
            **({} if found.errors is None else found.errors.to_json()),
        )
        return Source(given.torus, None, [found], (*seed, self._n_chosen))

    def _plan(self, index: int, replica: int) -> ExplorationPlan:
        training, where = self._config.training, self._where(index)
        ramp = self._ramp if where == RAMP else None
        temperature = training.temperatures_kelvin[index] if ramp is None else ramp.from_kelvin
        return ExplorationPlan(
            temperature_kelvin=temperature,
            timestep_femtoseconds=self._config.md.timestep_femtoseconds,
            n_steps=training.n_steps if ramp is None else ramp.n_steps,
            seed=(self._config.seed, _EXPLORATION, self._n_chosen, index, replica),
            tested_error_relative=self._tested_error(where) if ramp is None else 0.0,
            n_pool=training.selection.n_pool,
            complete_pool=ramp is None and selection_of(self._config) != LAST,
            pools_quiet=ramp is None and selection_of(self._config) != LAST,
            displacement_limit_angstrom=self._config.md.displacement_limit_angstrom,
            force_error_limit_relative=training.criterion.force_error_limit_relative,
            start=self._trajectories.get(_trajectory_name(where, replica)),
            barostat=self._barostat(temperature, index, replica),
            ramp=ramp,
        )

    def _barostat(self, temperature: float, index: int, replica: int) -> Barostat | None:
        """How the cell of exploring dynamics moves; None where it does not."""
        config = self._config
        if config.training.exploration.ensemble == "nvt":
            return None
        settling = LIMITS.steps(LIMITS.equilibration_femtoseconds, config.md.timestep_femtoseconds)
        seed = (config.seed, _CELLS, self._n_chosen, index, replica)
        torus = self._exploring_torus()
        return barostat_of(config.md, torus, temperature, adapt_steps=2 * settling, seed=seed)

    def _with(self, force_field: ForceField, calls: Sequence[Call]) -> ForceField:
        """Force field with the errors that it will have once calls are calculated."""
        return with_running(force_field, [call.frame(force_field.expansion) for call in calls])

    def _explorations(self, indices: Sequence[int]) -> Generator[Exploration]:
        """Explore temperatures, all replicas of one after the other, as many at a time as there are cores."""
        replicas = range(self._config.execution.max_parallel)
        plans = [(self._plan(index, replica), index, replica) for index in indices for replica in replicas]
        force_fields = [self._force_field.on(self._exploring_torus()) for _ in plans]
        jobs = [
            partial(explore, force_field, self._criterion(self._where(index)), plan)
            for force_field, (plan, index, _) in zip(force_fields, plans, strict=True)
        ]
        n_threads = self._config.md.n_threads or available_cores()
        found = side_by_side(jobs, n_threads, lambda k, *report: self._show(plans[k][0], *report))
        with closing(found):
            for force_field, (_, index, replica), each in zip(force_fields, plans, found, strict=True):
                where, known = self._where(index), self._learner.data.provenances
                exploration = self._departures.judged(where, replica, each, force_field, known)
                self._note(where, replica, exploration)
                yield exploration

    def _show(self, plan: ExplorationPlan, steps: int, errors: MeanErrors) -> None:
        where = plan.temperature_kelvin if plan.ramp is None else RAMP
        judged = self._goal.error(self._force_field, errors, where)
        kelvin = plan.temperature_kelvin if plan.ramp is None else plan.ramp.kelvin(steps)
        self._progress.update(
            self._learner.n_calculations,
            temperature=f"{format_kelvin(kelvin)} K",
            error=f"{100 * judged.relative:.2f} %",
            limit=f"{100 * judged.error_limit_relative:g} %",
            steps=steps,
            left=self._time_left(),
        )
        self._progress.part(steps, plan.n_steps, "exploration")

    def _note(self, where: Where, replica: int, exploration: Exploration) -> None:
        """Remember and record how a trajectory ended."""
        if exploration.trajectory is not None:
            self._trajectories[_trajectory_name(where, replica)] = exploration.trajectory
        name = named_in_journal(where, exploration)
        self._learner.journal.append(
            "explored",
            **self._moment(),
            **name,
            replica=replica,
            n_steps=exploration.n_steps,
            reason=exploration.reason,
            **({} if exploration.errors is None else exploration.errors.to_json()),
            **({} if exploration.trace is None else exploration.trace.to_json()),
        )
        self._foretell(where, replica, exploration)

    @property
    def _n_chosen(self) -> int:
        """Snapshots that are there or on their way."""
        return len(self._learner.data) + len(self._in_flight.calls)

    def _moment(self) -> dict[str, int]:
        """Name of this moment in the journal."""
        n_running = len(self._in_flight.calls)
        return {"n_snapshots": len(self._learner.data), **({"n_running": n_running} if n_running else {})}

    def _tested_error(self, where: Where) -> float:
        """See `ExplorationPlan`; none is asked for where a calculation of the dynamics is on its way."""
        is_being_tested = any(call.provenance.is_of(where) for call in self._in_flight.calls)
        return 0.0 if is_being_tested else self._learner.tested_error(where)

    def _foretell(self, where: Where, replica: int, exploration: Exploration) -> None:
        """Record how many calculations this dynamics still needs; none are foretold without frames."""
        learner, errors = self._learner, exploration.errors
        if errors is None or exploration.reason in NO_CALL or not len(exploration.pool):
            self._forecast = None
            return
        frames = frames_on(self._force_field.expansion, self._exploring_torus(), exploration.choice)
        judge = self._can_judge_truncation(where)
        found = self._goal.forecast(self._force_field, frames, errors, where, can_judge_truncation=judge)
        self._forecast = found
        if found is None:
            return
        learner.journal.append(
            "forecast",
            **self._moment(),
            **named_in_journal(where, exploration),
            replica=replica,
            **found.to_json(),
        )

    def _criterion(self, where: Where) -> Criterion:
        """For dynamics; None: for the file, whose frames are judged all together."""
        given, judge = self._config.training.criterion, self._can_judge_truncation(where)
        observable = self._goal.observable
        if observable is not None and where not in (None, RAMP):
            known = observable.errors(self._learner.force_field(), self._force_field)
            return create_criterion(given.kind, {**asdict(known), "can_judge_truncation": judge})
        if given.kind not in ("trajectory", "observable") and where is not None:
            section = getattr(given, given.kind.replace("-", "_"))
            return create_criterion(given.kind, {} if section is None else section.model_dump())
        settings = {
            "force_error_limit_relative": given.force_error_limit_relative,
            "can_judge_truncation": judge,
            "has_settled": judge and (where == RAMP or self._learner.has_settled(where)),
            **({"n_average": 1} if where is None else {}),
        }
        return create_criterion("trajectory", settings)

    def _can_judge_truncation(self, where: Where) -> bool:
        """Whether data and predictions of some dynamics tell truncation from lack of data."""
        learner, n_predicted = self._learner, LIMITS.predictions_for_truncation
        is_predicted = learner.is_tested(where, n_predicted, by_dynamics=True)
        return is_predicted and can_judge_truncation(learner.force_field())

    def _exploring_torus(self) -> Torus:
        return self._workspace.supercell(self._config.training.md_supercell)

    def _sampled(self, index: int) -> Source:
        """Frames of a temperature or a file that has not been looked at in this pass."""
        if index == _FILE:
            return self._of_file()
        plan = self._plan(index, 0)
        steps = plan.n_pool * LIMITS.steps(LIMITS.frame_every_femtoseconds, plan.timestep_femtoseconds)
        short = replace(plan, n_steps=steps, tested_error_relative=0.0, seed=(*plan.seed, _SAMPLING))
        force_field = self._force_field.on(self._exploring_torus())
        found = explore(force_field, self._criterion(plan.temperature_kelvin), short, lambda *_: None)
        return Source(self._exploring_torus(), plan.temperature_kelvin, [found], short.seed)

    def _learn_oldest(self) -> None:
        """Wait for the oldest batch, predict it with what is known, then learn it."""
        snapshots, batch = self._in_flight.oldest()
        self._call_seconds.append((time.monotonic() - batch.started_seconds) / len(batch.calls))
        self._learner.learn(
            confirmed(
                self._learner,
                snapshots,
                lambda which, again: self._in_flight.again([batch.calls[i] for i in which], again),
                self._progress,
            )
        )
        self._in_flight.forget_oldest()
        self._forecast = None if self._forecast is None else self._forecast.after(len(batch.calls))
        self._progress.update(self._learner.n_calculations)
        for snapshot in self._learner.data.snapshots[-len(batch.calls) :]:
            self._progress.log(describe_calculation(snapshot.provenance))

    def _time_left(self) -> str:
        """Calculations still needed by the last forecast, and their time."""
        if self._forecast is None:
            return "?"
        number = self._forecast.n_calculations
        if not number or not self._call_seconds:
            return str(self._forecast)
        seconds = number * sum(self._call_seconds) / len(self._call_seconds)
        return f"{self._forecast} calculations, {seconds / 60:.1f} min"


def _trajectory_name(where: Where, replica: int) -> str:
    return f"{RAMP if where in (RAMP, None) else f'{format_kelvin(float(where))}K'}-{replica}"


def _worst(errors: Sequence[MeanErrors]) -> MeanErrors | None:
    return max(errors, key=lambda e: e.predictive, default=None)
