"""The process in which an ASE calculator runs: a request a line comes in, a reply a line goes out.

Standard output and standard error, also those of C and Fortran code and of programs that the calculator
starts, go to a file in the directory of the calculation, which is the working directory as long as it takes.
When the command that started this process is gone, so is this process, with all that it started.
"""

from __future__ import annotations

import ctypes
import faulthandler
import fcntl
import importlib
import json
import os
import queue
import signal
import sys
import threading
import traceback
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError

from mlff_dyn.engines.ase.calculator_program import check_program
from mlff_dyn.engines.command import PROCESS_LOCK
from mlff_dyn.engines.echo import structure_difference
from mlff_dyn.engines.magnetic_state import state_of_results
from mlff_dyn.errors import MlffError, reason_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ase.calculators.calculator import Calculator

    Reply = dict[str, Any]

LOG_NAME = "calculator.log"
FAILED, IMPORT, CLASS, ARGUMENTS, CALCULATION, ECHO = (
    "failed",
    "import",
    "class",
    "arguments",
    "calculation",
    "echo",
)
"""Key of a reply that is a failure, and the steps that can fail."""


def serve() -> None:
    """Answer requests until there are no more; the arguments are the module path and ``module:Class``."""
    requests = _Requests(os.dup(0))
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    faulthandler.enable()
    create, failure = _import_calculator(sys.argv[2])
    while (request := requests.take()) is not None:
        reply = failure if create is None else _answer(create, request)
        # Before the reply: the next request may come as soon as it is read.
        requests.is_busy = False
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


class _Requests:
    """Requests in their order; the process group is killed where they end in the middle of one."""

    def __init__(self, descriptor: int) -> None:
        self.is_busy = False
        self._queue: queue.SimpleQueue[Reply | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, args=(descriptor,), daemon=True).start()

    def take(self) -> Reply | None:
        """Wait for the next one; None when there are no more."""
        return self._queue.get()

    def _read(self, descriptor: int) -> None:
        with os.fdopen(descriptor, encoding="utf-8") as lines:
            for line in lines:
                self.is_busy = True
                self._queue.put(json.loads(line))
        if self.is_busy:
            os.killpg(0, signal.SIGKILL)
        self._queue.put(None)


def _import_calculator(name: str) -> tuple[Callable[..., Calculator] | None, Reply]:
    module_name, _, class_name = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except BaseException as error:  # noqa: BLE001 (SystemExit is a failure, too)
        traceback.print_exc()
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        return None, {**_failure(IMPORT, error), "missing": missing}
    found = getattr(module, class_name, None)
    if not callable(found):
        names = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        return None, {FAILED: CLASS, "names": names}
    return found, {}


def _answer(create: Callable[..., Calculator], request: Reply) -> Reply:
    directory = request.get("directory")
    if directory is None:
        return {}
    with _inside(Path(directory)):
        try:
            calculator = create(**request["arguments"])
            if hasattr(calculator, "directory") and not _is_inside(calculator.directory):
                calculator.directory = "."
        except BaseException as error:  # noqa: BLE001 (SystemExit is a failure, too)
            traceback.print_exc()
            return _failure(ARGUMENTS, error)
        try:
            atoms = Atoms(**request["atoms"])
            return (check_program if request["only_check"] else calculate)(calculator, atoms)
        except BaseException as error:  # noqa: BLE001 (SystemExit is a failure, too)
            traceback.print_exc()
            return _failure(CALCULATION, error)


def calculate(calculator: Calculator, atoms: Atoms) -> Reply:
    """Return energy, forces and stress, or in what the calculator has changed the structure."""
    given = (atoms.numbers.copy(), atoms.cell.array.copy(), atoms.positions.copy())
    atoms.calc = calculator
    forces = np.array(atoms.get_forces(apply_constraint=False), dtype=float)
    energy = float(calculator.results.get("free_energy", atoms.get_potential_energy()))
    stress = _stress(atoms)
    for used in (atoms, getattr(calculator, "atoms", None)):
        if isinstance(used, Atoms):
            difference = structure_difference(given, (used.numbers, used.cell.array, used.positions))
            if difference is not None:
                return {FAILED: ECHO, "reason": difference}
    state = state_of_results(calculator.results)
    return {
        **({} if state is None else {"magnetic_state": state.to_json()}),
        "energy_ev": energy,
        "forces_ev_per_angstrom": forces.tolist(),
        "stress_ev_per_angstrom3": None if stress is None else stress.tolist(),
    }


def _stress(atoms: Atoms) -> np.ndarray | None:
    try:
        return np.array(atoms.get_stress(voigt=True, apply_constraint=False), dtype=float)
    except (PropertyNotImplementedError, NotImplementedError):
        return None


@contextmanager
def _inside(directory: Path) -> Iterator[None]:
    """Work in a directory: its lock is held, and what is printed goes to a file there."""
    before = [os.dup(1), os.dup(2)]
    home = Path.cwd()
    with (directory / PROCESS_LOCK).open("w") as lock, (directory / LOG_NAME).open("ab") as log:
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.chdir(directory)
        _point_streams(log.fileno(), log.fileno())
        try:
            yield
        finally:
            _point_streams(*before)
            os.chdir(home)
    for descriptor in before:
        os.close(descriptor)
    if not (directory / LOG_NAME).stat().st_size:
        (directory / LOG_NAME).unlink()


def _point_streams(output: int, errors: int) -> None:
    """Write what is buffered, also by the C library, then let both streams go elsewhere."""
    sys.stdout.flush()
    sys.stderr.flush()
    ctypes.CDLL(None).fflush(None)
    os.dup2(output, 1)
    os.dup2(errors, 2)


def _is_inside(directory: object) -> bool:
    return not isinstance(directory, str | Path) or Path(directory).resolve().is_relative_to(Path.cwd())


def _failure(step: str, error: BaseException) -> Reply:
    kind = "" if isinstance(error, MlffError) else f"{type(error).__name__}: "
    return {FAILED: step, "reason": kind + reason_of(error)}
