"""A run directory on a full disk: one line, exit code 3, and everything goes on when there is space."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.drills.copper_project import VERBS, faults_of_ending, make_project, start

pytestmark = pytest.mark.drill

WRITING = ("train", "run-md", "check-convergence", "phonons", "export", "export a trajectory", "validate")
SIZE = "24m"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own; only root may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(disk)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a file system: {mounted.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(disk: Path, n_free: int) -> Path:
    """Leave so many bytes free."""
    filler = disk / "filler"
    free = os.statvfs(disk)
    with filler.open("wb") as file:
        file.write(bytes(max(0, free.f_bavail * free.f_frsize - n_free)))
    return filler


@pytest.mark.parametrize("n_free", [0, 8192, 65536])
def test_each_verb_says_so_and_goes_on(small_disk: Path, n_free: int) -> None:
    folder = make_project(small_disk / "project")
    found = []
    for verb in WRITING:
        filler = fill(small_disk, n_free)
        process = start(folder, *VERBS[verb])
        _, errors = process.communicate(timeout=300)
        text = errors.decode()
        found += [f"{verb}: {fault}\n{text}" for fault in faults_of_ending(process.returncode, text)]
        if process.returncode not in (0, 3) or (process.returncode == 0 and n_free == 0):
            found.append(f"{verb}: exit code {process.returncode} on a full disk\n{text}")
        filler.unlink()
        shutil.rmtree(folder / "exported", ignore_errors=True)
        (folder / "frames.extxyz").unlink(missing_ok=True)
        process = start(folder, *VERBS[verb])
        _, errors = process.communicate(timeout=300)
        if process.returncode:
            found.append(f"{verb}: exit code {process.returncode} with space again\n{errors.decode()}")
    assert not found, "\n".join(found)
