"""Memory of `run-md` grows by a bounded amount for each atom, on top of what the program itself takes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

MOST_BYTES_PER_ATOM = 2000


def peak_bytes(project: Path, cells: int) -> int:
    """Largest memory of a run that moves, saves and analyses 4 * cells^3 atoms."""
    settings = {"md.supercell": [cells] * 3, "md.n_steps": 2, "md.sample_every": 1}
    options = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    command = [sys.executable, "-m", "mlff_dyn", "run-md", str(project / "CONFIG.yaml"), "-q", *options]
    with subprocess.Popen([*command, "--force", "--allow-unconverged"], stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return 1024 * usage.ru_maxrss


@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted in other units there")
def test_an_atom_takes_two_kilobytes_at_most(project: Path) -> None:
    sizes = 20, 32
    small, large = (peak_bytes(project, cells) for cells in sizes)
    n_atoms = 4 * (sizes[1] ** 3 - sizes[0] ** 3)
    assert (large - small) / n_atoms < MOST_BYTES_PER_ATOM
