"""CP2K: one ENERGY_FORCE run a structure, with forces and stress."""

from __future__ import annotations

import copy
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from ase import Atoms

from mlff_dyn.engines.base import EngineResult, check_keys
from mlff_dyn.engines.echo import structure_difference
from mlff_dyn.engines.profile import checked_mapping
from mlff_dyn.engines.program import ProgramEngine, read_output
from mlff_dyn.errors import ConfigError, EngineError
from mlff_dyn.units import BOHR_ANGSTROM, EV_PER_ANGSTROM3_GPA, HARTREE_EV

INPUT_NAME, OUTPUT_NAME, _WHERE = "cp2k.inp", "cp2k.out", "engine.parameters.input"

X = r"\s+([-+]?\d+\.\d*(?:[Ee][-+]?\d+)?)"
ENERGY = rf"^ ENERGY\| Total FORCE_EVAL \(.*\) energy \[(?:a\.u\.|hartree)\]:?{X}\s*$"
_FORCES = (
    r"^ (?:ATOMIC FORCES in \[a\.u\.\]|FORCES\| Atomic forces \[hartree/bohr\])\s*\n((?:.*\n)*?)"
    rf" (?:SUM OF ATOMIC FORCES|FORCES\| Sum){X}{X}{X}"
)
FORCE = rf"^ (?:FORCES\|)?\s+(\d+)(?:\s+\d+\s+[A-Za-z]\w*)?{X}{X}{X}"
STRESS = r"^ STRESS\| (?:Analytical|Numerical) stress tensor \[(GPa|kbar|bar)\]\s*\n.*\n((?:.*\n){3})"
STRESS_ROW = rf"^ STRESS\|\s+[xyz]{X}{X}{X}\s*$"
_SITE = rf"^\s+\d+\s+\d+\s+\S+\s+(\d+){X}{X}{X}\s"
ABORT = r"^ \*\s+\\___/\s+(\S.*?)\s*\*\s*$"
_OWN = {"": ("MOTION",), "GLOBAL": ("PROJECT", "RUN_TYPE"), "SUBSYS": ("CELL", "COORD", "TOPOLOGY")}
GIGAPASCALS = {"GPa": 1.0, "kbar": 0.1, "bar": 1e-4}
_SECTIONS = ("GLOBAL", "FORCE_EVAL", "SUBSYS", "DFT", "SCF", "PRINT")


class Cp2kEngine(ProgramEngine):
    """Engine of kind ``cp2k``.

    Parameters
    ----------
    parameters : mapping
        ``input``: sections of CP2K as nested mappings, ``_`` being the parameter of a section, a list several
        sections or keywords of one name. Structure, run type, and forces and stress are added.
    profile : mapping
        ``command``, ``data_dir`` (basis sets, potentials), ``environment``, ``timeout_minutes``.
    """

    kind = "cp2k"

    def __init__(self, parameters: Mapping[str, Any], profile: Mapping[str, Any]) -> None:
        check_keys("engine.parameters", parameters, ("input",))
        check_keys("engine.profile", profile, ("command", "data_dir", "environment", "timeout_minutes"))
        self.parameters: Mapping[str, Any] = self.physics(parameters)
        self._input = _checked(checked_mapping(parameters, "engine.parameters", "input"), "")
        if not self._input.get("FORCE_EVAL"):
            raise ConfigError(f"{_WHERE}: FORCE_EVAL is required", fix="give the method and basis")
        folder = profile.get("data_dir")
        data = {} if folder is None else {"CP2K_DATA_DIR": str(Path(folder).expanduser().resolve())}
        super().__init__(profile, ["cp2k", "-i", INPUT_NAME], OUTPUT_NAME, data)

    @staticmethod
    def physics(parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters without the section GLOBAL, which says how CP2K works."""
        given = parameters.get("input")
        if not isinstance(given, Mapping):
            return dict(parameters)
        return {**parameters, "input": {k: v for k, v in given.items() if str(k).upper() != "GLOBAL"}}

    def write_input(self, directory: Path, atoms: Atoms) -> None:
        """Write the input after checking the program and the atoms."""
        self.find_programs()
        if atoms.get_initial_magnetic_moments().any():
            raise ConfigError("engine.kind: cp2k does not take magnetic moments", fix="use another engine")
        self._write(directory, atoms, self._input)

    def _write(self, directory: Path, atoms: Atoms, sections: dict[str, Any]) -> None:
        content = copy.deepcopy(sections)
        content.setdefault("GLOBAL", {}).update(PROJECT="cp2k", RUN_TYPE="ENERGY_FORCE")
        evaluation = content.setdefault("FORCE_EVAL", {})
        evaluation.setdefault("STRESS_TENSOR", "ANALYTICAL")
        evaluation.setdefault("PRINT", {}).update(FORCES={"_": "ON"}, STRESS_TENSOR={"_": "ON"})
        names, rows = ["A", "B", "C", *atoms.symbols], [*atoms.cell.tolist(), *atoms.positions.tolist()]
        lines = [f"{name} {' '.join(map(repr, row))}" for name, row in zip(names, rows, strict=True)]
        evaluation.setdefault("SUBSYS", {}).update(CELL={"": lines[:3]}, COORD={"": lines[3:]})
        (directory / INPUT_NAME).write_text("\n".join(_lines(content)) + "\n", encoding="utf-8")

    def read_input(self, directory: Path) -> Atoms:
        """Read the structure of the input, to the last bit."""
        text = read_output(directory / INPUT_NAME)
        cell, sites = (
            [line.split() for line in text.partition(f"&{name}\n")[2].partition("&END")[0].splitlines()]
            for name in ("CELL", "COORD")
        )
        vectors, positions = (np.array([row[1:] for row in rows], float) for rows in (cell, sites))
        return Atoms([row[0] for row in sites], positions, cell=vectors, pbc=True)

    def check(self, directory: Path) -> dict[str, str]:
        """Let CP2K parse the input; return the program and where its data are."""
        arguments = [self.find_programs()[-1], "--check", INPUT_NAME]
        environment = {**os.environ, **self._environment}
        done = subprocess.run(arguments, cwd=directory, env=environment, capture_output=True, check=False)
        if b"SUCCESS" not in done.stdout:
            said = *re.findall(ABORT, done.stdout.decode(errors="replace"), re.MULTILINE), "cannot read it"
            raise ConfigError(f"{_WHERE}: CP2K {said[0]}", fix="correct it as its manual says")
        return {"program": arguments[0], "data": environment.get("CP2K_DATA_DIR", "of the program")}

    def run(self, directory: Path) -> None:
        """Run CP2K; its wave functions are removed when it ends well."""
        self.run_and_read(directory)
        for path in directory.glob("cp2k-RESTART.*"):
            path.unlink()

    def read_result(self, directory: Path) -> EngineResult:
        """Read the output and check it against the input beside it."""
        path = directory / OUTPUT_NAME
        return parse_output(read_output(path), path, self.read_input(directory))

    def amend_input(self, directory: Path, attempt: int) -> str | None:
        """Give a self-consistent cycle that did not converge more steps and, without OT, another mixing."""
        if attempt > 1 or "NOT converged" not in read_output(directory / OUTPUT_NAME):
            return None
        sections = copy.deepcopy(self._input)
        cycle = sections.setdefault("FORCE_EVAL", {}).setdefault("DFT", {}).setdefault("SCF", {})
        cycle["MAX_SCF"] = max(200, 4 * int(cycle.get("MAX_SCF", 50)))
        if "OT" not in cycle:
            cycle["MIXING"] = {"METHOD": "BROYDEN_MIXING", "ALPHA": 0.1, "NBROYDEN": 8}
        self._write(directory, self.read_input(directory), sections)
        return f"MAX_SCF {cycle['MAX_SCF']}" + ("" if "OT" in cycle else ", BROYDEN_MIXING with ALPHA 0.1")


def _checked(given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return sections by upper-case names, those that the engine writes refused."""
    found = {str(name).upper(): value for name, value in given.items()}
    for name, value in found.items():
        is_section = isinstance(value, Mapping)
        if name in _OWN.get(where, ()) or (name in _SECTIONS and not is_section):
            raise ConfigError(f"{_WHERE}: {name} cannot be set so", fix="correct or remove it")
        found[name] = _checked(value, name) if is_section else value
    return found


def _lines(sections: Mapping[str, Any]) -> Iterator[str]:
    """Write sections as text, keywords before the sections within."""
    for name, values in sections.items():
        for value in values if isinstance(values, list) else [values]:
            if isinstance(value, Mapping):
                yield f"&{name} {value.get('_', '')}".rstrip()
                yield from _lines({key: each for key, each in value.items() if key != "_"})
                yield f"&END {name}"
            else:
                yield f"{name} {str(value).upper() if isinstance(value, bool) else value}".strip()


def parse_output(text: str, name: Path, atoms: Atoms) -> EngineResult:
    """Read energy, forces and stress of a complete, converged output of these atoms; refuse any other."""

    def refuse(reason: str, fix: str = "remove its directory and run the same command again") -> NoReturn:
        raise EngineError(f"{name}: {reason}", fix=fix)

    abort = re.search(ABORT, text, re.MULTILINE)
    ended = re.search(r"PROGRAM ENDED AT\s+(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)", text)
    if "NOT converged" in text or "FAILED to converge" in text:
        refuse("the self-consistent cycle did not converge", "raise DFT.SCF.MAX_SCF, or change MIXING or OT")
    if abort is not None or ended is None:
        reason = "the output is cut (no PROGRAM ENDED AT)" if abort is None else f"CP2K stopped: {abort[1]}"
        refuse(reason, "correct engine.parameters.input, or memory and time limits of the profile")
    energies, cycle = re.findall(ENERGY, text, re.MULTILINE), text.partition("SCF WAVEFUNCTION OPTIMIZATION")
    if len(energies) != 1 or (cycle[1] and not re.search("SCF (run|loop) converged in", cycle[2])):
        refuse("no energy of a converged self-consistent cycle")
    block, tensor = (re.search(each, text, re.MULTILINE) for each in (_FORCES, STRESS))
    if block is None or tensor is None:
        refuse("no forces or no stress")
    rows = re.findall(FORCE, block[1], re.MULTILINE)
    forces = np.array([row[1:] for row in rows], float)
    stress = np.array(re.findall(STRESS_ROW, tensor[2], re.MULTILINE), float)
    if [int(row[0]) for row in rows] != list(range(1, len(atoms) + 1)) or stress.shape != (3, 3):
        refuse(f"forces of {len(rows)} atoms, expected {len(atoms)}, or a damaged stress")
    if np.abs(forces.sum(axis=0) - np.array(block.groups()[1:], float)).max() > 1e-8 * (len(atoms) + 1):
        refuse("the forces do not add up to the sum below them")
    if np.linalg.norm(forces.sum(axis=0)) > max(0.01, 0.5 * np.linalg.norm(forces)):
        refuse("the net force is as large as the forces of the atoms", "raise CUTOFF in DFT.MGRID")
    echo = text.upper().partition("ATOMIC COORDINATES IN ANGSTROM")[2]
    sites = np.array(re.findall(_SITE, echo, re.MULTILINE)[: len(atoms)], float).reshape(-1, 4)
    given, cell = (atoms.numbers, atoms.cell.array, atoms.positions), atoms.cell.array
    if (other := structure_difference(given, (sites[:, 0], cell, sites[:, 1:]))) is not None:
        refuse(f"the output does not belong to its input: {other}")
    voigt = (0.5 * (stress + stress.T))[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
    program = " ".join(["CP2K", *re.findall(r"CP2K version (\S+)", text)[:1]])
    return EngineResult(
        energy_ev=float(energies[0]) * HARTREE_EV,
        forces_ev_per_angstrom=forces * HARTREE_EV / BOHR_ANGSTROM,
        stress_ev_per_angstrom3=-voigt * (GIGAPASCALS[tensor[1]] / EV_PER_ANGSTROM3_GPA),
        origin={"program": program, "date": "T".join(ended.groups())},
    )
