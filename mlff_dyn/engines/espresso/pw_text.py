"""Text outputs of pw.x, 5.x to 7.x, as labelled steps: scf, relax, vc-relax, md and vc-md.

A step is what stands between the end of one self-consistent calculation and that of the next: its geometry,
then its energy, forces and stress. Each is accepted for what it holds, whatever became of the run later.
The energy is the total energy that pw.x prints, with smearing F = E - TS: forces and stress are derivatives
of that one. The printed stress is positive under compression; steps have it positive under tension.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from ase.data import atomic_numbers
from ase.io.espresso import label_to_symbol

from mlff_dyn.engines.espresso.output import (
    AGAIN,
    OUT_OF_TIME,
    Unusable,
    find_routine_error,
    parse_n_atoms,
    parse_step,
    parse_threshold,
)
from mlff_dyn.engines.espresso.text_geometry import (
    Start,
    free_components,
    is_variable_cell,
    parse_geometry,
    parse_start,
)
from mlff_dyn.engines.espresso.text_settings import parse_settings
from mlff_dyn.errors import MlffError
from mlff_dyn.store.calculated_steps import LabelFormat, ReadOptions, RefusedStep
from mlff_dyn.store.dataset import Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mlff_dyn.engines.base import EngineResult
    from mlff_dyn.engines.espresso.settings import PwSettings
    from mlff_dyn.store.source import Source

_PROGRAM = "Program PWSCF"
_MARKS = re.compile(
    r"\s*(?:(?P<run>Program PWSCF)|(?P<scf>Self-consistent Calculation|End of self-consistent|!)"
    r"|(?P<after>Forces acting|Total force =|total   stress|Writing |Entering Dynamics|BFGS Geometry"
    r"|number of scf cycles|Energy error|Ekin|JOB DONE|init_run)"
    r"|(?P<geometry>ATOMIC_POSITIONS|CELL_PARAMETERS|new unit-cell volume|bravais-lattice index"
    r"|crystal axes:|site n\.))"
)
_CLOSED = re.compile(r"Writing |Entering Dynamics|BFGS Geometry|number of scf cycles|JOB DONE|init_run")
_COUNT = re.compile(
    r"Entering Dynamics[:;]\s*(?:iteration|it)\s*=\s*(\d+)|number of scf cycles\s*=\s*(\d+)"
    r"|bfgs (?:converged in|failed after)\s+(\d+) scf cycles"
)
_END_OF_RELAXATION = re.compile(r"End of BFGS|[Ff]inal scf calculation|bfgs converged")
_ITERATION = re.compile(r"^[ \t]*iteration #\s*(\d+)", re.MULTILINE)
_N_ITERATIONS = re.compile(r"convergence has been achieved in\s+(\d+) iterations")
_COMPLETE = "give the complete output of a run that ended"
_CORRECT = "correct its input, and calculate again"
_SCF = "give an output of calculation = 'scf', 'relax', 'vc-relax', 'md' or 'vc-md'"


def recognizes_pw_text(source: Source, head: bytes) -> bool:  # noqa: ARG001 (the name says nothing)
    """Whether a file begins like an output of pw.x."""
    return _PROGRAM.encode() in head


def read_pw_text(source: Source, options: ReadOptions) -> Iterator[Snapshot | RefusedStep]:
    """Read the chosen steps of a text output.

    Parameters
    ----------
    source : Source
    options : ReadOptions

    Yields
    ------
    Snapshot or RefusedStep
    """
    yield from options.steps.of(_steps(source))


PW_TEXT = LabelFormat("output of pw.x", recognizes_pw_text, read_pw_text)


def snapshot_of(
    labels: Iterable[str],
    cell: np.ndarray,
    positions: np.ndarray,
    result: EngineResult,
) -> Snapshot:
    """Put the geometry of a step and its results together.

    Raises
    ------
    Unusable
        If a species is none of an element.
    """
    numbers = [atomic_numbers.get(_symbol(label), 0) for label in labels]
    if 0 in numbers:
        raise Unusable(
            f"species {list(labels)[numbers.index(0)]} does not begin with a chemical symbol",
            fix="rename it, like Fe1, and calculate again",
        )
    state = result.magnetic_state
    return Snapshot(
        numbers=np.array(numbers),
        positions=positions,
        cell=cell,
        energy_ev=result.energy_ev,
        forces_ev_per_angstrom=result.forces_ev_per_angstrom,
        stress_ev_per_angstrom3=result.stress_ev_per_angstrom3,
        magnetic_moments=None if state is None else state.moments,
    )


def _symbol(label: str) -> str:
    try:
        return str(label_to_symbol(label))
    except KeyError:
        return label


@dataclass(frozen=True)
class _Block:
    """Text from the end of one self-consistent calculation to that of the next, and what follows."""

    text: str
    begins_run: bool
    has_scf: bool
    following: str = ""
    is_last: bool = False


def _blocks(lines: Iterable[str]) -> Iterator[_Block]:
    """Cut an output before each geometry that follows on a calculation; the last block knows that it is."""
    held: _Block | None = None
    for block in _cut(lines):
        if held is not None:
            yield replace(held, following="" if block.begins_run else block.text)
        held = block
    if held is not None:
        yield replace(held, is_last=True)


def _cut(lines: Iterable[str]) -> Iterator[_Block]:
    kept: list[str] = []
    begins_run, has_scf, is_after = False, False, False
    for line in lines:
        found = _MARKS.match(line)
        mark = found.lastgroup if found else None
        if mark == "run" or (mark == "geometry" and has_scf) or (mark == "scf" and is_after):
            yield _Block("".join(kept), begins_run, has_scf)
            kept, begins_run, has_scf, is_after = [], mark == "run", False, False
        kept.append(line)
        has_scf = has_scf or mark == "scf"
        is_after = is_after or (mark == "after" and has_scf)
    yield _Block("".join(kept), begins_run, has_scf)


def _steps(source: Source) -> Iterator[Snapshot | RefusedStep]:
    number = 0
    run = _Run(source)
    with source.open() as file:
        for block in _blocks(line.decode(errors="replace") for line in file):
            if block.begins_run:
                run = _Run(source)
            run.open_block(block)
            if block.has_scf:
                number += 1
                yield run.step(block, number)
            elif block.is_last and not run.has_steps:
                yield _refused(source, None, block, Unusable("no self-consistent calculation", fix=_SCF))


def _refused(source: Source, number: int | None, block: _Block, error: Unusable) -> RefusedStep:
    """Say why a step is not there: rather what stopped pw.x than what is missing because of it."""
    reason = find_routine_error(block.text)
    if reason is not None:
        return RefusedStep(source, number, f"pw.x stopped with an error: {reason}", _CORRECT)
    if OUT_OF_TIME in block.text:
        return RefusedStep(source, number, f"pw.x ran out of its time ({OUT_OF_TIME})", _COMPLETE)
    if block.is_last and "JOB DONE" not in block.text and "NOT achieved" not in block.text:
        where = "before any step" if number is None else "in this step"
        reason = f"the output ends {where}: killed, or still running ({error.reason})"
        return RefusedStep(source, number, reason, _COMPLETE)
    return RefusedStep(source, number, error.reason, error.fix)


def _check_iterations(text: str) -> None:
    """Refuse a self-consistent cycle whose iterations are not those of one."""
    last = text.rpartition("Self-consistent Calculation")[2]
    numbers, total = [int(number) for number in _ITERATION.findall(last)], _N_ITERATIONS.findall(last)
    whole = [*numbers, int(total[-1]) + 1] if total else numbers
    if any(after <= before for before, after in pairwise(whole)):
        raise Unusable("lines are missing in its self-consistent cycle", fix=AGAIN)


class _Run:
    """What holds for all steps of one run of pw.x."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._head: str | None = None
        self._known: tuple[int, Start | None, float | None] | None = None
        self._labels: tuple[str, ...] | None = None
        self._settings: PwSettings | None = None
        self._has_variable_cell = False
        self._count: int | None = None
        self._is_relaxed = False
        self._doubt: Unusable | None = None
        self.has_steps = False

    def open_block(self, block: _Block) -> None:
        """Note what a block says of the steps after it, too."""
        if self._head is None:
            self._head = block.text
        self._has_variable_cell = self._has_variable_cell or is_variable_cell(block.text)
        self.has_steps = self.has_steps or block.has_scf
        if block.has_scf:
            self._doubt = self._doubt_about(block)

    def _doubt_about(self, block: _Block) -> Unusable | None:
        """Say if the text of a step may be of two, whose lines between are missing: pw.x counts its steps."""
        counts = {int(next(filter(None, found))) for found in _COUNT.findall(block.text)}
        before, is_relaxed = self._count, self._is_relaxed
        self._count = max(counts, default=before)
        self._is_relaxed = is_relaxed or _END_OF_RELAXATION.search(block.text) is not None
        if before is not None and not is_relaxed and not counts:
            return Unusable("no end of the step", fix=_COMPLETE)
        is_restart = before is None and "estart" in block.text
        if counts and not is_restart and counts != {(before or 0) + 1}:
            return Unusable(f"lines are missing: pw.x counts it as step {max(counts)}", fix=AGAIN)
        return None

    def step(self, block: _Block, number: int) -> Snapshot | RefusedStep:
        """Read the step of a block."""
        try:
            return self._read(block, number)
        except Unusable as error:
            return _refused(self._source, number, block, error)
        except MlffError as error:
            return RefusedStep(self._source, number, error.message, error.fix or AGAIN)

    def _beginning(self, head: str) -> tuple[int, Start | None, float | None]:
        if self._known is None:
            self._known = (parse_n_atoms(head), parse_start(head), parse_threshold(head))
        return self._known

    def _read(self, block: _Block, number: int) -> Snapshot:
        head = self._head or ""
        n_atoms, start, threshold = self._beginning(head)
        free = free_components(block.text + block.following, n_atoms)
        result = parse_step(block.text, n_atoms, threshold, free)
        with_cell = self._has_variable_cell and block.text is not head
        geometry = parse_geometry(block.text, n_atoms, start, with_cell=with_cell)
        _check_iterations(block.text)
        if self._labels not in (None, geometry.labels):
            raise Unusable("its atoms are not those of the steps before", fix=AGAIN)
        self._labels = geometry.labels
        if self._doubt is not None:
            raise self._doubt
        if block.is_last and result.stress_ev_per_angstrom3 is None and not _CLOSED.search(block.text):
            raise Unusable("no end of the step", fix=_COMPLETE)
        if self._settings is None:
            self._settings = parse_settings(head, None if start is None else start.axes, geometry.labels)
        snapshot = snapshot_of(geometry.labels, geometry.cell, geometry.positions, result)
        return replace(snapshot, provenance=self._settings.provenance(self._source, number))
