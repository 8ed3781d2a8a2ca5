"""Trajectories of the convergence check that run together are those that run one by one."""

import dataclasses

import numpy as np

from mlff_dyn.config.schema import Config
from mlff_dyn.workflows.convergence.sampling import SamplingPlan, sample_replicas
from mlff_dyn.workflows.setup.workspace import Workspace

PLAN = SamplingPlan(
    temperatures_kelvin=(150.0, 300.0),
    timestep_femtoseconds=2.0,
    n_steps=600,
    n_replicas=3,
    seed=7,
    displacement_limit_angstrom=None,
)


def test_a_trajectory_depends_on_its_own_seed_only(config: Config) -> None:
    workspace = Workspace(config)
    force_field = workspace.read_model().on(workspace.supercell((1, 2, 2)))
    calls: list[tuple[int, int]] = []
    both = sample_replicas(force_field, PLAN, lambda *call: calls.append(call))
    assert [len(replicas) for replicas in both] == [3, 3]
    assert calls[-1] == (600, 6)
    fewer = dataclasses.replace(PLAN, temperatures_kelvin=(150.0,), n_replicas=1)
    ((alone,),) = sample_replicas(force_field, fewer, lambda *_: None)
    assert alone.frames == both[0][0].frames
    np.testing.assert_array_equal(alone.displacements, both[0][0].displacements)
    assert alone.frames != both[0][1].frames
    assert alone.frames != both[1][0].frames


def test_kept_frames_are_evenly_spaced_and_end_at_the_last(config: Config) -> None:
    workspace = Workspace(config)
    force_field = workspace.read_model().on(workspace.supercell((1, 1, 1)))
    for n_steps in (1, 12, 600):
        plan = dataclasses.replace(PLAN, n_steps=n_steps, n_replicas=1)
        ((cold,), _) = sample_replicas(force_field, plan, lambda *_: None)
        kept = sorted(plan.kept_frames)
        assert kept[-1] == len(cold.frames) - 1
        assert np.ptp(np.diff(kept)) <= 1 if len(kept) > 2 else True
        assert len(cold.displacements) == len(kept) == min(10, len(cold.frames))
