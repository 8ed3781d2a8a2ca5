"""Training with blocks of this machine: interrupted, killed, and undisturbed it comes to the same data."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mlff_dyn.store.dataset import read_snapshots
from tests.workflows.training_project import CONFIG_OF_KILLS, command_of, make_project, n_runs

pytest.importorskip("parsl")
REPOSITORY = Path(__file__).resolve().parents[3]
BLOCKS = "execution={kind: parsl, max_parallel: 2, workers_per_block: 2, heartbeat_seconds: 1}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_project(tmp_path, monkeypatch)
    (tmp_path / "c.yaml").write_text(CONFIG_OF_KILLS, encoding="utf-8")
    return tmp_path


def start(folder: Path, **variables: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), **variables}
    command = [sys.executable, "-m", "mlff_dyn", "train", str(folder / "c.yaml"), "--set", BLOCKS]
    with (folder / "stderr").open("ab") as errors:
        return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=errors)


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def processes_of(folder: Path) -> list[str]:
    """Command lines of the processes that were started for blocks of this run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder / "run/parsl") in words:
            found.append(words)
    return found


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_blocks_end_with_the_command_and_nothing_is_lost(folder: Path, number: signal.Signals) -> None:
    """Stopped while two calculations run; the next command makes these two again, and no other."""
    assert (
        command_of(folder)("--run-dir", folder / "local", "--set", "execution.max_parallel=2").exit_code == 0
    )
    n_local = n_runs(folder)
    (folder / "runs").unlink()
    process = start(folder, PAUSE_IN_RUN="3")
    wait_until(lambda: n_runs(folder) >= 3)
    process.send_signal(number)
    code = process.wait(60)
    assert code == (-9 if number == signal.SIGKILL else 130)
    if number == signal.SIGINT:
        wait_until(lambda: not processes_of(folder))
    n_before = n_runs(folder)
    assert start(folder).wait(120) == 0, (folder / "stderr").read_text()
    wait_until(lambda: not processes_of(folder))
    assert n_local <= n_runs(folder) <= n_before + n_local - 2
    one, other = (read_snapshots(folder / name / "dataset.extxyz") for name in ("local", "run"))
    assert [a.positions.tobytes() for a in one] == [b.positions.tobytes() for b in other]
    assert [a.forces_ev_per_angstrom.tobytes() for a in one] == [
        b.forces_ev_per_angstrom.tobytes() for b in other
    ]
    assert not list((folder / "run/calculations").glob("*.json"))
