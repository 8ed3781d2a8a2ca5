"""A run in pieces is the run in one piece, bit for bit."""

import numpy as np
import pytest
from ase.build import bulk

from mlff_dyn.kernels.dynamics import Dynamics, MdState
from mlff_dyn.md.anharmonicity import anharmonicity
from mlff_dyn.md.chunks import Span, run_in_chunks, run_replicas_in_chunks
from mlff_dyn.md.start import start_at_rest_positions
from mlff_dyn.md.temperature import mean_temperature
from mlff_dyn.model.force_field import SupercellForceField
from tests.models import random_force_field, spring_hessian, with_parameters


@pytest.fixture(scope="module")
def springs() -> SupercellForceField:
    """A stable crystal: a spring for every bond."""
    force_field, torus = random_force_field(bulk("NaCl", "rocksalt", a=5.6), (2, 2, 2), {2: "full"})
    hessian = spring_hessian(torus, {2.8: (3.0, 0.2)})
    supercell = force_field.expansion.on(torus)
    rows, forces = [], []
    for seed in range(2):
        u = 0.1 * np.random.default_rng(seed).standard_normal((torus.n_atoms, 3))
        rows.append(supercell.rows(u)[0])
        forces.append(-hessian @ u.ravel())
    mean = np.linalg.lstsq(np.concatenate(rows), np.concatenate(forces), rcond=None)[0]
    return with_parameters(force_field.basis, mean).on(torus)


def dynamics(springs: SupercellForceField, **changes: float) -> Dynamics:
    return Dynamics(
        **{
            "masses": springs.torus.masses,
            "timestep_fs": 2.0,
            "friction_per_fs": 0.01,
            "temperature_kelvin": 300.0,
            **changes,
        }
    )


def start(springs: SupercellForceField) -> MdState:
    return start_at_rest_positions(springs.torus.masses, 300.0, (1,))


@pytest.mark.parametrize("seconds", [0.0, 1e-3, 1.0])
@pytest.mark.parametrize("sample_every", [1, 7, 50])
def test_pieces_follow_the_clock_and_change_nothing(
    springs: SupercellForceField, seconds: float, sample_every: int
) -> None:
    whole = springs.kernel.run(start(springs), dynamics(springs), 120, sample_every)
    span = Span(0, 120, sample_every, seconds)
    chunks = list(run_in_chunks(springs.kernel, dynamics(springs), start(springs), span))
    steps = np.concatenate([chunk.sample_steps for chunk in chunks])
    np.testing.assert_array_equal(steps, sample_every * np.arange(1, 120 // sample_every + 1))
    assert sum(chunk.n_steps for chunk in chunks) == chunks[-1].step == 120
    for name in ("displacements", "velocities", "potential_energies", "kinetic_energies"):
        pieces = np.concatenate([getattr(chunk.run, name) for chunk in chunks])
        np.testing.assert_array_equal(pieces, getattr(whole, name))
    np.testing.assert_array_equal(chunks[-1].state.rng, whole.state.rng)


def test_the_piece_that_leaves_the_limit_is_the_last(springs: SupercellForceField) -> None:
    limited = dynamics(springs, displacement_limit=0.1)
    whole = springs.kernel.run(start(springs), limited, 500, 3)
    assert whole.stopped_step is not None
    span = Span(0, 500, 3, seconds=0.0)
    chunks = list(run_in_chunks(springs.kernel, limited, start(springs), span))
    assert chunks[-1].step == whole.stopped_step
    assert chunks[-1].run.stopped_atom == whole.stopped_atom
    assert sum(len(chunk.sample_steps) for chunk in chunks) == len(whole.displacements)
    np.testing.assert_array_equal(chunks[-1].state.displacements, whole.state.displacements)


@pytest.mark.parametrize("seconds", [0.0, 1e-3])
def test_replicas_in_pieces_are_the_runs_in_one_piece(springs: SupercellForceField, seconds: float) -> None:
    kinds = [dynamics(springs), dynamics(springs, displacement_limit=0.1), dynamics(springs, timestep_fs=1.0)]
    states = [start_at_rest_positions(springs.torus.masses, 300.0, (seed,)) for seed in range(3)]
    wholes = [springs.kernel.run(*each, 200, 7) for each in zip(states, kinds, strict=True)]
    pieces = list(run_replicas_in_chunks(springs.kernel, kinds, states, Span(0, 200, 7, seconds)))
    assert wholes[1].stopped_step is not None
    for place, whole in enumerate(wholes):
        own = [chunks[place] for chunks in pieces if place in chunks]
        assert own == [chunks.get(place) for chunks in pieces[: len(own)]]
        assert own[-1].step == (whole.stopped_step or 200)
        joined = np.concatenate([chunk.run.displacements for chunk in own])
        np.testing.assert_array_equal(joined, whole.displacements)
        np.testing.assert_array_equal(own[-1].state.velocities, whole.state.velocities)
        assert own[-1].run.stopped_atom == whole.stopped_atom


def test_the_thermostat_keeps_its_temperature(springs: SupercellForceField) -> None:
    run = springs.kernel.run(start(springs), dynamics(springs), 20000, 10)
    assert mean_temperature(run.kinetic_energies[200:], springs.torus.n_atoms) == pytest.approx(
        300.0, rel=0.05
    )


def test_anharmonicity_is_0_for_harmonic_forces_and_1_for_unrelated_ones() -> None:
    forces, other = np.random.default_rng(0).standard_normal((2, 4, 50, 3))
    assert anharmonicity(forces, forces) == 0.0
    assert anharmonicity(forces, 0.0 * forces) == pytest.approx(1.0)
    assert anharmonicity(3.0 * forces, 3.0 * forces + other) == pytest.approx(1.0 / 3.0, rel=0.1)
    assert anharmonicity(0.0 * forces, other) == 0.0
