"""Any ASE calculator as an engine: classical potentials, tight binding, machine-learned potentials, programs.

``parameters: {calculator: "tblite.ase:TBLite", arguments: {method: GFN1-xTB}}`` names the class by module and
name. It runs in a process of its own, in the directory of the calculation, so that calculators that work with
files cannot meet. A new calculator is made for every structure, so that a result does not depend on what was
calculated before it.
"""

from __future__ import annotations

import difflib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import ase.io
import numpy as np

from mlff_dyn.engines.ase import worker
from mlff_dyn.engines.ase.machine_arguments import place_of_another, with_absolute_paths, without_physics
from mlff_dyn.engines.ase.worker_pool import WorkerDied, WorkerPool
from mlff_dyn.engines.base import EngineResult, check_keys
from mlff_dyn.engines.command import settle
from mlff_dyn.engines.profile import checked_mapping, checked_texts, checked_timeout_seconds
from mlff_dyn.errors import ConfigError, DataError, EngineError, reason_of
from mlff_dyn.store.atomic import atomic_write_text
from mlff_dyn.store.extxyz import format_frame
from mlff_dyn.store.json_file import read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ase import Atoms

INPUT_NAME = "input.extxyz"
OUTPUT_NAME = "output.json"
FORMAT = "mlff-dyn ase output"
VERSION = 1

EXTRAS = {"matscipy": "matscipy", "tblite": "tblite"}
"""Top-level module to the extra of this package that installs it."""

_CHECK_FIX = "check engine.parameters and engine.profile"
_UNBUFFERED = {"GFORTRAN_UNBUFFERED_PRECONNECTED": "y"}
"""What Fortran prints belongs to the calculation that prints it, not to the one in which a buffer is full."""


class AseEngine:
    """Engine of kind ``ase``; see the module for its parameters.

    Parameters
    ----------
    parameters : mapping
        ``calculator``: module:Class; ``arguments``: its keyword arguments.
    profile : mapping
        ``arguments``: those without physics, such as verbosity or threads; ``environment``: variables added
        for the calculations; ``timeout_minutes``: of one calculation.

    Raises
    ------
    ConfigError
        If a key is unknown, missing or of the wrong type, or the class cannot be found.
    EngineError
        If the module of the calculator cannot be imported.
    """

    kind = "ase"

    def __init__(self, parameters: Mapping[str, Any], profile: Mapping[str, Any]) -> None:
        check_keys("engine.parameters", parameters, ("calculator", "arguments"))
        check_keys("engine.profile", profile, ("arguments", "environment", "timeout_minutes"))
        self._name = _checked_name(parameters.get("calculator"))
        given = checked_mapping(parameters, "engine.parameters", "arguments")
        self.parameters: Mapping[str, Any] = self.physics(parameters)
        self._arguments = _all_arguments(given, checked_mapping(profile, "engine.profile", "arguments"))
        self._timeout_seconds = checked_timeout_seconds(profile)
        environment = {**_UNBUFFERED, **checked_texts(profile, "engine.profile", "environment")}
        serve = worker.serve
        script = f"import json, sys; sys.path[:] = json.loads(sys.argv[1]); from {serve.__module__} import "
        path = json.dumps([str(Path(folder).absolute()) for folder in sys.path])
        command = [sys.executable, "-c", f"{script}{serve.__name__} as serve; serve()", path, self._name]
        self._pool = WorkerPool(command, environment, self._timeout_seconds)
        self._import()

    @staticmethod
    def physics(parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters without those arguments that only say how and where it works."""
        given = checked_mapping(parameters, "engine.parameters", "arguments")
        physics = {name: value for name, value in given.items() if not without_physics(str(name))}
        return {"calculator": parameters.get("calculator"), "arguments": physics}

    def write_input(self, directory: Path, atoms: Atoms) -> None:
        """Write the structure in full precision."""
        columns = {"pos": atoms.positions}
        if np.any(atoms.get_initial_magnetic_moments()):
            columns["initial_magmoms"] = atoms.get_initial_magnetic_moments()
        text = format_frame(atoms.numbers, atoms.cell.array, columns, periodic=atoms.pbc)
        atomic_write_text(directory / INPUT_NAME, text)

    def read_input(self, directory: Path) -> Atoms:
        """Read the structure."""
        atoms: Atoms = ase.io.read(directory / INPUT_NAME, format="extxyz")
        return atoms

    def check(self, directory: Path) -> dict[str, str]:
        """Make the calculator in the directory, find its program, let it write its input."""
        reply = self._ask(directory, only_check=True)
        return {"calculator": self._name, **reply}

    def run(self, directory: Path) -> None:
        """Calculate in a process of its own."""
        reply = self._ask(directory, only_check=False)
        try:
            result = EngineResult.from_json(reply)
        except EngineError as error:
            reason = f"{directory}: {self._name} failed: {error.message}"
            raise EngineError(reason, fix=_fix(directory)) from error
        write_json(directory / OUTPUT_NAME, result.to_json(), format_name=FORMAT, version=VERSION)

    def read_result(self, directory: Path) -> EngineResult:
        """Read what ``run`` wrote."""
        try:
            return EngineResult.from_json(
                read_json(directory / OUTPUT_NAME, format_name=FORMAT, version=VERSION)
            )
        except (DataError, KeyError, TypeError, ValueError) as error:
            raise EngineError(
                f"{directory / OUTPUT_NAME}: no finished calculation: {reason_of(error)}",
                fix="run the same command again, it calculates anew",
            ) from error

    def amend_input(self, directory: Path, attempt: int) -> str | None:  # noqa: ARG002
        """Change nothing: of an unknown calculator nobody knows what may be changed."""
        return None

    def settle(self, directory: Path) -> None:
        """Wait for a calculation that outlived the command that started it."""
        settle(directory, self._timeout_seconds)

    def stop(self) -> None:
        """End all calculations."""
        self._pool.stop()

    def _import(self) -> None:
        """Import the calculator where it will run; nothing that it prints reaches the terminal."""
        module_name, _, class_name = self._name.partition(":")
        where = "engine.parameters.calculator"
        try:
            reply = self._pool.ask({})
        except WorkerDied as error:
            raise EngineError(
                f"{where}: the process that imports {module_name} ends: {error.message}",
                fix=f"see what python -c 'import {module_name}' says, and check the memory",
            ) from error
        step = reply.get(worker.FAILED)
        if step == worker.CLASS:
            names = {name.lower(): name for name in reply["names"]}
            near = [names[name] for name in difflib.get_close_matches(class_name.lower(), names, n=1)]
            raise ConfigError(
                f"{where}: module {module_name} has no class {class_name}",
                fix=f"did you mean {module_name}:{near[0]}?" if near else f"name a class of {module_name}",
            )
        if step == worker.IMPORT:
            raise EngineError(
                f"{where}: module {module_name} cannot be imported: {reply['reason']}",
                fix=_import_fix(module_name, reply["missing"]),
            )

    def _ask(self, directory: Path, *, only_check: bool) -> dict[str, Any]:
        atoms = self.read_input(directory)
        moments = atoms.get_initial_magnetic_moments()
        structure = {
            "numbers": atoms.numbers.tolist(),
            "cell": atoms.cell.array.tolist(),
            "positions": atoms.positions.tolist(),
            "pbc": atoms.pbc.tolist(),
            **({"magmoms": moments.tolist()} if moments.any() else {}),
        }
        request = {
            "directory": str(directory.absolute()),
            "arguments": self._arguments,
            "atoms": structure,
            "only_check": only_check,
        }
        try:
            reply = self._pool.ask(request)
        except WorkerDied as error:
            raise EngineError(
                f"{directory}: {self._name} ended the process that it ran in ({error.message})",
                fix=f"look into {directory / worker.LOG_NAME}, check the memory and engine.parameters",
            ) from error
        except EngineError as error:
            raise EngineError(f"{directory}: {self._name}: {error.message}", fix=error.fix) from error
        if worker.FAILED in reply:
            self._raise(
                reply, "engine" if only_check else directory, _CHECK_FIX if only_check else _fix(directory)
            )
        return reply

    def _raise(self, reply: Mapping[str, Any], where: object, fix: str) -> NoReturn:
        step, reason = reply[worker.FAILED], reply.get("reason", "it cannot be imported any more")
        if step == worker.ARGUMENTS:
            raise ConfigError(
                f"engine.parameters.arguments: {self._name} does not take {self._arguments}: {reason}",
                fix="see the documentation of the calculator",
            )
        if step == worker.ECHO:
            raise EngineError(
                f"{where}: the result of {self._name} does not belong to its input: in the structure of "
                f"the calculator {reason}",
                fix="let the calculator keep the structure that it is given (no relaxation, no dynamics)",
            )
        raise EngineError(f"{where}: {self._name} failed: {reason}", fix=fix)


def _fix(directory: Path) -> str:
    log = directory / worker.LOG_NAME
    return f"check engine.parameters and the structure in {INPUT_NAME}" + (
        f"; {log} has the whole output" if log.exists() else ""
    )


def _checked_name(name: object) -> str:
    fix = "for example tblite.ase:TBLite"
    if not isinstance(name, str):
        raise ConfigError("engine.parameters.calculator: module:Class is required", fix=fix)
    if not all(part.replace(".", "_").isidentifier() for part in [*name.partition(":")[::2]]):
        raise ConfigError(f"engine.parameters.calculator: {name!r} is not module:Class", fix=fix)
    return name


def _all_arguments(parameters: Mapping[str, Any], profile: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of the calculator, from both sections."""
    for name in parameters:
        if name in profile:
            raise ConfigError(
                f"engine.profile.arguments.{name}: given in engine.parameters.arguments, too",
                fix="remove one of them",
            )
    arguments: dict[str, Any] = with_absolute_paths({**parameters, **profile})
    shared = place_of_another(arguments)
    if shared is not None:
        raise ConfigError(
            f"engine.profile.arguments.{shared}: {arguments[shared]} would be shared by all calculations",
            fix=f"remove {shared}: each calculation has a directory of its own",
        )
    return arguments


def _import_fix(module_name: str, missing: str | None) -> str:
    """Where the missing module comes from: an extra, a folder of the user, a package."""
    top = (missing or module_name).partition(".")[0]
    if top in EXTRAS:
        return f"pip install 'mlff-dyn[{EXTRAS[top]}]'"
    if missing is None:
        return "correct the module"
    folder = Path.cwd()
    here = any((folder / name).exists() for name in (f"{top}.py", top))
    return (
        f"put the folder that holds {top} into PYTHONPATH: export PYTHONPATH={folder if here else 'FOLDER'}"
        + ("" if here else f"; or, if {top} is no file of yours, install its package")
    )
