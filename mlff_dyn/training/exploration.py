"""Explore configuration space by molecular dynamics on the force field until the criterion calls."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.kernels.dynamics import Dynamics
from mlff_dyn.md.start import displacement_limit, start_at_rest_positions
from mlff_dyn.store.provenance import LEFT_TRUSTED_REGION
from mlff_dyn.training.criteria.decision import MOST_RECENT, Decision, History
from mlff_dyn.training.criteria.errors import ErrorSums, FrameErrors, MeanErrors, RecentErrors
from mlff_dyn.training.limits import LIMITS, DecisionLimits
from mlff_dyn.training.trace import Trace, TraceRecorder
from mlff_dyn.training.trusted_region import Motion, trusted_region
from mlff_dyn.training.walk import Frames, Place, Walk, join_frames, no_frames

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mlff_dyn.kernels.dynamics import MdState
    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.md.barostat import Barostat, CellState
    from mlff_dyn.model.force_field import SupercellForceField
    from mlff_dyn.training.criteria.decision import Criterion
    from mlff_dyn.training.ramp import Ramp
    from mlff_dyn.training.walk import Stretch

QUIET = "no call"
UNTESTED = "no calculation has tested this temperature yet"
UNCONFIRMED = "no calculation has confirmed so small an error here yet"
_LOOKED_BACK = 20
"""Frames among which a trajectory that left looks for its last sound one."""


@dataclass(frozen=True, eq=False)
class Exploration:
    """How an exploring trajectory ended.

    Attributes
    ----------
    reason : str
        `QUIET`, `UNTESTED`, `UNCONFIRMED`, `LEFT_TRUSTED_REGION` or the value of a `Decision`.
    to_label : Frames
        Candidates, and the frame at which the trajectory ended if it may be labelled.
    choice : Frames
        Frames that may be labelled instead; empty without a call unless the plan asks for them.
    n_steps : int
        MD steps made.
    errors : MeanErrors or None
        Averages over the frames; None without frames.
    stop : str or None
        How the trajectory left the trusted region.
    trajectory : TrajectoryState or None
        Where a trajectory that goes on after the next refit is now.
    trace : Trace or None
        Errors and temperature along the way; None without frames.
    ramped_kelvin : tuple of (float, float), or None
        Temperatures of the thermostat at the beginning and the end of a ramp; None: constant.
    """

    reason: str
    to_label: Frames
    choice: Frames
    n_steps: int
    errors: MeanErrors | None
    stop: str | None = None
    trajectory: TrajectoryState | None = None
    trace: Trace | None = None
    ramped_kelvin: tuple[float, float] | None = None

    @property
    def displacements(self) -> NDArray[np.float64]:
        """Of the frames to label, shape (n_frames, n_atoms, 3), Å."""
        return self.to_label.displacements

    @property
    def pool(self) -> NDArray[np.float64]:
        """Displacements of the frames to choose from, shape (n_frames, n_atoms, 3), Å."""
        return self.choice.displacements


@dataclass(frozen=True, eq=False)
class TrajectoryState:
    """A trajectory that refits interrupt.

    Attributes
    ----------
    md : MdState
    n_steps : int                      steps made so far
    recent, after_refits : tuple of float      see `History`
    cell : CellState or None           None: the cell does not move
    """

    md: MdState
    n_steps: int
    recent: tuple[float, ...] = ()
    after_refits: tuple[float, ...] = ()
    cell: CellState | None = None


@dataclass(frozen=True)
class ExplorationPlan:
    """What to run.

    Attributes
    ----------
    temperature_kelvin : float
    timestep_femtoseconds : float
    n_steps : int
        Steps without a call after which the trajectory counts as quiet.
    seed : tuple of int
    tested_error_relative : float
        Force error that the last calculation here found, as expected; infinite where none did. Where it is
        above the limit and far above the mean error, a frame is labelled even if the criterion does not call.
    n_pool : int
        Frames to choose from at a call, at most.
    complete_pool : bool
        Go on after a call until there are so many.
    pools_quiet : bool
        Keep a pool of a trajectory that calls for nothing, too.
    displacement_limit_angstrom : float or None
        Given by the user; None: see `trusted_region`.
    force_error_limit_relative : float
        Mean error that is asked for. Dynamics that left should have called at ``sudden_factor`` times that.
    limits : DecisionLimits
    start : TrajectoryState or None
        Of a trajectory that goes on; None: a new one.
    barostat : Barostat or None
        How the cell moves; None: it does not.
    ramp : Ramp or None
        How the temperature rises from the given one; the criterion then sees the last errors alone, and the
        frames to choose from are those since the first of them.
    """

    temperature_kelvin: float
    timestep_femtoseconds: float
    n_steps: int
    seed: tuple[int, ...]
    tested_error_relative: float
    n_pool: int = 50
    complete_pool: bool = False
    pools_quiet: bool = False
    displacement_limit_angstrom: float | None = None
    force_error_limit_relative: float = 0.1
    limits: DecisionLimits = LIMITS
    start: TrajectoryState | None = None
    barostat: Barostat | None = None
    ramp: Ramp | None = None

    @property
    def highest_kelvin(self) -> float:
        """Temperature at its end."""
        return self.temperature_kelvin if self.ramp is None else self.ramp.to_kelvin


def why_untested(
    errors: MeanErrors,
    tested_error_relative: float,
    force_error_limit_relative: float,
    limits: DecisionLimits = LIMITS,
) -> str | None:
    """Why a calculation is needed to confirm errors; None where one has.

    That one found an error within the limit, or hardly more than is expected now.

    Parameters
    ----------
    errors : MeanErrors
    tested_error_relative, force_error_limit_relative : float
        See `ExplorationPlan`.
    limits : DecisionLimits
    """
    enough = max(limits.confirmed_factor * errors.predictive, force_error_limit_relative)
    if tested_error_relative <= enough:
        return None
    return UNTESTED if np.isinf(tested_error_relative) else UNCONFIRMED


def explore(
    force_field: SupercellForceField,
    criterion: Criterion,
    plan: ExplorationPlan,
    on_frame: Callable[[int, MeanErrors], None],
) -> Exploration:
    """Run Langevin dynamics from the reference structure until the criterion calls or all steps are made.

    Parameters
    ----------
    force_field : SupercellForceField
    criterion : Criterion
    plan : ExplorationPlan
    on_frame : callable
        Receives the steps made and the averaged errors after each frame.
    """
    found = _explore(force_field, criterion, plan, on_frame)
    if plan.ramp is None:
        return found
    before = 0 if plan.start is None else plan.start.n_steps
    return replace(found, ramped_kelvin=plan.ramp.stretch(before, found.n_steps))


def _explore(
    force_field: SupercellForceField,
    criterion: Criterion,
    plan: ExplorationPlan,
    on_frame: Callable[[int, MeanErrors], None],
) -> Exploration:
    limits, timestep = plan.limits, plan.timestep_femtoseconds
    motion = Motion(plan.highest_kelvin, timestep, plan.n_steps, plan.displacement_limit_angstrom)
    region = trusted_region(force_field, motion, limits)
    region.check_timestep(timestep)
    if plan.barostat is not None:
        region = replace(region, least_potential_energy=-np.inf)
    farthest, torus = region.displacement_limit_angstrom, force_field.torus
    dynamics = exploring_dynamics(torus, plan.temperature_kelvin, timestep, limits, farthest=farthest)
    stride = criterion.every_steps or limits.steps(limits.frame_every_femtoseconds, timestep)
    walk = Walk(
        force_field, dynamics, region, stride=stride, limits=limits, barostat=plan.barostat, ramp=plan.ramp
    )
    n_parameters = force_field.force_field.expansion.n_parameters
    between = limits.steps_between_errors(n_parameters, torus.n_atoms, plan.n_steps)
    if plan.ramp is not None:
        between = min(between, plan.ramp.steps_between_errors)
        region = region.at(plan.temperature_kelvin)
    watch = _Watch(walk, criterion, plan, torus.n_atoms, between)
    if plan.start is not None:
        return watch.run(plan.start, on_frame)
    state = start_at_rest_positions(torus.masses, plan.temperature_kelvin, plan.seed)
    if criterion.goes_on:
        return watch.run(_begun(walk.start(state, 0)), on_frame)
    equilibration = max(stride, limits.steps(limits.equilibration_femtoseconds, timestep))
    run = force_field.kernel.run(state, dynamics, equilibration, stride)
    made = equilibration if run.stopped_step is None else run.stopped_step
    stop = region.describe_stop(run, made, torus)
    frames, place = Frames(run.displacements[region.is_usual(run)]), walk.start(run.state, made)
    if stop is None and plan.barostat is not None:
        stretch = walk.go(place, max(1, equilibration // stride))
        stop, frames, place = stretch.stop, join_frames([_at_rest(frames), stretch.frames]), stretch.place
    if stop is not None:
        last, made = watch.way_out(frames), place.n_steps
        return Exploration(LEFT_TRUSTED_REGION, last, no_frames(torus.n_atoms), made, None, stop)
    return watch.run(_begun(place), on_frame)


def _begun(place: Place) -> TrajectoryState:
    return TrajectoryState(place.md, place.n_steps, cell=place.cell)


def _at_rest(frames: Frames) -> Frames:
    """Frames of a cell that has not moved yet."""
    return Frames(frames.displacements, np.zeros((len(frames), 3, 3)))


def exploring_dynamics(
    torus: Torus,
    temperature_kelvin: float,
    timestep_femtoseconds: float,
    limits: DecisionLimits = LIMITS,
    *,
    farthest: float | None = None,
) -> Dynamics:
    """Langevin dynamics that ends where an expansion cannot be trusted any more: beyond ``farthest`` (Å)."""
    return Dynamics(
        masses=torus.masses,
        timestep_fs=timestep_femtoseconds,
        friction_per_fs=limits.friction_per_femtosecond,
        temperature_kelvin=temperature_kelvin,
        displacement_limit=farthest or displacement_limit(torus.crystal),
    )


@dataclass(frozen=True, eq=False)
class _Watch:
    """The part of an exploration that the criterion follows frame by frame."""

    walk: Walk
    criterion: Criterion
    plan: ExplorationPlan
    n_atoms: int
    steps_between_errors: int

    def run(self, start: TrajectoryState, on_frame: Callable[[int, MeanErrors], None]) -> Exploration:
        """Go on from where a trajectory is."""
        known = 0 if self.plan.start is None else start.n_steps
        stride = self.walk.stride
        goes_on, ramp = self.criterion.goes_on, self.plan.ramp
        n_errors = None if ramp is None or goes_on else self.plan.limits.frames_before_test
        record = _Record(start, known, stride, self.plan.seed, keeps_all=not goes_on, n_errors=n_errors)
        if self.plan.start is not None and start.n_steps >= self.plan.n_steps:
            kinetic = record.place.kinetic_energy(self.walk.dynamics.masses)
            record.judge(self.walk.errors(record.place.frame, 0), kinetic)
        while record.place.n_steps < self.plan.n_steps or not record.sums.n_frames:
            stretch = self.walk.go(record.place, self._frames_ahead(record))
            record.walk(stretch)
            if stretch.stop is not None:
                return self._stopped(record, stretch.stop)
            record.judge(self.walk.errors(stretch.frames, -1), stretch.kinetic_energy)
            allowance = 1.0 if ramp is None else ramp.allowance(record.place.n_steps)
            history = record.history(allowance)
            on_frame(record.place.n_steps, history.mean)
            if record.place.n_steps > self.plan.n_steps:
                break
            decision = self.criterion.decide(history)
            if decision is Decision.CANDIDATE:
                record.keep_candidate()
                continue
            reason = self._reason(decision, record)
            if reason is not None:
                return self._called(reason, record)
        return self._called(self._untested(record) or QUIET, record)

    def _frames_ahead(self, record: _Record) -> int:
        """Frames to the next one whose error is found, such that errors cost little beside the steps."""
        is_early = record.sums.n_frames < self.plan.limits.frames_before_test
        if self.criterion.every_steps is not None or is_early:
            return 1
        left = -(-(self.plan.n_steps - record.place.n_steps) // self.walk.stride)
        return max(1, min(left, self.steps_between_errors // self.walk.stride))

    def _stopped(self, record: _Record, stop: str) -> Exploration:
        """End outside the trusted region; a trajectory that goes on goes back to its last sound frame."""
        sound = self.way_out(record.frames[-_LOOKED_BACK:])
        back = None
        if self.criterion.goes_on and len(sound):
            seed = (*self.plan.seed, record.place.n_steps)
            masses = self.walk.dynamics.masses
            fresh = start_at_rest_positions(masses, self.walk.kelvin(record.place.n_steps), seed)
            moved = replace(fresh, displacements=sound.displacements[0])
            cell, strain = record.place.cell, sound.strain(0)
            if cell is not None and strain is not None:
                cell = replace(cell, strain=strain)
            back = record.trajectory(replace(record.place, md=moved, cell=cell))
        errors = record.sums.mean() if record.sums.n_frames else None
        return Exploration(
            LEFT_TRUSTED_REGION,
            join_frames([*record.candidates, sound]),
            no_frames(self.n_atoms),
            record.n_steps,
            errors,
            stop,
            back,
            record.trace.binned(),
        )

    def way_out(self, frames: Frames) -> Frames:
        """Frame to label of a trajectory that left, one; none where no frame is sound.

        It is the first whose error is large, or else the last: on its way out a crystal passes what no
        thermal motion visits and no expansion about the sites describes.
        """
        sound = frames[self.walk.is_sound(frames)]
        large = self.plan.limits.sudden_factor * self.plan.force_error_limit_relative
        for k in range(len(sound)):
            errors = self.walk.errors(sound, k)
            if errors.predictive > large * errors.force:
                return sound[k : k + 1]
        return sound[-1:]

    def _called(self, reason: str, record: _Record) -> Exploration:
        """End by a decision, or without one after all steps."""
        nothing = no_frames(self.n_atoms)
        found = Exploration(
            reason, nothing, nothing, record.n_steps, record.sums.mean(), trace=record.trace.binned()
        )
        is_quiet = reason in (QUIET, Decision.EXPANSION_LIMITED.value)
        if is_quiet and self.criterion.goes_on:
            return replace(found, trajectory=record.trajectory(record.place))
        if is_quiet and not self.plan.pools_quiet:
            return found
        if is_quiet:
            return replace(found, choice=self._spread(record.frames))
        found = replace(found, to_label=join_frames([*record.candidates, record.frames[-1:]]))
        if self.criterion.goes_on:
            return replace(found, trajectory=record.trajectory(record.place))
        missing = self.plan.n_pool - len(record.pool)
        if missing <= 0 or not self.plan.complete_pool:
            return replace(found, choice=self._spread(record.pool))
        more = self.walk.go(record.place, missing)
        made = more.place.n_steps - record.place.n_steps
        pool = self._spread(join_frames([record.frames, more.frames]))
        return replace(found, choice=pool, n_steps=record.n_steps + made)

    def _spread(self, frames: Frames) -> Frames:
        """Sound frames among the given ones, evenly spaced, as many as the pool holds."""
        sound = frames[self.walk.is_sound(frames)]
        places = np.linspace(0, len(sound) - 1, min(self.plan.n_pool, len(sound))).round().astype(int)
        return sound[places]

    def _reason(self, decision: Decision, record: _Record) -> str | None:
        """Why to stop here, if at all."""
        if decision is not Decision.GO_ON:
            return str(decision.value)
        is_known = record.sums.n_frames >= self.plan.limits.frames_before_test
        return self._untested(record) if is_known else None

    def _untested(self, record: _Record) -> str | None:
        """Why to label a frame of a trajectory that does not call, if at all."""
        if self.criterion.goes_on:
            return None
        plan, errors = self.plan, record.sums.mean()
        return why_untested(errors, plan.tested_error_relative, plan.force_error_limit_relative, plan.limits)


class _Record:
    """What a trajectory has come to since the last refit, and what it remembers of before."""

    def __init__(
        self,
        start: TrajectoryState,
        known: int,
        stride: int,
        seed: tuple[int, ...],
        *,
        keeps_all: bool,
        n_errors: int | None = None,
    ) -> None:
        self.place, self._known = Place(start.md, start.n_steps, start.cell), known
        self.candidates: list[Frames] = []
        self.sums = ErrorSums() if n_errors is None else RecentErrors(n_errors)
        self._lengths: deque[int] = deque(maxlen=n_errors)
        self.trace = TraceRecorder()
        self._start, self._stride, self._seed, self._keeps_all = start, stride, seed, keeps_all
        self._parts = [self.place.frame]
        self._recent = deque(start.recent, maxlen=MOST_RECENT)
        self._first: float | None = None
        self._since_candidate = 0
        self._last: FrameErrors | None = None

    @property
    def n_steps(self) -> int:
        """Steps made since the last refit, those before the first frame included."""
        return self.place.n_steps - self._known

    @property
    def frames(self) -> Frames:
        """Where the trajectory was, its start the first."""
        self._parts = [join_frames(self._parts)]
        return self._parts[0]

    @property
    def pool(self) -> Frames:
        """Frames that the mean error is one of."""
        is_recent = self._lengths.maxlen is not None
        return self.frames[-sum(self._lengths) :] if is_recent else self.frames

    def walk(self, stretch: Stretch) -> None:
        """Go along a stretch."""
        self.place = stretch.place
        self._lengths.append(len(stretch.frames))
        self._parts.append(stretch.frames)
        if not self._keeps_all and len(self._parts) > 2 * _LOOKED_BACK:
            self._parts = [self.frames[-_LOOKED_BACK:]]

    def judge(self, errors: FrameErrors, kinetic_energy: float) -> None:
        """Take note of the errors of the last frame."""
        n_atoms = len(self.place.md.displacements)
        self.trace.add(self.n_steps, errors, kinetic_energy, n_atoms)
        self.sums.add(errors)
        self._recent.append(errors.largest_epistemic)
        self._first = errors.largest_epistemic if self._first is None else self._first
        self._since_candidate += 1
        self._last = errors

    def keep_candidate(self) -> None:
        """Let the present frame be a candidate."""
        self.candidates.append(self._parts[-1][-1:])
        self._since_candidate = 0

    def history(self, allowance: float) -> History:
        """What the criterion sees."""
        assert self._last is not None  # noqa: S101 (it is asked after a frame)
        return History(
            last=self._last,
            mean=self.sums.mean(),
            n_frames=self.sums.n_frames,
            steps_each=self._stride,
            n_candidates=len(self.candidates),
            frames_since_candidate=self._since_candidate,
            recent=tuple(self._recent) if not self._keeps_all else (),
            after_refits=self._after_refits,
            seed=self._seed,
            allowance=allowance,
        )

    @property
    def _after_refits(self) -> tuple[float, ...]:
        return (*self._start.after_refits, *(() if self._first is None else (self._first,)))

    def trajectory(self, place: Place) -> TrajectoryState:
        """State from which the trajectory goes on."""
        return TrajectoryState(place.md, place.n_steps, tuple(self._recent), self._after_refits, place.cell)
