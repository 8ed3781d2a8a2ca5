"""Criteria for comparison in whole trainings: one trajectory goes on through all calls, also after a kill."""

import json
import shutil

import pytest

from mlff_dyn.store.journal import read_journal
from tests.workflows.training_project import n_runs

SHORT = ("--set", "training.temperatures_kelvin=[300]", "--set", "training.n_steps=400")
KINDS = {
    "paper": (),
    "per-step": ("--set", "training.criterion.per_step.n_candidates=2"),
    "fixed": ("--set", "training.criterion.fixed.interval_steps=100"),
    "random": ("--set", "training.criterion.random.mean_interval_steps=100"),
}


def options(kind, *more):
    return ("--set", f"training.criterion.kind={kind}", *SHORT, *KINDS[kind], *more)


@pytest.mark.parametrize("kind", KINDS)
def test_every_step_is_made_once(folder, train, kind):
    answer = json.loads(train(*options(kind)).stdout)
    explored = [e for e in read_journal(folder / "run/journal.jsonl") if e["event"] == "explored"]
    assert len(explored) > 1
    assert sum(e["n_steps"] for e in explored) >= 400
    calls = [e for e in explored if e["reason"] != "no call"]
    assert sum(e["n_steps"] for e in calls) <= 400
    assert answer["n_calculations"] >= 2 + len(calls)
    if kind == "fixed":
        assert [e["n_steps"] for e in calls] == [100] * 4


@pytest.mark.parametrize("kind", ["paper", "per-step"])
def test_a_training_in_pieces_is_that_of_one_piece(folder, train, kind):
    whole = json.loads(train(*options(kind)).stdout)
    data = (folder / "run/dataset.extxyz").read_bytes()
    shutil.rmtree(folder / "run")
    (folder / "runs").unlink()
    for budget in (3, 5):
        train(*options(kind, "--set", f"training.max_calculations={budget}"))
    again = json.loads(train(*options(kind)).stdout)
    assert (folder / "run/dataset.extxyz").read_bytes() == data
    assert again["n_calculations"] == whole["n_calculations"] == n_runs(folder)


def test_a_damaged_state_is_named(folder, train):
    train(*options("fixed", "--set", "training.max_calculations=3"))
    (folder / "run/exploration/0003.h5").write_bytes(b"no state")
    result = train(*options("fixed"))
    assert result.exit_code == 3
    assert "0003.h5 is damaged" in " ".join(result.stderr.split())
