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
STORED = ((), ("--set", "md.store=[positions]", "--set", "md.store_precision=single"))
"""Settings of `run-md`: all of a frame, or half of it with half of the digits."""
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


@pytest.mark.parametrize("has_local_part", [False, True], ids=["lattice", "local"])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_killed_training_gives_the_same_bytes(tmp_path: Path, seed: int, *, has_local_part: bool) -> None:
    straight, killed = (
        make_project(tmp_path / name, has_local_part=has_local_part) for name in ("straight", "killed")
    )
    seconds = timed(straight, VERBS["train"])
    assert kill_until_done(killed, VERBS["train"], seed, seconds) >= 1
    for name in ("dataset.extxyz", "model.h5"):
        assert (killed / "run" / name).read_bytes() == (straight / "run" / name).read_bytes(), name


@pytest.mark.parametrize("stored", STORED)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_killed_trajectory_is_the_same(tmp_path: Path, seed: int, stored: tuple[str, ...]) -> None:
    straight = make_project(tmp_path / "straight")
    assert invoke(straight, *VERBS["train"]).exit_code == 0
    killed = Path(shutil.copytree(straight, tmp_path / "killed"))
    seconds = timed(straight, (*LONG, *stored))
    assert kill_until_done(killed, (*LONG, *stored), seed, seconds) >= 1
    one, other = (read_trajectory(each / "run/md/300K-1/trajectory.h5") for each in (straight, killed))
    for name in ARRAYS:
        first, second = getattr(one, name), getattr(other, name)
        assert (first is None) == (second is None) == (name == "velocities" and bool(stored)), name
        assert first is None or first.tobytes() == second.tobytes(), name


@pytest.mark.parametrize("verb", ["train", "run-md", "check-convergence"])
def test_an_interrupted_command_says_so_and_goes_on(tmp_path: Path, verb: str) -> None:
    folder = make_project(tmp_path / "project")
    if verb != "train":
        assert invoke(folder, *VERBS["train"]).exit_code == 0
    arguments = LONG if verb == "run-md" else VERBS[verb]
    codes = []
    for seconds in (0.1, 0.6, 1.1, 1.6):
        process = start(folder, *arguments)
        time.sleep(seconds)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=300)
        text = errors.decode()
        assert process.returncode in (0, 130), text
        assert "Traceback" not in text
        assert process.returncode == 0 or "interrupted" in text.splitlines()[-1], text
        codes.append(process.returncode)
    assert 130 in codes
    assert end_of(start(folder, *arguments)) == 0
