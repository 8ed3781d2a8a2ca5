"""Quantum ESPRESSO: one self-consistent pw.x run a structure, with forces and stress."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.io.espresso import read_espresso_in, write_espresso_in
from ase.io.espresso_namelist.keys import pw_keys

from mlff_dyn.engines.base import EngineResult, check_keys
from mlff_dyn.engines.command import CommandRunner, shell_line
from mlff_dyn.engines.espresso.amended_input import amend_input
from mlff_dyn.engines.espresso.magnetism import starting_shares
from mlff_dyn.engines.espresso.output import check_echo, find_routine_error, parse_pw_output
from mlff_dyn.engines.espresso.species_keys import (
    SPECIES_KEYS,
    checked_by_element,
    checked_hubbard,
    expanded,
    hubbard_card,
)
from mlff_dyn.engines.espresso.value_kinds import checked_kind
from mlff_dyn.engines.profile import checked_mapping, checked_texts, checked_timeout_seconds
from mlff_dyn.engines.program import locate_programs, split_command
from mlff_dyn.errors import ConfigError, EngineError

INPUT_NAME = "espresso.pwi"
OUTPUT_NAME = "espresso.pwo"
STDERR_NAME = "espresso.err"
SCRATCH_NAME = "scratch"

_PARAMETERS = ("input_data", "pseudopotentials", "kpoints", "starting_magnetization", "hubbard")
_PROFILE = ("command", "pseudo_dir", "environment", "timeout_minutes")
_OWN_KEYS: dict[str, dict[str, Any]] = {
    "control": {
        "calculation": "scf",
        "tprnfor": True,
        "tstress": True,
        "outdir": SCRATCH_NAME,
        "prefix": "pwscf",
    },
    "system": {"ibrav": 0},
}
_WITHOUT_PHYSICS = ("verbosity", "disk_io", "max_seconds", "title", "wfcdir", "iprint", "restart_mode")
_PSEUDOPOTENTIAL_ELEMENT = re.compile(
    r'\belement\s*=\s*"\s*([A-Za-z]{1,2})\s*"|^\s*([A-Z][a-z]?)\s+Element\s*$', re.MULTILINE
)
_HEADER_CHARACTERS = 200_000
_FORTRAN_NUMBER = re.compile(r"[-+]?\d+(\.\d*)?[eEdD][-+]?\d+")
_OLD_KEYS = (
    "lda_plus_u",
    "lda_plus_u_kind",
    "u_projection_type",
    "hubbard_u",
    "hubbard_v",
    "hubbard_j",
    "hubbard_j0",
)
_FORBIDDEN = {
    "control.lfcp": "a structure needs a fixed number of electrons",
    "control.trism": "the engine writes no card SOLVENTS; calculate without a solvent",
    "control.pseudo_dir": "set engine.profile.pseudo_dir",
    "system.nat": "it follows from the structure",
    "system.ntyp": "it follows from the structure",
    "system.celldm": "the cell follows from the structure",
    "system.a": "the cell follows from the structure",
    "system.starting_magnetization": "set engine.parameters.starting_magnetization: {Fe: 0.5}",
}


class EspressoEngine:
    """Engine of kind ``espresso``.

    Parameters
    ----------
    parameters : mapping
        ``input_data``: namelists of pw.x by section, at least ``system.ecutwfc``; ``pseudopotentials``:
        element to file name; ``kpoints``: gamma, three integers, or {grid, shift};
        ``starting_magnetization``: element to number, for a structure without magnetic moments;
        ``hubbard``: {projectors, lines} of the card HUBBARD (7.1 and later) by element. Keys of species
        in ``system``, such as ``hubbard_u`` (7.0 and before), may be a mapping of elements to numbers.
    profile : mapping
        ``command``: pw.x with its launcher, no shell; ``pseudo_dir`` (or the environment variable
        ESPRESSO_PSEUDO); ``environment``: variables added for the run; ``timeout_minutes``.

    Raises
    ------
    ConfigError
        If a key is unknown, missing, of the wrong type, or one that the engine sets itself.
    """

    kind = "espresso"

    def __init__(self, parameters: Mapping[str, Any], profile: Mapping[str, Any]) -> None:
        check_keys("engine.parameters", parameters, _PARAMETERS)
        check_keys("engine.profile", profile, _PROFILE)
        self.parameters: Mapping[str, Any] = self.physics(parameters)
        self._input_data = _checked_input_data(checked_mapping(parameters, "engine.parameters", "input_data"))
        self._pseudopotentials = checked_texts(parameters, "engine.parameters", "pseudopotentials")
        self._magnetization = checked_mapping(parameters, "engine.parameters", "starting_magnetization")
        self._kpoints, self._shift = _checked_kpoints(parameters.get("kpoints", "gamma"))
        self._hubbard = checked_hubbard(parameters.get("hubbard"))
        self._command = split_command(profile.get("command", "pw.x"), fix="for example mpirun -np 8 pw.x")
        self._pseudo_dir = _checked_pseudo_dir(profile.get("pseudo_dir"))
        self._environment = checked_texts(profile, "engine.profile", "environment")
        self._runner = CommandRunner(self._environment, checked_timeout_seconds(profile))

    @staticmethod
    def physics(parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters without keys that only say what pw.x writes and how long it runs."""
        physics = dict(parameters)
        if isinstance(parameters.get("input_data"), Mapping):
            kept = {name: _with_physics(name, values) for name, values in parameters["input_data"].items()}
            physics["input_data"] = {name: values for name, values in kept.items() if values}
        return physics

    def write_input(self, directory: Path, atoms: Atoms) -> None:
        """Write the pw.x input after checking the program and the pseudopotentials."""
        self._find_programs()
        for symbol in sorted(set(atoms.get_chemical_symbols())):
            self._check_pseudopotential(symbol)
        self._check_kpoints(atoms)
        structure = Atoms(numbers=atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=True)
        structure.set_masses(atoms.get_masses())
        input_data = {section: dict(values) for section, values in self._input_data.items()}
        shares = self._starting_magnetization(atoms, input_data["system"])
        structure.set_initial_magnetic_moments(shares)
        elements = _elements_of_species(structure, input_data["system"])
        input_data["system"] = expanded(input_data["system"], elements)
        input_data["control"]["pseudo_dir"] = str(self._pseudo_dir)
        write_espresso_in(
            directory / INPUT_NAME,
            structure,
            input_data=input_data,
            pseudopotentials=self._pseudopotentials,
            kpts=self._kpoints,
            koffset=self._shift,
            additional_cards=None if self._hubbard is None else hubbard_card(self._hubbard, elements),
        )

    def read_input(self, directory: Path) -> Atoms:
        """Read the structure of the pw.x input."""
        with (directory / INPUT_NAME).open(encoding="utf-8") as file:
            atoms: Atoms = read_espresso_in(file)
        return atoms

    def check(self, directory: Path) -> dict[str, str]:
        """Return programs, pseudopotentials and k-points with their distance along each axis."""
        atoms = self.read_input(directory)
        grid = self._kpoints or (1, 1, 1)
        spacing = 2.0 * np.pi * np.linalg.norm(atoms.cell.reciprocal(), axis=1) / grid
        distances = " ".join(f"{each:.2f}" for each in spacing)
        return {
            "program": " ".join(self._find_programs()),
            "pseudopotentials": " ".join(
                self._pseudopotentials[symbol] for symbol in sorted(set(atoms.get_chemical_symbols()))
            ),
            "k-points": f"{' '.join(map(str, grid))}, {distances} 1/Å apart",
        }

    def run(self, directory: Path) -> None:
        """Run pw.x; its wave functions and densities are removed when it ends well."""
        arguments = [*self._command, "-in", INPUT_NAME]
        status = self._runner.run(arguments, directory, stdout=OUTPUT_NAME, stderr=STDERR_NAME)
        try:
            self.read_result(directory)
        except EngineError as error:
            if status == 0:
                raise
            message = f"{error.message} (exit status {status}{_last_line(directory / STDERR_NAME)})"
            raise EngineError(message, fix=error.fix) from error
        shutil.rmtree(directory / SCRATCH_NAME, ignore_errors=True)

    def command_line(self) -> str:
        """Return the command that runs pw.x."""
        return shell_line(
            [*self._command, "-in", INPUT_NAME], self._environment, stdout=OUTPUT_NAME, stderr=STDERR_NAME
        )

    def read_result(self, directory: Path) -> EngineResult:
        """Read the output and check it against the input beside it."""
        crash = directory / "CRASH"
        if crash.exists():
            reason = find_routine_error(crash.read_text(errors="replace")) or "no reason given"
            raise EngineError(
                f"{crash}: pw.x stopped with an error: {reason}",
                fix="correct engine.parameters as that message says",
            )
        output = directory / OUTPUT_NAME
        try:
            text = output.read_text(errors="replace")
            n_atoms = re.search(r"^\s*nat\s*=\s*(\d+)", (directory / INPUT_NAME).read_text(), re.MULTILINE)
        except OSError as error:
            raise EngineError(
                f"{error.filename}: {error.strerror}", fix="run the same command again"
            ) from error
        result = parse_pw_output(text, output, n_atoms=None if n_atoms is None else int(n_atoms.group(1)))
        check_echo(text, output, self.read_input(directory))
        if self._hubbard is not None and "Hubbard" not in text:
            raise EngineError(
                f"{output}: pw.x has ignored the card HUBBARD, as versions before 7.1 do",
                fix="use pw.x 7.1 or later, or engine.parameters.input_data.system: {lda_plus_u: true, "
                "hubbard_u: {Fe: 4.6}}",
            )
        return result

    def amend_input(self, directory: Path, attempt: int) -> str | None:
        """Change the mixing of a calculation that did not converge."""
        return amend_input(directory / INPUT_NAME, directory / OUTPUT_NAME, attempt)

    def settle(self, directory: Path) -> None:
        """Wait for a pw.x that outlived the command that started it."""
        self._runner.settle(directory)

    def stop(self) -> None:
        """End all running pw.x."""
        self._runner.stop()

    def _starting_magnetization(self, atoms: Atoms, system: dict[str, Any]) -> list[float]:
        """Starting magnetization of each atom; sets ``nspin`` for moments of the structure."""
        if not atoms.get_initial_magnetic_moments().any():
            return [float(self._magnetization.get(symbol, 0.0)) for symbol in atoms.symbols]
        if self._magnetization:
            raise ConfigError(
                "engine.parameters.starting_magnetization: the structure has magnetic moments of its own",
                fix="remove it, or set structure.magnetic_moments",
            )
        files = {symbol: self._pseudo_dir / name for symbol, name in self._pseudopotentials.items()}
        shares = starting_shares(atoms, system, files)
        system["nspin"] = 2
        return shares

    def _check_kpoints(self, atoms: Atoms) -> None:
        grid = self._kpoints or (1, 1, 1)
        for axis, (number, shift, is_periodic) in enumerate(zip(grid, self._shift, atoms.pbc, strict=True)):
            if not is_periodic and (number, shift) != (1, 0):
                raise ConfigError(
                    f"engine.parameters.kpoints: {number} points, shift {shift}, along axis {axis + 1}, "
                    "which is vacuum",
                    fix="use one point without shift there, like [4, 4, 1]",
                )

    def _check_pseudopotential(self, symbol: str) -> None:
        if symbol not in self._pseudopotentials:
            raise ConfigError(
                f"engine.parameters.pseudopotentials: no pseudopotential for {symbol}",
                fix=f"add {symbol}: FILE",
            )
        file = self._pseudo_dir / self._pseudopotentials[symbol]
        if not file.is_file():
            raise EngineError(
                f"pseudopotential {file} of {symbol} does not exist",
                fix="put it there, or correct engine.profile.pseudo_dir or the name of the file",
            )
        with file.open(errors="replace") as lines:
            found = _PSEUDOPOTENTIAL_ELEMENT.search(lines.read(_HEADER_CHARACTERS))
        element = None if found is None else (found[1] or found[2]).capitalize()
        if element not in (None, symbol):
            raise ConfigError(
                f"engine.parameters.pseudopotentials.{symbol}: {file} is of {element}",
                fix=f"give a pseudopotential of {symbol}",
            )

    def _find_programs(self) -> list[str]:
        """Paths of the launcher and of the pw.x that it is to start."""
        others = (word for word in self._command[1:] if word.endswith("pw.x"))
        fix = "install Quantum ESPRESSO or give the full path of pw.x"
        return locate_programs([self._command[0], *others], self._environment, fix=fix)


def _with_physics(name: object, values: Any) -> Any:  # noqa: ANN401 (what is no mapping is refused elsewhere)
    if str(name).lower() != "control" or not isinstance(values, Mapping):
        return values
    return {key: value for key, value in values.items() if str(key).lower() not in _WITHOUT_PHYSICS}


def _checked_input_data(given: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return namelists by lower-case section with the engine's own keys in them."""
    where = "engine.parameters.input_data"
    check_keys(where, {str(name).lower(): value for name, value in given.items()}, pw_keys)
    data: dict[str, dict[str, Any]] = {"control": {"disk_io": "none"}, "system": {}, "electrons": {}}
    for name, values in given.items():
        section = str(name).lower()
        if not isinstance(values, Mapping):
            raise ConfigError(
                f"{where}.{section}: names and values expected, got {values!r}",
                fix="write it as {name: value}",
            )
        known = {*pw_keys[section], *_OLD_KEYS}
        for key, value in values.items():
            bare = str(key).lower().partition("(")[0]
            if f"{section}.{bare}" in _FORBIDDEN:
                raise ConfigError(
                    f"{where}.{section}.{key}: not allowed", fix=_FORBIDDEN[f"{section}.{bare}"]
                )
            own = _OWN_KEYS.get(section, {})
            if bare in own and own[bare] != value:
                raise ConfigError(f"{where}.{section}.{key}: is always {own[bare]!r}", fix="remove it")
            check_keys(f"{where}.{section}", {bare: value}, known)
            place = f"{where}.{section}.{key}"
            data.setdefault(section, {})[str(key).lower()] = (
                checked_by_element(place, value)
                if isinstance(value, Mapping) and str(key).lower() in SPECIES_KEYS
                else checked_kind(place, str(key).lower(), _namelist_value(place, value))
            )
    for section, own in _OWN_KEYS.items():
        data[section].update(own)
    if "ecutwfc" not in data["system"]:
        raise ConfigError(f"{where}.system.ecutwfc: is required", fix="give the plane-wave cutoff in Ry")
    return data


def _elements_of_species(structure: Atoms, system: Mapping[str, Any]) -> list[str]:
    """Element of each species of the input: one for each moment of an element, where there are spins."""
    moments = structure.get_initial_magnetic_moments().tolist()
    has_spins = any(moments) or system.get("nspin") == 2 or bool(system.get("noncolin"))
    kinds = zip(structure.symbols, moments if has_spins else [0.0] * len(structure), strict=True)
    return [element for element, _ in dict.fromkeys(kinds)]


def _namelist_value(where: str, value: object) -> bool | int | float | str:
    """Return a value as pw.x takes it; YAML reads 1e-9 and 1d-9 as text, here they are numbers."""
    if isinstance(value, str) and _FORTRAN_NUMBER.fullmatch(value):
        return float(value.lower().replace("d", "e"))
    if isinstance(value, (bool, int, float, str)):
        return value
    raise ConfigError(f"{where}: a number, text, true or false expected, got {value!r}", fix="give one value")


def _checked_kpoints(given: object) -> tuple[tuple[int, ...] | None, tuple[int, ...]]:
    """Return grid (None for the Gamma point alone) and shift."""
    if given == "gamma":
        return None, (0, 0, 0)
    content = given if isinstance(given, Mapping) else {"grid": given}
    check_keys("engine.parameters.kpoints", content, ("grid", "shift"))
    grid = _three_integers("grid", content.get("grid"), range(1, 1000))
    return grid, _three_integers("shift", content.get("shift", (0, 0, 0)), range(2))


def _three_integers(name: str, values: object, allowed: range) -> tuple[int, ...]:
    integers = tuple(values) if isinstance(values, (list, tuple)) else ()
    if len(integers) != 3 or any(type(value) is not int or value not in allowed for value in integers):
        raise ConfigError(
            f"engine.parameters.kpoints: {name} {values!r} is not three integers",
            fix="use gamma, [4, 4, 4], or {grid: [4, 4, 4], shift: [1, 1, 1]}",
        )
    return integers


def _checked_pseudo_dir(given: object) -> Path:
    chosen = given if given is not None else os.environ.get("ESPRESSO_PSEUDO")
    if not isinstance(chosen, (str, Path)):
        raise ConfigError(
            "engine.profile.pseudo_dir: is required", fix="give the folder of the pseudopotentials"
        )
    return Path(chosen).expanduser().resolve()


def _last_line(path: Path) -> str:
    lines = path.read_text(errors="replace").split("\n") if path.exists() else []
    lines = [line.strip() for line in lines if line.strip(" -\t\r")]
    return f"; {path.name}: {lines[-1]}" if lines else ""
