"""Where a run stands, told by another process while it runs, and afterwards."""

import fcntl
import json

from mlff_dyn.execution.states import FINISHED, RUNNING, WAITING, calculation_states
from mlff_dyn.store.lock import RunLock
from tests.workflows.conftest import invoke
from tests.workflows.training_project import content


def status(folder):
    result = invoke("status", folder / "c.yaml", "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_nothing_has_been_done(folder):
    found = status(folder)
    assert found["status"] == "not started"
    assert found["n_calculations"] == 0
    assert [each["state"] for each in found["temperatures"]] == ["not explored"] * 2
    assert not (folder / "run").exists()


def test_it_tells_what_the_answer_of_the_training_tells(folder, train):
    answer = json.loads(train().stdout)
    before = content(folder)
    found = status(folder)
    assert content(folder) == before
    assert found["status"] == answer["status"]
    for name in ("n_labelled", "n_calculations", "n_steps"):
        assert found[name] == answer[name]
    expected = [each["force_sd_relative"] for each in answer["temperatures"]]
    assert [each["force_sd_relative"] for each in found["temperatures"]] == expected
    assert found["seconds_per_calculation"] >= 0.0
    assert found["running"] == found["waiting"] == []


def test_another_shell_sees_a_run_that_is_held(folder, train):
    train("--set", "training.max_calculations=2")
    with RunLock(folder / "run"):
        found = status(folder)
    assert found["status"] == "in progress"
    assert found["process"] > 0
    assert status(folder)["status"] == "budget exhausted"


def test_a_killed_run_is_interrupted(folder, train):
    train("--set", "training.max_calculations=2")
    lines = (folder / "run/journal.jsonl").read_text().splitlines(keepends=True)
    (folder / "run/journal.jsonl").write_text("".join(lines[:-1]))
    assert status(folder)["status"] == "interrupted"


def test_states_of_calculations(tmp_path):
    for name in ("0001", "0002", "0003"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "calculation.json").touch()
        (tmp_path / name / "process.lock").touch()
    (tmp_path / "0001/result.json").touch()
    (tmp_path / "notes").mkdir()
    with (tmp_path / "0002/process.lock").open("r") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        found = calculation_states(tmp_path)
    assert [(each.name, each.state) for each in found] == [
        ("0001", FINISHED),
        ("0002", RUNNING),
        ("0003", WAITING),
    ]
    assert calculation_states(tmp_path / "nowhere") == ()
