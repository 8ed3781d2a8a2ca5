"""One command at a time in a run directory."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from mlff_dyn.errors import DataError, UsageError
from mlff_dyn.store.lock import RunLock, reading

if TYPE_CHECKING:
    from pathlib import Path

HOLD = (
    "import sys, time; from pathlib import Path; from mlff_dyn.store.lock import RunLock\n"
    "with RunLock(Path(sys.argv[1])):\n"
    "    print('held', flush=True); time.sleep(60)\n"
)


def test_second_holder_is_refused_and_told_who_holds(tmp_path):
    with (
        RunLock(tmp_path / "run"),
        pytest.raises(UsageError, match=f"process {os.getpid()}"),
        RunLock(tmp_path / "run"),
    ):
        pass


def test_is_free_again_afterwards(tmp_path):
    for _ in range(2):
        with RunLock(tmp_path):
            pass


def test_other_process_is_refused_until_killed(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE)
    with process:
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(UsageError, match=f"in use by process {process.pid}"), RunLock(tmp_path):
            pass
        process.kill()
    with RunLock(tmp_path):
        pass


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious\n")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").symlink_to(victim)
    with pytest.raises(DataError, match=r"symbolic link.*remove"), RunLock(tmp_path / "run"):
        pass
    assert victim.read_text() == "precious\n"


def test_readers_share_a_directory_but_not_with_a_command(tmp_path):
    with reading(tmp_path), reading(tmp_path):
        assert not list(tmp_path.iterdir())
    with RunLock(tmp_path), pytest.raises(UsageError, match=f"process {os.getpid()}"), reading(tmp_path):
        pass
    with reading(tmp_path), reading(tmp_path), pytest.raises(UsageError), RunLock(tmp_path):
        pass
    with RunLock(tmp_path):
        pass


def test_what_a_killed_command_was_writing_is_removed(tmp_path: Path) -> None:
    """Files of processes that live, of other machines and of other programs stay."""
    code = (
        "import os, signal, sys; from pathlib import Path; from mlff_dyn.store.atomic import atomic_write\n"
        "with atomic_write(Path(sys.argv[1])) as temporary: os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    target = tmp_path / "structure" / "primitive.vasp"
    subprocess.run([sys.executable, "-c", code, target], check=False, timeout=60)
    (abandoned,) = target.parent.iterdir()
    machine, process = abandoned.name.split(".")[2].split("-")[:2]
    kept = [
        tmp_path / f".a.{machine}-{os.getpid()}-00000000.tmp.json",
        tmp_path / f".b.{int(machine, 16) ^ 1:08x}-{process}-00000000.tmp.json",
        tmp_path / ".other.tmp",
    ]
    for path in kept:
        path.touch()
    with RunLock(tmp_path):
        assert not abandoned.exists()
        assert all(path.exists() for path in kept)
