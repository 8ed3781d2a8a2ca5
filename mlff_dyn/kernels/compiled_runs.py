"""Trajectories handed to the compiled loop, and what comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.kernels.dynamics import THERMOSTATS, Dynamics, MdRun, MdState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlff_dyn.kernels._compiled import ForceEvaluator64


def run_evaluator(
    evaluator: ForceEvaluator64,
    states: Sequence[MdState],
    dynamics: Sequence[Dynamics],
    n_steps: int,
    sample_every: int,
) -> list[MdRun]:
    """Run all replicas of an evaluator; the arguments must have been checked.

    Parameters
    ----------
    evaluator : ForceEvaluator64
    states : sequence of MdState
        One for each replica of the evaluator; not changed.
    dynamics : sequence of Dynamics
    n_steps, sample_every : int
    """
    u = np.array([state.displacements for state in states], dtype=np.float64)
    v = np.array([state.velocities for state in states], dtype=np.float64)
    rng = np.array([state.rng for state in states], dtype=np.uint64)
    samples = (len(states), n_steps // sample_every)
    sampled_u, sampled_v = (np.empty((*samples, *u.shape[1:])) for _ in range(2))
    potential, kinetic = np.empty(samples), np.empty(samples)
    outcomes = evaluator.run(
        u,
        v,
        rng,
        np.array([own.inertias for own in dynamics]),
        np.array([own.velocity_kicks for own in dynamics]),
        np.array([_scalars(own) for own in dynamics]),
        np.array([_thermostat(own) for own in dynamics], dtype=np.int32),
        n_steps,
        sample_every,
        sampled_u,
        sampled_v,
        potential,
        kinetic,
    )
    return [
        MdRun(
            state=MdState(u[k], v[k], rng[k]),
            displacements=sampled_u[k, :n_taken],
            velocities=sampled_v[k, :n_taken],
            potential_energies=potential[k, :n_taken],
            kinetic_energies=kinetic[k, :n_taken],
            stopped_step=step if step >= 0 else None,
            stopped_atom=atom if step >= 0 else None,
        )
        for k, (n_taken, step, atom) in enumerate(outcomes)
    ]


def _scalars(dynamics: Dynamics) -> tuple[float, float, float, float]:
    return (
        dynamics.velocity_decay,
        dynamics.timestep_fs,
        dynamics.displacement_limit,
        dynamics.thermal_energy,
    )


def _thermostat(dynamics: Dynamics) -> int:
    """Number of the thermostat in cpp/dynamics.hpp."""
    return 1 + THERMOSTATS.index(dynamics.thermostat) if dynamics.friction_per_fs > 0.0 else 0
