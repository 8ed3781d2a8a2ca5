"""Calculators for the tests of the engine ``ase``: they print, work with files, fail, crash and hang."""

import ctypes
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, FileIOCalculator, all_changes
from ase.calculators.emt import EMT

sys.stdout.write("printed at import\n")
number = 3


class Wrong(Calculator):
    """Forces of its own making, no stress, and a switch for trouble."""

    implemented_properties = ("energy", "forces")

    def __init__(self, trouble: str = "none", factor: float = 1.0, verbosity: int = 0) -> None:
        super().__init__()
        self.trouble, self.factor, self.verbosity = trouble, factor, verbosity

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        Path("process").write_text(str(os.getpid()))
        forces = self.factor * atoms.positions
        if self.verbosity:
            sys.stdout.write(f"printed by Python {os.environ.get('SEEN_BY_CALCULATOR')}\n")
            sys.stderr.write("error by Python\n")
            ctypes.CDLL(None).printf(b"printed by C\n")
            subprocess.run(["echo", "printed by a program"], check=True)
        if self.trouble == "raise":
            raise RuntimeError("SCF not converged\nin 250 cycles")
        if self.trouble == "exit":
            sys.exit("no license")
        if self.trouble == "nan":
            forces[1, 1] = np.nan
        if self.trouble == "crash":
            ctypes.string_at(0)
        if self.trouble == "hang":
            child = subprocess.Popen(["sleep", "57"])
            Path("child").write_text(str(child.pid))
            time.sleep(57)
        if self.trouble == "relax":
            self.atoms.positions[2] += [0.0, 0.02, 0.0]
        if self.trouble == "sort":
            self.atoms = self.atoms[::-1]
        if self.trouble == "other cell":
            self.atoms.set_cell(1.01 * self.atoms.cell, scale_atoms=True)
        self.results = {"energy": 1.0, "free_energy": 2.0, "forces": forces}


class FileEMT(Calculator):
    """EMT that works like a program: it reads its own input from the working directory after a while."""

    implemented_properties = ("energy", "forces")

    def __init__(self, directory: str = ".", seconds: float = 0.1) -> None:
        super().__init__(directory=directory)
        self.seconds = seconds

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        file = Path(self.directory) / "POSCAR.npy"
        np.save(file, atoms.get_positions())
        time.sleep(self.seconds)
        program = Atoms(atoms.numbers, np.load(file), cell=atoms.cell, pbc=True, calculator=EMT())
        self.results = {"energy": program.get_potential_energy(), "forces": program.get_forces()}


def at_home() -> FileEMT:
    """A calculator with a directory that its author wrote down."""
    return FileEMT(directory=os.environ["HOME_OF_THE_CALCULATOR"])


class Program(FileIOCalculator):
    """A program with a pseudopotential."""

    implemented_properties = ("energy", "forces")

    def __init__(self, command: str, potential: str) -> None:
        super().__init__(command=command)
        self.potential = potential

    def write_input(self, atoms, properties=None, system_changes=None) -> None:
        Path("input").write_text(Path(self.potential).read_text())
