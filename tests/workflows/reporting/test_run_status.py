"""Where a run stands, told by another process while it runs, and afterwards."""

import fcntl
import json
import os
import time

import pytest

from mlff_dyn.errors import EngineError
from mlff_dyn.execution.attempts import note_failure, write_mark
from mlff_dyn.execution.states import FAILED, FINISHED, PENDING, RUNNING, UNREAD, calculation_states
from mlff_dyn.store.lock import RunLock
from mlff_dyn.workflows.reporting.history import training_history
from tests.workflows.conftest import invoke
from tests.workflows.training_project import content


def status(folder):
    result = invoke("status", folder / "c.yaml", "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def make_ready(directory, inputs=("input.in",)):
    directory.mkdir(parents=True)
    for name in inputs:
        (directory / name).touch()
    write_mark(directory, {"input_files": list(inputs)})


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
    assert [each["forecast_calculations"] for each in found["temperatures"]] == [None] * 2
    assert found["seconds_per_calculation"] >= 0.0
    assert found["running"] == found["pending"] == found["failed"] == found["unread"] == []


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


@pytest.mark.parametrize(
    ("kind", "expected"), [("local", "interrupted"), ("external", "waiting for calculations elsewhere")]
)
def test_calculations_that_nobody_has_learnt_are_a_start(folder, kind, expected):
    make_ready(folder / "run/calculations/0001")
    result = invoke("status", folder / "c.yaml", "--json", "--set", f"execution.kind={kind}")
    found = json.loads(result.stdout)
    assert found["status"] == expected
    assert found["pending"] == ["0001"]


@pytest.mark.parametrize("kind", ["local", "external"])
def test_a_failed_calculation_is_told_with_its_reason(folder, kind):
    make_ready(folder / "run/calculations/0001")
    note_failure(folder / "run/calculations/0001", EngineError("no convergence", fix="mix less"))
    result = invoke("status", folder / "c.yaml", "--json", "--set", f"execution.kind={kind}")
    found = json.loads(result.stdout)
    assert found["status"] == "stopped by a failed calculation"
    assert (found["failed"], found["failure_reasons"]) == (["0001"], ["no convergence"])
    assert "0001: no convergence" in invoke("status", folder / "c.yaml").stdout


def test_frames_since_the_end_are_not_trained_on():
    """As after `label run`; exploration after that is training again."""
    events = [
        {"event": "explored", "temperature_kelvin": 300.0, "n_steps": 10, "basis": "b", "n_snapshots": 4}
        | {"reason": "no call"},
        {"event": "end", "status": "converged", "n_snapshots": 4, "basis": "b"},
        {"event": "refit", "n_snapshots": 6, "basis": "b"},
    ]
    history = training_history(events, "b")
    assert (history.status, history.n_untrained) == ("converged", 2)
    history = training_history([*events, {**events[0], "n_snapshots": 6}], "b")
    assert (history.status, history.n_untrained) == (None, 0)


def test_of_several_trajectories_the_one_that_errs_most_counts():
    explored = {"event": "explored", "temperature_kelvin": 300.0, "n_steps": 10, "basis": "b"}
    errors = [(2, 0.9), (4, 0.2), (4, 0.3), (4, 0.1)]
    events = [
        {**explored, "n_snapshots": n, "predictive_relative": error, "reason": f"reason {error}"}
        for n, error in errors
    ]
    assert training_history(events, "b").last(300.0).reason == "reason 0.3"


def test_time_of_a_program_is_that_from_its_start_to_its_end(tmp_path):
    make_ready(tmp_path / "0001")
    times = {"calculation.json": 0, "process.lock": 100, "exit-status.txt": 130, "result.json": 500}
    for name, seconds in times.items():
        (tmp_path / "0001" / name).touch()
        os.utime(tmp_path / "0001" / name, (seconds, seconds))
    assert calculation_states(tmp_path)[0].seconds == 30.0
    for name, expected in (("exit-status.txt", 400.0), ("process.lock", 500.0)):
        (tmp_path / "0001" / name).unlink()
        assert calculation_states(tmp_path)[0].seconds == expected


def test_states_of_calculations(tmp_path):
    names = ("0001", "0002", "0003", "0004", "0005", "0006", "0007")
    for name in names:
        make_ready(tmp_path / name)
    for name in names[:3]:
        (tmp_path / name / "process.lock").touch()
    (tmp_path / "0001/result.json").touch()
    (tmp_path / "0005/output").touch()
    (tmp_path / "0006/output").touch()
    (tmp_path / "0006/exit-status.txt").touch()
    (tmp_path / "0007/calculation.json").write_text("{")
    (tmp_path / "notes").mkdir()
    ago = time.time() - 100.0
    os.utime(tmp_path / "0002/process.lock", (ago, ago))
    with (tmp_path / "0002/process.lock").open("r") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        found = calculation_states(tmp_path)
    states = (FINISHED, RUNNING, PENDING, PENDING, RUNNING, UNREAD, FAILED)
    assert [(each.name, each.state) for each in found] == list(zip(names, states, strict=True))
    assert "0007/calculation.json is damaged" in found[-1].reason
    assert [each.seconds for each in found] == [
        pytest.approx(t, abs=5.0) if t is not None else None for t in (0.0, 100.0, None, None, 0.0, 0.0, None)
    ]
    assert calculation_states(tmp_path / "nowhere") == ()


def test_a_calculation_that_runs_is_told_with_its_time(folder, train):
    train("--set", "training.max_calculations=2")
    running = folder / "run/calculations/0003"
    make_ready(running)
    ago = time.time() - 7200.0
    (running / "process.lock").touch()
    os.utime(running / "process.lock", (ago, ago))
    with (running / "process.lock").open("r") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        found = status(folder)
        lines = invoke("status", folder / "c.yaml").stdout
    assert found["running"] == ["0003"]
    assert found["running_seconds"] == [pytest.approx(7200.0, abs=20.0)]
    assert "0003 for 2 h" in lines
    assert status(folder)["running_seconds"] == []
