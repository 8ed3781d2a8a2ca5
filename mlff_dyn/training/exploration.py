"""Explore configuration space by molecular dynamics on the force field until the criterion calls."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.kernels.dynamics import Dynamics
from mlff_dyn.md.start import displacement_limit, start_at_rest_positions
from mlff_dyn.training.criteria.decision import MOST_RECENT, Decision, History
from mlff_dyn.training.criteria.errors import ErrorSums, FrameErrors, MeanErrors, frame_errors
from mlff_dyn.training.limits import LIMITS, DecisionLimits
from mlff_dyn.training.trace import Trace, TraceRecorder
from mlff_dyn.training.trusted_region import Motion, TrustedRegion, trusted_region

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mlff_dyn.kernels.dynamics import MdRun, MdState
    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.model.force_field import SupercellForceField
    from mlff_dyn.training.criteria.decision import Criterion

LEFT_TRUSTED_REGION = "left the trusted region"
QUIET = "no call"
UNTESTED = "no calculation has tested this temperature yet"
_LOOKED_BACK = 20
"""Frames among which a trajectory that left looks for its last sound one."""


@dataclass(frozen=True, eq=False)
class Exploration:
    """How an exploring trajectory ended.

    Attributes
    ----------
    reason : str
        `QUIET`, `UNTESTED`, `LEFT_TRUSTED_REGION` or the value of a `Decision`.
    displacements : ndarray, shape (n_frames, n_atoms, 3)
        Frames to label, Å: candidates, and the one at which the trajectory ended if it may be labelled.
    pool : ndarray, shape (n_frames, n_atoms, 3)
        Frames that may be labelled instead, Å; empty without a call.
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
    """

    reason: str
    displacements: NDArray[np.float64]
    pool: NDArray[np.float64]
    n_steps: int
    errors: MeanErrors | None
    stop: str | None = None
    trajectory: TrajectoryState | None = None
    trace: Trace | None = None


@dataclass(frozen=True, eq=False)
class TrajectoryState:
    """A trajectory that refits interrupt.

    Attributes
    ----------
    md : MdState
    n_steps : int                      steps made so far
    recent, after_refits : tuple of float      see `History`
    """

    md: MdState
    n_steps: int
    recent: tuple[float, ...] = ()
    after_refits: tuple[float, ...] = ()


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
    must_label : bool
        Label a frame even if the criterion does not call, as no calculation has tested the model here yet.
    n_pool : int
        Frames to choose from at a call, at most.
    complete_pool : bool
        Go on after a call until there are so many.
    displacement_limit_angstrom : float or None
        Given by the user; None: see `trusted_region`.
    large_error_relative : float
        Force error over the force of a frame at which dynamics that left should have called.
    limits : DecisionLimits
    start : TrajectoryState or None
        Of a trajectory that goes on; None: a new one.
    """

    temperature_kelvin: float
    timestep_femtoseconds: float
    n_steps: int
    seed: tuple[int, ...]
    must_label: bool
    n_pool: int = 50
    complete_pool: bool = False
    displacement_limit_angstrom: float | None = None
    large_error_relative: float = 0.3
    limits: DecisionLimits = LIMITS
    start: TrajectoryState | None = None


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
    limits, timestep = plan.limits, plan.timestep_femtoseconds
    motion = Motion(plan.temperature_kelvin, timestep, plan.n_steps, plan.displacement_limit_angstrom)
    region = trusted_region(force_field, motion, limits)
    region.check_timestep(timestep)
    farthest, torus = region.displacement_limit_angstrom, force_field.torus
    dynamics = exploring_dynamics(torus, plan.temperature_kelvin, timestep, limits, farthest=farthest)
    stride = criterion.every_steps or limits.steps(limits.frame_every_femtoseconds, timestep)
    watch = _Watch(force_field, criterion, plan, dynamics, stride, region)
    if plan.start is not None:
        return watch.run(plan.start, on_frame)
    state = start_at_rest_positions(torus.masses, plan.temperature_kelvin, plan.seed)
    if criterion.goes_on:
        return watch.run(TrajectoryState(state, 0), on_frame)
    equilibration = max(stride, limits.steps(limits.equilibration_femtoseconds, timestep))
    run = force_field.kernel.run(state, dynamics, equilibration, stride)
    made = equilibration if run.stopped_step is None else run.stopped_step
    stop = region.describe_stop(run, made, torus)
    if stop is not None:
        last = watch.way_out(run.displacements[region.is_usual(run)])
        return Exploration(LEFT_TRUSTED_REGION, last, _no_frames(torus.n_atoms), made, None, stop)
    return watch.run(TrajectoryState(run.state, made), on_frame)


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

    force_field: SupercellForceField
    criterion: Criterion
    plan: ExplorationPlan
    dynamics: Dynamics
    stride: int
    region: TrustedRegion

    def run(self, start: TrajectoryState, on_frame: Callable[[int, MeanErrors], None]) -> Exploration:
        """Go on from where a trajectory is."""
        known = 0 if self.plan.start is None else start.n_steps
        record = _Record(start, known, self.stride, self.plan.seed, keeps_all=not self.criterion.goes_on)
        while record.made < self.plan.n_steps or not record.sums.n_frames:
            run, steps = self._next(record.state, self.stride)
            record.made += steps
            stop = self.region.describe_stop(run, record.made, self.force_field.torus)
            if stop is not None:
                return self._stopped(record, stop)
            kinetic = float(run.kinetic_energies[-1])
            record.add(run.state, _frame_errors(self.force_field, run.state.displacements), kinetic)
            history = record.history()
            on_frame(record.made, history.mean)
            if record.made > self.plan.n_steps:
                break
            decision = self.criterion.decide(history)
            if decision is Decision.CANDIDATE:
                record.keep_candidate()
                continue
            reason = self._reason(decision, record.sums.n_frames)
            if reason is not None:
                return self._called(reason, record)
        must = self.plan.must_label and not self.criterion.goes_on
        return self._called(UNTESTED if must else QUIET, record)

    def _stopped(self, record: _Record, stop: str) -> Exploration:
        """End outside the trusted region; a trajectory that goes on goes back to its last sound frame."""
        states, n_atoms = record.states[-_LOOKED_BACK:], self.force_field.torus.n_atoms
        kept = np.array([each.displacements for each in states])
        sound = self.way_out(kept)
        back = None
        if self.criterion.goes_on and len(sound):
            seed = (*self.plan.seed, record.made)
            fresh = start_at_rest_positions(self.dynamics.masses, self.plan.temperature_kelvin, seed)
            back = record.trajectory(replace(fresh, displacements=sound[0]))
        errors = record.sums.mean() if record.sums.n_frames else None
        frames = np.array([*record.candidates, *sound]).reshape(-1, n_atoms, 3)
        nothing = _no_frames(n_atoms)
        return Exploration(
            LEFT_TRUSTED_REGION, frames, nothing, record.n_steps, errors, stop, back, record.trace.binned()
        )

    def way_out(self, frames: NDArray[np.float64]) -> NDArray[np.float64]:
        """Frame to label of a trajectory that left, shape (1, n_atoms, 3); none where no frame is sound.

        It is the first whose error is large, or else the last: on its way out a crystal passes what no
        thermal motion visits and no expansion about the sites describes.
        """
        sound = frames[is_sound(frames, self.dynamics, self.plan.limits)]
        for k, frame in enumerate(sound):
            errors = _frame_errors(self.force_field, frame)
            if errors.predictive > self.plan.large_error_relative * errors.force:
                return np.asarray(sound[k : k + 1])
        return np.asarray(sound[-1:])

    def _called(self, reason: str, record: _Record) -> Exploration:
        """End by a decision, or without one after all steps."""
        nothing = _no_frames(self.force_field.torus.n_atoms)
        found = Exploration(
            reason, nothing, nothing, record.n_steps, record.sums.mean(), trace=record.trace.binned()
        )
        if reason in (QUIET, Decision.EXPANSION_LIMITED.value):
            return found
        found = replace(found, displacements=np.array([*record.candidates, record.state.displacements]))
        if self.criterion.goes_on:
            return replace(found, trajectory=record.trajectory(record.state))
        pool, more = self._pool(record.state, [each.displacements for each in record.states])
        return replace(found, pool=pool, n_steps=record.n_steps + more)

    def _pool(self, state: MdState, frames: list[NDArray[np.float64]]) -> tuple[NDArray[np.float64], int]:
        """Sound frames evenly spaced over the trajectory, which goes on as far as needed, and its steps."""
        wanted, made = self.plan.n_pool, 0
        missing = max(0, wanted - len(frames)) if self.plan.complete_pool else 0
        found = list(frames)
        for _ in range(missing):
            run, steps = self._next(state, self.stride)
            state, made = run.state, made + steps
            if self._has_left(run):
                break
            found.append(state.displacements)
        sound = np.array(found)[is_sound(np.array(found), self.dynamics, self.plan.limits)]
        places = np.linspace(0, len(sound) - 1, min(wanted, len(sound))).round().astype(int)
        return np.asarray(sound[places]), made

    def _next(self, state: MdState, n_steps: int) -> tuple[MdRun, int]:
        """Make steps, fewer if the trajectory leaves the trusted region: their last piece, and how many."""
        made = 0
        while True:
            length = min(self.plan.limits.most_steps_unwatched, n_steps - made)
            run = self.force_field.kernel.run(state, self.dynamics, length, length)
            made += length if run.stopped_step is None else run.stopped_step
            if made == n_steps or self._has_left(run):
                return run, made
            state = run.state

    def _has_left(self, run: MdRun) -> bool:
        return run.stopped_step is not None or self.region.escape(run) is not None

    def _reason(self, decision: Decision, n_frames: int) -> str | None:
        """Why to stop here, if at all."""
        if decision is not Decision.GO_ON:
            return str(decision.value)
        must = self.plan.must_label and not self.criterion.goes_on
        return UNTESTED if must and n_frames >= self.plan.limits.frames_before_test else None


class _Record:
    """What a trajectory has come to since the last refit, and what it remembers of before."""

    def __init__(
        self, start: TrajectoryState, known: int, stride: int, seed: tuple[int, ...], *, keeps_all: bool
    ) -> None:
        self.made, self._known = start.n_steps, known
        self.states = [start.md]
        self.candidates: list[NDArray[np.float64]] = []
        self.sums = ErrorSums()
        self.trace = TraceRecorder()
        self._start, self._stride, self._seed, self._keeps_all = start, stride, seed, keeps_all
        self._recent = deque(start.recent, maxlen=MOST_RECENT)
        self._first: float | None = None
        self._since_candidate = 0
        self._last: FrameErrors | None = None

    @property
    def n_steps(self) -> int:
        """Steps made since the last refit, those before the first frame included."""
        return self.made - self._known

    @property
    def state(self) -> MdState:
        """Where the trajectory is."""
        return self.states[-1]

    def add(self, state: MdState, errors: FrameErrors, kinetic_energy: float) -> None:
        """Take note of a frame."""
        self.trace.add(self.n_steps, errors, kinetic_energy, len(state.displacements))
        self.states.append(state)
        if not self._keeps_all:
            del self.states[:-_LOOKED_BACK]
        self.sums.add(errors)
        self._recent.append(errors.largest_epistemic)
        self._first = errors.largest_epistemic if self._first is None else self._first
        self._since_candidate += 1
        self._last = errors

    def keep_candidate(self) -> None:
        """Let the present frame be a candidate."""
        self.candidates.append(self.state.displacements)
        self._since_candidate = 0

    def history(self) -> History:
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
        )

    @property
    def _after_refits(self) -> tuple[float, ...]:
        return (*self._start.after_refits, *(() if self._first is None else (self._first,)))

    def trajectory(self, md: MdState) -> TrajectoryState:
        """State from which the trajectory goes on."""
        return TrajectoryState(md, self.made, tuple(self._recent), self._after_refits)


def _frame_errors(force_field: SupercellForceField, displacements: NDArray[np.float64]) -> FrameErrors:
    forces = force_field.vibrational_forces(displacements)
    return frame_errors(forces, force_field.force_errors(displacements), displacements)


def _no_frames(n_atoms: int) -> NDArray[np.float64]:
    return np.empty((0, n_atoms, 3))


def is_sound(
    frames: NDArray[np.float64], dynamics: Dynamics, limits: DecisionLimits = LIMITS
) -> NDArray[np.bool_]:
    """Whether displacements are well inside the limit: exploded frames are never labelled."""
    largest = np.linalg.norm(frames, axis=2).max(axis=1, initial=0.0)
    return np.asarray(largest < limits.label_fraction * dynamics.displacement_limit)
