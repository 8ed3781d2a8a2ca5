"""Cut an OUTCAR into its run and its ionic steps, a line at a time.

A step begins with the line ``Iteration   k(   1)`` and is complete with its forces and its free energy, in
either order; what an OUTCAR writes in between has its own mark each. What a machine-learned force field
predicted has other marks, and comes before the first electronic step where that step is calculated too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from mlff_dyn.engines.vasp.numbers import split_numbers
from mlff_dyn.engines.vasp.run_reader import RunEnd

if TYPE_CHECKING:
    from collections.abc import Iterator

_ITERATION = re.compile(r"-\s*Iteration\s*(\d+)\(\s*(\d+)\)\s*-")
_MOST_ROWS = 10_000_000


@dataclass
class RawIonicStep:
    """Lines of an ionic step, unread.

    Attributes
    ----------
    number : int
        As VASP counts, from 1.
    iterations : list of int
        Numbers of its electronic steps.
    electronic : list of str
        Free energy after each of them.
    reached : bool
        VASP says that EDIFF was reached.
    cell, atoms, moments : list of list of str
        Direct and reciprocal vectors; positions and forces; moments of atoms.
    volume, stress, pressure, energy : str or None
        What is behind their marks.
    has_stress : bool
        There is the head of the table that ends with the stress.
    atoms_end : bool
        The line that closes the table of forces was there.
    is_another_run : bool
        The head of another run comes before it.
    """

    number: int
    iterations: list[int] = field(default_factory=list)
    electronic: list[str] = field(default_factory=list)
    reached: bool = False
    cell: list[list[str]] = field(default_factory=list)
    atoms: list[list[str]] = field(default_factory=list)
    moments: list[list[str]] = field(default_factory=list)
    volume: str | None = None
    stress: str | None = None
    pressure: str | None = None
    energy: str | None = None
    has_stress: bool = False
    atoms_end: bool = False
    is_another_run: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether nothing that is needed can follow."""
        return self.atoms_end and self.energy is not None


@dataclass(frozen=True)
class OutcarHead:
    """Lines before the first step."""

    lines: tuple[str, ...]


def scan_outcar(file: IO[bytes]) -> Iterator[OutcarHead | RawIonicStep | RunEnd]:
    """Yield the run, its calculated steps in their order, and the end.

    Parameters
    ----------
    file : binary file
        Read once, a line at a time.
    """
    scan = _Scan()
    lines = (line.decode("latin-1") for line in file)
    for line in lines:
        found = _ITERATION.search(line) if "Iteration" in line else None
        if found is not None:
            yield from scan.iteration(int(found[1]), int(found[2]))
        else:
            scan.line(line, lines)
    if scan.head is not None:
        yield OutcarHead(tuple(scan.head))
    if scan.step is not None:
        yield scan.step
    is_cut = not scan.is_whole and (scan.step is None or scan.step.is_complete)
    n_predicted = max(0, scan.n_predictions - scan.n_calculated)
    yield RunEnd(is_cut, scan.last_number, n_predicted)


class _Scan:
    def __init__(self) -> None:
        self.head: list[str] | None = []
        self.step: RawIonicStep | None = None
        self.n_predictions = 0
        self.n_calculated = 0
        self.last_number = 0
        self.is_whole = False
        self.is_another_run = False
        self.is_new_run = False

    def iteration(self, number: int, iteration: int) -> Iterator[OutcarHead | RawIonicStep]:
        if self.head is not None:
            yield OutcarHead(tuple(self.head))
            self.head = None
        if self.step is None or number != self.step.number or self.is_new_run:
            if self.step is not None:
                yield self.step
            self.step = RawIonicStep(number, is_another_run=self.is_another_run)
            self.is_new_run = False
            self.n_calculated += 1
            self.last_number = number
        if not self.step.is_complete:
            self.step.iterations.append(iteration)

    def line(self, line: str, lines: Iterator[str]) -> None:
        step = self.step
        if "FREE ENERGIE" in line and " ML " in line:
            self.n_predictions += 1
        if self.head is not None:
            self.head.append(line)
        elif "General timing and accounting" in line:
            self.is_whole = True
        elif "executed on" in line and "date" in line:
            self.is_another_run = self.is_new_run = True
            self.is_whole = False
        elif step is not None and not step.is_complete:
            _read_line(step, line, lines)
        elif step is not None and not step.moments:
            _read_moments(step, line, lines)


def _read_line(step: RawIonicStep, line: str, lines: Iterator[str]) -> None:
    """Take what a line tells of a step; tables take the lines after it too."""
    if "TOTEN" in line:
        if "free energy    TOTEN" in line:
            step.electronic.append(_after(line, "="))
        elif "free  energy   TOTEN" in line:
            step.energy = _after(line, "=")
    elif "aborting loop" in line:
        step.reached = "EDIFF is reached" in line
    elif "in kB" in line:
        step.stress = _after(line, "in kB")
    elif "external pressure" in line:
        step.pressure = _after(line, "=")
    elif "FORCE on cell" in line:
        step.has_stress = True
    elif "volume of cell" in line:
        step.volume = _after(line, ":")
    elif "direct lattice vectors" in line:
        step.cell = [split_numbers(next(lines, "")) for _ in range(3)]
    elif "TOTAL-FORCE (eV/Angst)" in line and "(ML)" not in line:
        step.atoms, step.atoms_end = _table(lines)
    else:
        _read_moments(step, line, lines)


def _read_moments(step: RawIonicStep, line: str, lines: Iterator[str]) -> None:
    if line.strip() == "magnetization (x)":
        for _ in range(2):
            next(lines, "")
        step.moments, _ = _table(lines)


def _table(lines: Iterator[str]) -> tuple[list[list[str]], bool]:
    """Read the rows between two dashed lines, and say whether both are there."""
    if not next(lines, "").strip().startswith("---"):
        return [], False
    rows: list[list[str]] = []
    for line in lines:
        if line.strip().startswith("---"):
            return rows, True
        if not line.strip() or len(rows) > _MOST_ROWS or line.lstrip()[:1].isalpha():
            return rows, False
        rows.append(split_numbers(line))
    return rows, False


def _after(line: str, mark: str) -> str:
    return line.partition(mark)[2].strip()
