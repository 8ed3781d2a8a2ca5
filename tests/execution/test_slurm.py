"""Blocks of a real Slurm, on this machine alone: lost blocks, a killed command, and what is refused."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from mlff_dyn.store.dataset import read_snapshots

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REPOSITORY = Path(__file__).resolve().parents[2]
RECIPE = REPOSITORY.parent / "shared/recipes/slurm"
DAEMONS = ("sbatch", "slurmctld", "slurmd", "munged")

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(
        not RECIPE.is_dir() or os.geteuid() != 0 or not all(map(shutil.which, DAEMONS)),
        reason="needs slurm-wlm, munge, root and the recipe of ../shared",
    ),
]

SILICON = """Si
5.43
0.0 0.5 0.5
0.5 0.0 0.5
0.5 0.5 0.0
Si
2
Direct
0 0 0
0.25 0.25 0.25
"""

PROGRAM = """#!/bin/bash
echo "$(basename "$PWD")" >> "$(dirname "$0")/started"
sleep 1
pw.x "$@"
status=$?
echo "$(basename "$PWD")" >> "$(dirname "$0")/finished"
exit $status
"""

CONFIG = {
    "structure": {"file": "Si.vasp", "supercell": [2, 2, 2]},
    "expansion": {"cutoffs_angstrom": {2: "full", 3: 3.83, 4: {2: 2.5}}},
    "engine": {
        "kind": "espresso",
        "parameters": {
            "input_data": {"system": {"ecutwfc": 12, "occupations": "smearing", "degauss": 0.02}},
            "pseudopotentials": {"Si": "Si.pz-vbc.UPF"},
        },
        "profile": {
            "pseudo_dir": "/usr/share/espresso/pseudo",
            "environment": {"OMP_NUM_THREADS": "1"},
            "timeout_minutes": 5,
        },
    },
    "execution": {
        "kind": "parsl",
        "max_parallel": 2,
        "provider": "slurm",
        "walltime": "00:10:00",
        "workers_per_block": 2,
        "heartbeat_seconds": 2,
    },
    "training": {
        "temperatures_kelvin": [300],
        "n_steps": 300,
        "max_calculations": 7,
        "initial": {"n": 2},
        "criterion": {"force_error_limit_relative": 0.2},
    },
    "seed": 1,
}


def free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("", 0))
        other.bind(("", 0))
        return one.getsockname()[1], other.getsockname()[1]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Environment in which a Slurm of its own answers, on ports of its own."""
    recipe = tmp_path_factory.mktemp("recipe")
    for path in RECIPE.glob("*slurm*"):
        shutil.copy(path, recipe)
    template = recipe / "slurm.conf.in"
    ports = zip(("17617", "17618"), map(str, free_ports()), strict=True)
    text = template.read_text(encoding="utf-8")
    for old, new in ports:
        text = text.replace(old, new)
    template.write_text(text, encoding="utf-8")
    base = Path(f"/tmp/mlff-dyn-slurm-{os.getpid()}")
    path = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "SLURM_CONF": str(base / "slurm.conf"), "PYTHONPATH": path}
    try:
        subprocess.run(["bash", recipe / "start_slurm.sh", base], check=True, timeout=60)
        yield environment
    finally:
        subprocess.run(["bash", recipe / "stop_slurm.sh", base], check=False, timeout=60)
        shutil.rmtree(base, ignore_errors=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project whose program notes what it starts and what it finishes."""
    (tmp_path / "Si.vasp").write_text(SILICON, encoding="utf-8")
    program = tmp_path / "pw.sh"
    program.write_text(PROGRAM, encoding="utf-8")
    program.chmod(0o755)
    config = yaml.safe_load(yaml.safe_dump(CONFIG))
    config["engine"]["profile"]["command"] = str(program)
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return tmp_path


def start(folder: Path, environment: dict[str, str], *options: str) -> subprocess.Popen:
    words = [word for option in options for word in ("--set", option)]
    command = [sys.executable, "-m", "mlff_dyn", "train", str(folder / "c.yaml"), "--json", *words]
    with (folder / "stdout").open("w") as stdout, (folder / "stderr").open("w") as stderr:
        return subprocess.Popen(command, env=environment, stdout=stdout, stderr=stderr)


def ended(folder: Path, process: subprocess.Popen, seconds: float = 240) -> tuple[int, str]:
    """Exit code and standard error; a command that takes too long is killed."""
    try:
        code = process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        pytest.fail(f"not done after {seconds} s: {(folder / 'stderr').read_text(encoding='utf-8')}")
    return code, (folder / "stderr").read_text(encoding="utf-8")


def noted(folder: Path, what: str) -> list[str]:
    path = folder / what
    return path.read_text(encoding="utf-8").split() if path.exists() else []


def wait_until(condition: Callable[[], bool], process: subprocess.Popen, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def jobs(environment: dict[str, str]) -> list[str]:
    command = ["squeue", "--noheader", "--format", "%i"]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=True)
    return found.stdout.split()


def test_a_lost_block_and_a_killed_command_lose_no_calculation(folder: Path, slurm: dict[str, str]) -> None:
    """Every calculation is finished once; the data are those of an undisturbed training on this machine."""
    process = start(folder, slurm)
    wait_until(lambda: len(noted(folder, "started")) >= 3, process)
    subprocess.run(["scancel", *jobs(slurm)], env=slurm, check=True, timeout=30)
    wait_until(lambda: len(noted(folder, "finished")) >= 3, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    left = jobs(slurm)
    assert left
    code, errors = ended(folder, start(folder, slurm))
    assert code in (0, 4), errors
    assert "ended blocks that an earlier command has left" in errors
    assert not set(left) & set(jobs(slurm))
    labels = [snapshot.provenance for snapshot in read_snapshots(folder / "run/dataset.extxyz")]
    names = [str(label.calculation) for label in labels]
    assert names == [f"{number + 1:04d}" for number in range(len(names))]
    # One that ended as its block was lost has its output, which is read, but may not have noted its end.
    finished = Counter(noted(folder, "finished"))
    assert set(finished) <= set(names)
    assert max(finished.values()) == 1
    assert len(noted(folder, "started")) <= len(names) + 4
    assert not (folder / "run/calculations/blocks.json").exists()
    code, errors = ended(folder, start(folder, slurm, "execution.kind=local", f"run_dir={folder / 'local'}"))
    assert code in (0, 4), errors
    here, there = (read_snapshots(folder / name / "dataset.extxyz") for name in ("local", "run"))
    for one, other in zip(here, there, strict=True):
        assert one.positions.tobytes() == other.positions.tobytes()


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("execution.walltime='00:04:00'", ("execution.walltime: 00:04:00", "timeout_minutes: 5", "00:05:00")),
        ("execution.partition=none", ("Slurm does not take such a block", "partition")),
        ("execution.nodes_per_block=3", ("Slurm does not take such a block", "ode")),
        ("execution.provider=lsf", ("lsf is not here", "bsub", "slurm")),
        ("execution.walltime=soon", ("execution.walltime", "soon")),
    ],
)
def test_blocks_that_cannot_run_are_refused(
    folder: Path, slurm: dict[str, str], option: str, words: tuple[str, ...]
) -> None:
    """One line and exit code 2; nothing is submitted."""
    code, errors = ended(folder, start(folder, slurm, option), 60)
    assert code == 2, errors
    for word in words:
        assert word in errors
    assert len([line for line in errors.splitlines() if line.startswith("error")]) == 1
    assert "Traceback" not in errors
    assert not jobs(slurm)
    assert not list((folder / "run").glob("calculations/0*"))


def test_blocks_that_end_at_once_are_given_up(folder: Path, slurm: dict[str, str]) -> None:
    code, errors = ended(
        folder, start(folder, slurm, "execution.worker_init='echo no such module >&2; exit 1'")
    )
    assert code == 5, errors
    assert "blocks ended without a result: no such module" in errors
    assert not jobs(slurm)


def test_a_failing_calculation_is_named(folder: Path, slurm: dict[str, str]) -> None:
    """It fails in the block with the message that it has here; the other one ends first."""
    program = folder / "pw.sh"
    text = program.read_text(encoding="utf-8")
    program.write_text(text.replace("sleep 1", '[ "$(basename "$PWD")" = 0002 ] && exit 3'), encoding="utf-8")
    code, errors = ended(folder, start(folder, slurm))
    assert code == 5, errors
    assert "calculations/0002" in errors
    assert (folder / "run/calculations/0001/result.json").exists()
    assert (folder / "run/calculations/0002/failure.json").exists()
    assert not jobs(slurm)
