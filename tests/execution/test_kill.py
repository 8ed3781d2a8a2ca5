"""``kill -9`` at any moment: no finished calculation runs twice, none is lost, the results are the same."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

N_STRUCTURES = 6
PATIENCE = 300.0
"""Seconds after which a process counts as stuck, however busy the machine is; what hangs takes longer."""

CALCULATOR = """
import os, subprocess, time
from ase.calculators.emt import EMT

class Slow(EMT):
    def calculate(self, atoms, properties, system_changes):
        with open(os.environ["RUNS"], "a") as file:
            file.write(f"{atoms.positions[0, 0]:.3f}\\n")
        if "PIDS" in os.environ:
            with open(os.environ["PIDS"], "a") as file:
                program = subprocess.Popen(["sleep", "3600"])
                file.write(f"{os.getpid()}\\n{program.pid}\\n")
            time.sleep(3600)
        time.sleep(0.05)
        super().calculate(atoms, properties, system_changes)
"""

DRIVER = """
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from ase.build import bulk
from mlff_dyn.engines.registry import create_engine
from mlff_dyn.execution.local import label

folder, max_parallel, command = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
cells = []
for number in range(6):
    atoms = bulk("Cu" if command == "none" else "Si", cubic=True)
    atoms.rattle(0.05, seed=number)
    atoms.positions[0, 0] = number / 8
    cells.append(atoms)
if command == "none":
    engine = create_engine("ase", {"calculator": "slow_calculator:Slow"}, {})
else:
    parameters = {"input_data": {"system": {"ecutwfc": 20}}, "pseudopotentials": {"Si": "Si.UPF"}}
    engine = create_engine("espresso", parameters, {"command": command, "pseudo_dir": str(folder.parent)})
print("start", flush=True)
label(engine, cells, folder, [f"{number:04d}" for number in range(6)], max_parallel=max_parallel)
print("done", flush=True)
"""

FAKE_PW = """#!/bin/sh
echo "$PWD" >> "$RUNS"
echo " number of atoms/cell      =            8"
sleep 0.15
echo "!    total energy              =     -15.50000000 Ry"
echo "     convergence has been achieved in   7 iterations"
echo "     Forces acting on atoms (cartesian axes, Ry/au):"
echo
for atom in 1 2 3 4 5 6 7 8; do
  echo "     atom    $atom type  1   force =     0.00100000   -0.00200000   -0.00300000"
done
echo "     Total force =     0.010583     Total SCF correction =     0.000000"
echo "   JOB DONE."
"""


STARTED: list[subprocess.Popen] = []


@pytest.fixture
def environment(tmp_path) -> dict[str, str]:
    (tmp_path / "slow_calculator.py").write_text(CALCULATOR)
    (tmp_path / "driver.py").write_text(DRIVER)
    (tmp_path / "Si.UPF").write_text("")
    (tmp_path / "fake_pw.sh").write_text(FAKE_PW)
    (tmp_path / "fake_pw.sh").chmod(0o755)
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join([str(tmp_path), root, os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, "RUNS": str(tmp_path / "runs"), "OMP_NUM_THREADS": "1"}


@pytest.fixture(autouse=True)
def nothing_left(tmp_path) -> Iterator[None]:
    """A test that fails leaves no process to those after it."""
    yield
    for process in STARTED:
        process.kill()
        process.communicate()
    STARTED.clear()
    for path in tmp_path.glob("*pids"):
        for pid in path.read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)


def start(tmp_path, environment, max_parallel, command="none") -> subprocess.Popen:
    arguments = [
        sys.executable,
        str(tmp_path / "driver.py"),
        str(tmp_path / "calculations"),
        str(max_parallel),
        command,
    ]
    process = subprocess.Popen(
        arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    )
    STARTED.append(process)
    assert process.stdout.readline() == b"start\n"
    return process


def finish(process: subprocess.Popen) -> None:
    output, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors.decode()
    assert output == b"done\n"


def finished(tmp_path) -> dict[str, bytes]:
    return {
        path.parent.name: path.read_bytes() for path in (tmp_path / "calculations").glob("0*/result.json")
    }


def runs(tmp_path) -> list[str]:
    return (tmp_path / "runs").read_text().split() if (tmp_path / "runs").exists() else []


@pytest.mark.parametrize(("max_parallel", "seed"), [(1, 1), (2, 3)])
def test_kills_at_random_moments(tmp_path, environment, max_parallel, seed):
    """Most are in calculations, which take less time than the start of the calculator."""
    rng = random.Random(seed)
    for _ in range(8):
        before, n_runs = finished(tmp_path), len(runs(tmp_path))
        process = start(tmp_path, environment, max_parallel)
        if rng.random() < 0.8:
            wait_until(lambda: len(runs(tmp_path)) > n_runs or process.poll() is not None)  # noqa: B023
        try:
            output, errors = process.communicate(timeout=rng.uniform(0.0, 0.15))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
        else:
            assert (process.returncode, output) == (0, b"done\n"), errors.decode()
        after = finished(tmp_path)
        for name, content in before.items():
            assert after[name] == content
            assert f"{int(name) / 8:.3f}" not in runs(tmp_path)[n_runs:]
        if process.returncode == 0:
            break
    else:
        finish(start(tmp_path, environment, max_parallel))
    assert len(finished(tmp_path)) == N_STRUCTURES
    assert not [path.name for path in (tmp_path / "calculations").iterdir() if not path.name.startswith("0")]
    from mlff_dyn.store.json_file import read_json

    for number in range(N_STRUCTURES):
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(0.05, seed=number)
        atoms.positions[0, 0] = number / 8
        atoms.calc = EMT()
        path = tmp_path / "calculations" / f"{number:04d}" / "result.json"
        content = read_json(path, format_name="mlff-dyn calculation result", version=1)
        assert content["forces_ev_per_angstrom"] == atoms.get_forces().tolist()


@pytest.mark.parametrize("max_parallel", [1, 2])
def test_a_program_that_outlives_its_command_is_waited_for(tmp_path, environment, max_parallel):
    command = str(tmp_path / "fake_pw.sh")
    (tmp_path / "fake_pw.sh").write_text(FAKE_PW.replace("sleep 0.15", "sleep 0.5"))
    process = start(tmp_path, environment, max_parallel, command)
    wait_until(lambda: len(runs(tmp_path)) >= max_parallel)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not finished(tmp_path)
    finish(start(tmp_path, environment, max_parallel, command))
    assert len(finished(tmp_path)) == N_STRUCTURES
    assert len(runs(tmp_path)) == len(set(runs(tmp_path))) == N_STRUCTURES


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize("max_parallel", [1, 2])
def test_calculators_and_their_programs_end_with_the_command(tmp_path, environment, max_parallel, number):
    pids = tmp_path / "pids"
    process = start(tmp_path, {**environment, "PIDS": str(pids)}, max_parallel)
    wait_until(lambda: pids.exists() and len(pids.read_text().split()) == 2 * max_parallel)
    process.send_signal(number)
    process.communicate(timeout=PATIENCE)
    wait_until(lambda: not any(is_running(pid) for pid in pids.read_text().split()))


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def is_running(pid: str) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("max_parallel", [1, 2])
def test_interrupt_ends_the_programs(tmp_path, environment, max_parallel):
    command = str(tmp_path / "fake_pw.sh")
    (tmp_path / "fake_pw.sh").write_text(
        FAKE_PW.replace("sleep 0.15", "echo $$ >> $RUNS.pids; exec sleep 3600")
    )
    process = start(tmp_path, environment, max_parallel, command)
    pids = tmp_path / "runs.pids"
    wait_until(lambda: pids.exists() and len(pids.read_text().split()) == max_parallel)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE)
    assert b"KeyboardInterrupt" in errors
    for pid in pids.read_text().split():
        assert not Path(f"/proc/{pid}").exists()
    assert len(runs(tmp_path)) == max_parallel
