"""Explore configuration space by molecular dynamics on the force field until the criterion calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.kernels.dynamics import Dynamics
from mlff_dyn.md.start import displacement_limit, start_at_rest_positions
from mlff_dyn.training.criteria import (
    Decision,
    ErrorHistory,
    FrameErrors,
    MeanErrors,
    frame_errors,
    mean_errors,
)
from mlff_dyn.training.limits import LIMITS, DecisionLimits
from mlff_dyn.training.trusted_region import Motion, TrustedRegion, trusted_region

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mlff_dyn.kernels.dynamics import MdState
    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.model.force_field import SupercellForceField
    from mlff_dyn.training.criteria import Criterion

LEFT_TRUSTED_REGION = "left the trusted region"
QUIET = "no call"
UNTESTED = "no calculation has tested this temperature yet"


@dataclass(frozen=True, eq=False)
class Exploration:
    """How an exploring trajectory ended.

    Attributes
    ----------
    reason : str
        `QUIET`, `UNTESTED`, `LEFT_TRUSTED_REGION` or the value of a `Decision`.
    displacements : ndarray, shape (n_atoms, 3), or None
        Last frame that may be labelled, Å; None if nothing is to be labelled.
    pool : ndarray, shape (n_frames, n_atoms, 3)
        Frames that may be labelled instead, Å; empty without a call.
    n_steps : int
        MD steps made.
    errors : MeanErrors or None
        Averages over the frames; None without frames.
    stop : str or None
        How the trajectory left the trusted region.
    """

    reason: str
    displacements: NDArray[np.float64] | None
    pool: NDArray[np.float64]
    n_steps: int
    errors: MeanErrors | None
    stop: str | None = None


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
    limits : DecisionLimits
    """

    temperature_kelvin: float
    timestep_femtoseconds: float
    n_steps: int
    seed: tuple[int, ...]
    must_label: bool
    n_pool: int = 50
    complete_pool: bool = False
    displacement_limit_angstrom: float | None = None
    limits: DecisionLimits = LIMITS


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
    torus = force_field.torus
    limits, timestep = plan.limits, plan.timestep_femtoseconds
    motion = Motion(plan.temperature_kelvin, timestep, plan.n_steps, plan.displacement_limit_angstrom)
    region = trusted_region(force_field, motion, limits)
    region.check_timestep(timestep)
    farthest = region.displacement_limit_angstrom
    dynamics = exploring_dynamics(torus, plan.temperature_kelvin, timestep, limits, farthest=farthest)
    stride = limits.steps(limits.frame_every_femtoseconds, timestep)
    equilibration = max(stride, limits.steps(limits.equilibration_femtoseconds, timestep))
    state = start_at_rest_positions(torus.masses, plan.temperature_kelvin, plan.seed)
    run = force_field.kernel.run(state, dynamics, equilibration, stride)
    made = equilibration if run.stopped_step is None else run.stopped_step
    stop = region.describe_stop(run, made, torus)
    if stop is not None:
        last = _last_sound(run.displacements[region.is_usual(run)], dynamics, limits)
        return Exploration(LEFT_TRUSTED_REGION, last, _no_frames(torus.n_atoms), made, None, stop)
    watch = _Watch(force_field, criterion, plan, dynamics, stride, region)
    return watch.run(run.state, made, on_frame)


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

    def run(self, state: MdState, made: int, on_frame: Callable[[int, MeanErrors], None]) -> Exploration:
        """Go on from a state after ``made`` steps."""
        frames = [state.displacements]
        nothing = _no_frames(self.force_field.torus.n_atoms)
        history = ErrorHistory()
        errors: MeanErrors | None = None
        while made < self.plan.n_steps or errors is None:
            run = self.force_field.kernel.run(state, self.dynamics, self.stride, self.stride)
            steps = self.stride if run.stopped_step is None else run.stopped_step
            stop = self.region.describe_stop(run, made + steps, self.force_field.torus)
            if stop is not None:
                sound = _last_sound(np.array(frames[-20:]), self.dynamics, self.plan.limits)
                return Exploration(LEFT_TRUSTED_REGION, sound, nothing, made + steps, errors, stop)
            state = run.state
            made += steps
            frames.append(state.displacements)
            history.append(_frame_errors(self.force_field, state.displacements))
            errors = mean_errors(history)
            on_frame(made, errors)
            reason = self._reason(history)
            if reason == Decision.EXPANSION_LIMITED.value:
                return Exploration(reason, None, nothing, made, errors)
            if reason is not None:
                pool, more = self._pool(state, frames)
                return Exploration(reason, state.displacements, pool, made + more, errors)
        if self.plan.must_label:
            pool, more = self._pool(state, frames)
            return Exploration(UNTESTED, state.displacements, pool, made + more, errors)
        return Exploration(QUIET, None, nothing, made, errors)

    def _pool(self, state: MdState, frames: list[NDArray[np.float64]]) -> tuple[NDArray[np.float64], int]:
        """Sound frames evenly spaced over the trajectory, which goes on as far as needed, and its steps."""
        wanted = self.plan.n_pool
        missing = max(0, wanted - len(frames)) if self.plan.complete_pool else 0
        found, made = np.array(frames), 0
        if missing:
            run = self.force_field.kernel.run(state, self.dynamics, missing * self.stride, self.stride)
            found = np.concatenate([found, run.displacements[self.region.is_usual(run)]])
            made = missing * self.stride if run.stopped_step is None else run.stopped_step
        sound = found[is_sound(found, self.dynamics, self.plan.limits)]
        places = np.linspace(0, len(sound) - 1, min(wanted, len(sound))).round().astype(int)
        return np.asarray(sound[places]), made

    def _reason(self, history: ErrorHistory) -> str | None:
        """Why to stop here, if at all."""
        decision = self.criterion.decide(history)
        if decision is not Decision.GO_ON:
            return str(decision.value)
        due = self.plan.must_label and len(history) >= self.plan.limits.frames_before_test
        return UNTESTED if due else None


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


def _last_sound(
    frames: NDArray[np.float64], dynamics: Dynamics, limits: DecisionLimits
) -> NDArray[np.float64] | None:
    """Last frame that may be labelled."""
    sound = np.flatnonzero(is_sound(frames, dynamics, limits))
    return np.asarray(frames[sound[-1]]) if len(sound) else None
