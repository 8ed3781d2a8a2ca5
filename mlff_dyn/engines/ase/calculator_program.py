"""What an ASE calculator that starts a program needs for it, checked without a calculation."""

from __future__ import annotations

import shlex
import shutil
from typing import TYPE_CHECKING, Any

from ase.calculators.calculator import FileIOCalculator, all_changes

from mlff_dyn.errors import EngineError

if TYPE_CHECKING:
    from ase import Atoms
    from ase.calculators.calculator import Calculator

_PROPERTIES = ["energy", "forces", "stress"]


def check_program(calculator: Calculator, atoms: Atoms) -> dict[str, Any]:
    """Find the program of a calculator and let it write its input, with pseudopotentials, in this directory.

    Returns
    -------
    dict
        ``program``: its path, where there is one.

    Raises
    ------
    EngineError
        If the program is not there; whatever the calculator raises if it cannot write its input.
    """
    command = _command(calculator)
    program = None if command is None else _find(command)
    if hasattr(calculator, "write_inputfiles"):
        calculator.write_inputfiles(atoms, _PROPERTIES)
    elif command is not None and hasattr(calculator, "write_input"):
        calculator.atoms = atoms.copy()
        calculator.write_input(atoms, _PROPERTIES, all_changes)
    return {} if program is None else {"program": program}


def _command(calculator: Calculator) -> str | None:
    """Command line of a calculator of files, as ASE keeps it; None for one that calculates by itself."""
    if hasattr(calculator, "make_command"):
        return str(calculator.make_command(calculator.command))
    if isinstance(calculator, FileIOCalculator) or hasattr(calculator, "template"):
        command = getattr(getattr(calculator, "profile", None), "command", None)
        return command if isinstance(command, str) else None
    return None


def _find(command: str) -> str | None:
    """Path of the program of a command, after variables that it sets; None for a script of the shell."""
    if set(command) & set(";|&$`()"):
        return None
    words = [word for word in shlex.split(command) if "=" not in word]
    program = None if not words else shutil.which(words[0])
    if program is None:
        raise EngineError(
            f"program {words[0] if words else repr(command)} cannot be found",
            fix="load its module, add its folder to PATH, or give its whole path in the command",
        )
    return program
