"""Any ASE calculator as an engine: classical potentials, tight binding, machine-learned potentials.

``parameters: {calculator: "tblite.ase:TBLite", arguments: {method: GFN1-xTB}}`` names the class by module and
name. A new calculator is made for every structure, so that a result does not depend on what was calculated
before it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import ase.io
import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, PropertyNotImplementedError

from mlff_dyn.engines.base import EngineResult, check_keys
from mlff_dyn.errors import ConfigError, DataError, EngineError
from mlff_dyn.store.atomic import atomic_write_text
from mlff_dyn.store.extxyz import format_frame
from mlff_dyn.store.json_file import read_json, write_json

if TYPE_CHECKING:
    from pathlib import Path

INPUT_NAME = "input.extxyz"
OUTPUT_NAME = "output.json"
FORMAT = "mlff-dyn ase output"
VERSION = 1

EXTRAS = {"matscipy": "matscipy", "tblite": "tblite"}
"""Top-level module to the extra of this package that installs it."""


class AseEngine:
    """Engine of kind ``ase``; see the module for its parameters. The profile is empty.

    Raises
    ------
    ConfigError
        If a key is unknown, missing or of the wrong type, or the class cannot be found.
    EngineError
        If the module of the calculator is not installed.
    """

    kind = "ase"

    def __init__(self, parameters: Mapping[str, Any], profile: Mapping[str, Any]) -> None:
        check_keys("engine.parameters", parameters, ("calculator", "arguments"))
        check_keys("engine.profile", profile, ())
        name = parameters.get("calculator")
        arguments = parameters.get("arguments") or {}
        if not isinstance(name, str):
            raise ConfigError(
                "engine.parameters.calculator: module:Class is required", fix="for example tblite.ase:TBLite"
            )
        if not isinstance(arguments, Mapping):
            raise ConfigError("engine.parameters.arguments: keywords and values expected")
        self.parameters: Mapping[str, Any] = {"calculator": name, "arguments": dict(arguments)}
        self._class = _import_class(name)

    def write_input(self, directory: Path, atoms: Atoms) -> None:
        """Write the structure in full precision."""
        columns = {"pos": atoms.positions}
        if np.any(atoms.get_initial_magnetic_moments()):
            columns["initial_magmoms"] = atoms.get_initial_magnetic_moments()
        text = format_frame(atoms.numbers, atoms.cell.array, columns, periodic=atoms.pbc)
        atomic_write_text(directory / INPUT_NAME, text)

    def run(self, directory: Path) -> None:
        """Calculate in this process."""
        atoms: Atoms = ase.io.read(directory / INPUT_NAME, format="extxyz")
        calculator = self._create_calculator()
        atoms.calc = calculator
        try:
            forces = np.array(atoms.get_forces(apply_constraint=False), dtype=float)
            energy = float(calculator.results.get("free_energy", atoms.get_potential_energy()))
            result = EngineResult(energy, forces, _stress(atoms))
        except DataError:
            raise
        except Exception as error:
            kind = "" if isinstance(error, EngineError) else f"{type(error).__name__}: "
            raise EngineError(
                f"{directory}: {self.parameters['calculator']} failed: {kind}{error}",
                fix="check engine.parameters and the structure in input.extxyz",
            ) from error
        write_json(directory / OUTPUT_NAME, result.to_json(), format_name=FORMAT, version=VERSION)

    def read_result(self, directory: Path) -> EngineResult:
        """Read what ``run`` wrote."""
        try:
            return EngineResult.from_json(
                read_json(directory / OUTPUT_NAME, format_name=FORMAT, version=VERSION)
            )
        except (DataError, KeyError, TypeError, ValueError) as error:
            raise EngineError(f"{directory / OUTPUT_NAME}: no finished calculation: {error}") from error

    def settle(self, directory: Path) -> None:
        """Return at once: a calculation inside this process ends with it."""

    def stop(self) -> None:
        """Return at once: a calculation inside this process cannot be ended from outside."""

    def _create_calculator(self) -> Calculator:
        try:
            return self._class(**self.parameters["arguments"])
        except Exception as error:
            raise ConfigError(
                f"engine.parameters.arguments: {self.parameters['calculator']} does not take "
                f"{self.parameters['arguments']}: {type(error).__name__}: {error}",
                fix="see the documentation of the calculator",
            ) from error


def _stress(atoms: Atoms) -> np.ndarray | None:
    try:
        return np.array(atoms.get_stress(voigt=True, apply_constraint=False), dtype=float)
    except (PropertyNotImplementedError, NotImplementedError):
        return None


def _import_class(name: str) -> Callable[..., Calculator]:
    module_name, _, class_name = name.partition(":")
    if not module_name or not class_name:
        raise ConfigError(
            f"engine.parameters.calculator: {name!r} is not module:Class", fix="for example tblite.ase:TBLite"
        )
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        top = module_name.partition(".")[0]
        package = (
            f"'mlff-dyn[{EXTRAS[top]}]'" if top in EXTRAS else f"the package that holds {top}, such as {top}"
        )
        raise EngineError(
            f"engine.parameters.calculator: module {module_name} cannot be imported: {error}",
            fix=f"pip install {package}",
        ) from error
    found = getattr(module, class_name, None)
    if not callable(found):
        raise ConfigError(f"engine.parameters.calculator: module {module_name} has no class {class_name}")
    created: Callable[..., Calculator] = found
    return created
