"""First structures by the phonons of what is known: thermal amplitudes, the same after an interruption."""

import json

import numpy as np
import pytest

from mlff_dyn.store.dataset import read_snapshots

THERMAL = ("--set", "training.initial.kind=thermal", "--set", "training.initial.n=3")


@pytest.mark.parametrize("statistics", ["classical", "quantum"])
def test_all_but_the_first_have_a_temperature(folder, train, statistics):
    train(
        *THERMAL, "--set", f"training.initial.statistics={statistics}", "--set", "training.max_calculations=3"
    )
    found = read_snapshots(folder / "run/dataset.extxyz")
    assert [each.provenance.temperature_kelvin for each in found] == [None, 200.0, 400.0]
    assert {each.provenance.reason for each in found} == {"initial structure"}
    forces = [float(np.sqrt(np.mean(each.forces_ev_per_angstrom**2))) for each in found]
    assert forces[1] > 2 * forces[0]
    assert forces[2] > forces[1]


def test_an_interrupted_start_goes_on_alike(folder, train):
    whole = train(*THERMAL, "--set", "training.max_calculations=3")
    data = (folder / "run/dataset.extxyz").read_bytes()
    other = ("--run-dir", folder / "other")
    for budget in (1, 2, 3):
        train(*THERMAL, *other, "--set", f"training.max_calculations={budget}")
    assert (folder / "other/dataset.extxyz").read_bytes() == data
    assert json.loads(whole.stdout)["n_calculations"] == 3
