"""Frames that are calculated together: for all temperatures, no more than are needed."""

from collections.abc import Sequence

import numpy as np
import pytest
from ase.build import bulk

from mlff_dyn.lattice.torus import Torus
from mlff_dyn.model.expansion import Expansion, SupercellExpansion
from mlff_dyn.model.fitting.fit import fit_force_field
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.model.fitting.labelled_frame import LabelledFrame, labelled_frame
from mlff_dyn.model.force_field import ForceField
from mlff_dyn.regression.planning.selection import SELECTIONS, select
from mlff_dyn.training.frame_choice import information_of_frames
from mlff_dyn.training.initial import rattled_displacements
from mlff_dyn.training.round_choice import Round, TemperaturePool, choose_round
from mlff_dyn.training.running import with_running
from tests.models import random_force_field

Frame = tuple[SupercellExpansion, np.ndarray]
Setting = tuple[Torus, ForceField, list[LabelledFrame]]


@pytest.fixture(scope="module")
def setting() -> Setting:
    atoms = bulk("Cu", "fcc", a=3.6, cubic=True)
    truth, torus = random_force_field(atoms, (2, 2, 2), {2: "full", 3: 3.0})
    supercell = Expansion(truth.basis).on(torus)
    rows = []
    for k in range(2):
        u = rattled_displacements(torus.n_atoms, 0.03, (1, k))
        forces = (supercell.rows(u)[0] @ truth.posterior.mean).reshape(-1, 3)
        forces = forces + 0.05 * np.random.default_rng(k).standard_normal(forces.shape)
        rows.append(labelled_frame(supercell, u, forces, None))
    return torus, fit_force_field(truth.basis, FitData(rows)), rows


def frames_of(setting: Setting, sd: float, count: int, seed: int) -> list[Frame]:
    torus, model, _ = setting
    supercell = model.expansion.on(torus)
    return [(supercell, rattled_displacements(torus.n_atoms, sd, (seed, i))) for i in range(count)]


def pools_of(setting: Setting, *, must: Sequence[bool] = (False, False)) -> list[TemperaturePool]:
    return [
        TemperaturePool(frames_of(setting, sd, 6, seed), 40.0 * sd, must_label=must[seed])
        for seed, sd in enumerate((0.03, 0.09))
    ]


def chosen(setting: Setting, pools: list[TemperaturePool], n_most: int, limit: float) -> Round:
    return choose_round(
        setting[1],
        pools,
        setting[2],
        kind="i-optimal",
        n_most=n_most,
        force_error_limit_relative=limit,
    )


def test_one_temperature_is_the_selection_of_before(setting: Setting) -> None:
    frames = frames_of(setting, 0.06, 8, 3)
    found = chosen(setting, [TemperaturePool(frames, 1.7)], 3, 1e-9)
    pool = information_of_frames(setting[1], frames, setting[2])
    assert [i for _, i in found.frames] == list(select(pool, SELECTIONS["i-optimal"], 3).frames)


def test_no_more_than_needed(setting: Setting) -> None:
    """The error falls with each frame, as if it were known; the last one brings it within the limit."""
    pools = pools_of(setting)
    every = chosen(setting, pools, 5, 1e-9)
    assert len(every.frames) == len(set(every.frames)) == 5
    assert (np.diff(every.expected) < 0.0).all()
    few = chosen(setting, pools, 5, 0.5 * (every.expected[1] + every.expected[2]))
    assert few.frames == every.frames[:2]
    assert chosen(setting, pools, 5, 1e3).frames == every.frames[:1]
    known = with_running(setting[1], [pools[k].frames[i] for k, i in every.frames[:2]])
    after = choose_round(
        known, pools, setting[2], kind="i-optimal", n_most=1, force_error_limit_relative=1e-9
    )
    assert after.expected[0] == pytest.approx(every.expected[2], rel=1e-9)


def test_an_untested_temperature_has_a_frame_of_its_own(setting: Setting) -> None:
    free = chosen(setting, pools_of(setting), 2, 1e-9).frames
    for other in (0, 1):
        must = (other == 0, other == 1)
        first, second = chosen(setting, pools_of(setting, must=must), 2, 1e-9).frames
        assert first[0] == other
        assert first != second
        if free[0][0] == other:
            assert (first, second) == free
    both = chosen(setting, pools_of(setting, must=(True, True)), 2, 1e3).frames
    assert sorted(k for k, _ in both) == [0, 1]


def test_what_counts_is_the_error_over_the_force(setting: Setting) -> None:
    """Where the forces of the hot frames are immense, only the cold ones count."""
    cold, hot = pools_of(setting)
    immense = TemperaturePool(hot.frames, 1e6 * hot.force_rms_ev_per_angstrom)
    alone = chosen(setting, [cold], 1, 1e-9)
    together = chosen(setting, [cold, immense], 1, 1e-9)
    assert together.expected[0] == pytest.approx(alone.expected[0], rel=1e-9)
    assert together.expected[1] <= alone.expected[1] * (1.0 + 1e-9)
