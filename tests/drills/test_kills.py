"""`train` and `run-md` killed at random moments, then started again: the same bytes."""

import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from mlff_dyn.store.trajectory import read_trajectory
from tests.drills.copper_project import VERBS, invoke, make_project, start

pytestmark = pytest.mark.drill

LONG = ("run-md", "c.yaml", "--set", "md.n_steps=400000", "--set", "md.sample_every=4000")
ARRAYS = ("steps", "displacements", "velocities", "potential_energies", "kinetic_energies")


def end_of(process: subprocess.Popen[bytes]) -> int:
    _, errors = process.communicate(timeout=300)
    assert process.returncode in (0, -signal.SIGKILL), errors.decode()
    return process.returncode


def kill_until_done(folder: Path, arguments: tuple[str, ...], seed: int, seconds: float) -> int:
    """Kill the command at random moments, three times and later each time; returns how often it died."""
    generator = random.Random(seed)
    n_kills = 0
    for attempt in range(1, 4):
        process = start(folder, *arguments)
        time.sleep(generator.uniform(0.2, 0.5 + 0.4 * attempt) * seconds)
        process.send_signal(signal.SIGKILL)
        n_kills += end_of(process) != 0
    assert end_of(start(folder, *arguments)) == 0
    return n_kills


def timed(folder: Path, arguments: tuple[str, ...]) -> float:
    """Wall time of the command, s."""
    started = time.perf_counter()
    assert end_of(start(folder, *arguments)) == 0
    return time.perf_counter() - started


@pytest.mark.parametrize("seed", [1, 2])
def test_a_killed_training_gives_the_same_bytes(tmp_path: Path, seed: int) -> None:
    straight, killed = make_project(tmp_path / "straight"), make_project(tmp_path / "killed")
    seconds = timed(straight, VERBS["train"])
    assert kill_until_done(killed, VERBS["train"], seed, seconds) >= 1
    for name in ("dataset.extxyz", "model.h5"):
        assert (killed / "run" / name).read_bytes() == (straight / "run" / name).read_bytes(), name


@pytest.mark.parametrize("seed", [1, 2])
def test_a_killed_trajectory_is_the_same(tmp_path: Path, seed: int) -> None:
    straight = make_project(tmp_path / "straight")
    assert invoke(straight, *VERBS["train"]).exit_code == 0
    killed = Path(shutil.copytree(straight, tmp_path / "killed"))
    seconds = timed(straight, LONG)
    assert kill_until_done(killed, LONG, seed, seconds) >= 1
    one, other = (read_trajectory(each / "run/md/300K-1/trajectory.h5") for each in (straight, killed))
    for name in ARRAYS:
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes(), name
