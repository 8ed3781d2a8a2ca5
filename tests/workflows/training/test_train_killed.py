"""`train` killed at any moment, then started again: the same data, and nothing calculated twice."""

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import ase.io
import pytest

from tests.models import copper
from tests.workflows.training_project import CONFIG_OF_KILLS

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    ase.io.write(tmp_path / "Cu.vasp", copper(), format="vasp", direct=True)
    (tmp_path / "c.yaml").write_text(CONFIG_OF_KILLS, encoding="utf-8")
    return tmp_path


def start(folder: Path, run_dir: str, *arguments: str, **environment: object) -> subprocess.Popen[bytes]:
    settings = {
        **os.environ,
        "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        "OMP_NUM_THREADS": "1",
        "RUNS": str(folder / f"{run_dir}.runs"),
        **{name: str(value) for name, value in environment.items()},
    }
    command = [
        sys.executable,
        "-m",
        "tests.workflows.killed_command",
        "train",
        str(folder / "c.yaml"),
        "--json",
        "--run-dir",
        run_dir,
    ]
    return subprocess.Popen(
        [*command, *arguments], cwd=folder, env=settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def finish(process: subprocess.Popen[bytes]) -> int:
    """Exit code; a process that was not killed must have ended well."""
    _, errors = process.communicate(timeout=120)
    assert process.returncode in (0, -signal.SIGKILL), errors.decode()
    return process.returncode


def data(folder: Path, run_dir: str) -> bytes:
    return (folder / run_dir / "dataset.extxyz").read_bytes()


def runs(folder: Path, run_dir: str) -> list[str]:
    path = folder / f"{run_dir}.runs"
    return path.read_text().split() if path.exists() else []


def events(folder: Path, run_dir: str) -> list[dict[str, object]]:
    lines = (folder / run_dir / "journal.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def check_equal(folder: Path, run_dir: str, *, killed_in: tuple[int, ...] = ()) -> None:
    """Equal data and report; every structure was calculated once, those killed in the middle twice."""
    assert data(folder, run_dir) == data(folder, "straight")
    first, second = (json.loads((folder / d / "train.json").read_text()) for d in (run_dir, "straight"))
    assert first == second
    once = runs(folder, "straight")
    assert set(Counter(once).values()) == {1}
    expected = Counter(once)
    expected.update(once[k] for k in killed_in)
    assert Counter(runs(folder, run_dir)) == expected
    assert not [p.name for p in (folder / run_dir).rglob(".*") if p.name != ".lock"]
    assert not (folder / run_dir / "calculations/planned.json").exists()


def test_kills_in_the_middle_of_calculations(folder: Path) -> None:
    assert finish(start(folder, "straight")) == 0
    n_total = len(runs(folder, "straight"))
    assert n_total >= 4
    killed_in = (0, 2, n_total - 1)
    for place, moment in enumerate(killed_in):
        number = moment + place + 1
        assert finish(start(folder, "killed", KILL_IN_RUN=number)) == -signal.SIGKILL
        assert len(runs(folder, "killed")) == number
    assert finish(start(folder, "killed")) == 0
    check_equal(folder, "killed", killed_in=killed_in)


def resume_until_done(folder: Path, seed: int, *arguments: str, at_once: int = 1) -> int:
    """Kill just before or after a random rename, again and again; returns the number of kills.

    A calculation whose engine has finished must not run again; ``at_once`` of them may die with a process.
    """
    generator = random.Random(seed)
    n_kills = 0
    reach = 6
    while True:
        n_before = len(runs(folder, "killed"))
        done = {path.parent.name for path in (folder / "killed").glob("calculations/*/output.json")}
        number = generator.randint(1, reach) * generator.choice((1, -1))
        code = finish(start(folder, "killed", *arguments, KILL_AT_RENAME=number))
        names = {path.parent.name for path in (folder / "killed").glob("calculations/*/output.json")}
        assert done <= names
        assert len(runs(folder, "killed")) - n_before >= len(names - done)
        assert len(runs(folder, "killed")) - n_before <= len(names - done) + at_once
        if code == 0:
            return n_kills
        n_kills += 1
        reach += 4


@pytest.mark.parametrize(
    "seed", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)]
)
def test_kills_at_renames(folder: Path, seed: int) -> None:
    assert finish(start(folder, "straight")) == 0
    assert resume_until_done(folder, seed) >= 3
    assert data(folder, "killed") == data(folder, "straight")
    assert len(runs(folder, "killed")) < 2 * len(runs(folder, "straight"))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [4, 5, 6])
def test_kills_with_two_at_a_time(folder: Path, seed: int) -> None:
    """Two results of one call are learnt one after the other; a kill in between changes nothing."""
    parallel = ("--set", "execution.max_parallel=2")
    assert finish(start(folder, "straight", *parallel)) == 0
    resume_until_done(folder, seed, *parallel, at_once=2)
    assert data(folder, "killed") == data(folder, "straight")


def test_an_interrupt_says_so_and_is_resumed(folder: Path) -> None:
    """SIGINT in a calculation: exit code 130, one line, and the same data afterwards."""
    assert finish(start(folder, "straight")) == 0
    process = start(folder, "killed", PAUSE_IN_RUN=3)
    while len(runs(folder, "killed")) < 3 and process.poll() is None:
        pass
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors.decode()
    assert output == b""
    assert b"Traceback" not in errors
    assert finish(start(folder, "killed")) == 0
    check_equal(folder, "killed", killed_in=(2,))


@pytest.mark.slow
def test_the_journal_of_a_killed_run_is_complete(folder: Path) -> None:
    """Whenever the kill comes, each decision is in the journal once."""
    assert finish(start(folder, "straight")) == 0
    expected = [(e["event"], e.get("n_snapshots")) for e in events(folder, "straight")]
    resume_until_done(folder, 7)
    found = [(e["event"], e.get("n_snapshots")) for e in events(folder, "killed")]
    assert sorted(found, key=str) == sorted(expected, key=str)


@pytest.mark.slow
@pytest.mark.parametrize("criterion", ["{}", "{kind: random, random: {mean_interval_steps: 3000}}"])
def test_kills_on_a_ramp(folder: Path, criterion: str) -> None:
    options = (
        *("--set", "training.exploration.ramp={kelvin_per_picosecond: 40}"),
        *("--set", f"training.criterion={criterion}"),
        *("--set", "training.criterion.force_error_limit_relative=0.5"),
    )
    assert finish(start(folder, "straight", *options)) == 0
    assert any(event.get("ramp_from_kelvin") for event in events(folder, "straight"))
    resume_until_done(folder, 7, *options)
    assert data(folder, "killed") == data(folder, "straight")
