"""Text output of pw.x (5.x to 7.x) to energy, forces and stress in eV and Å.

An output is accepted for what it holds, not for how it ends: a killed or a failed run can still have written
its end marker. What is printed twice must agree: the norm of the forces, the stress in Ry/bohr³ and in kbar.
Each refusal names the file, the reason and the next step.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.engines.base import EngineResult
from mlff_dyn.engines.echo import structure_difference
from mlff_dyn.engines.magnetic_state import MagneticState
from mlff_dyn.errors import EngineError
from mlff_dyn.units import (
    BOHR_ANGSTROM,
    EV_PER_ANGSTROM3_GPA,
    RYDBERG_EV,
    RYDBERG_PER_BOHR3_EV_PER_ANGSTROM3,
    RYDBERG_PER_BOHR_EV_PER_ANGSTROM,
)

if TYPE_CHECKING:
    from ase import Atoms

_NUMBER = r"[-+]?\d+\.\d+"
_STRESS_NUMBER = r"[-+]?\d+\.\d{8}"  # in Ry/bohr³; the same in kbar follows with two decimals
_STRESS_ROW = re.compile(rf"^\s*((?:{_STRESS_NUMBER}\s*){{3}})((?:\s*[-+]?\d+\.\d\d){{3}})\s*$")
_ENERGY = re.compile(rf"^!+\s+total energy\s+=\s*({_NUMBER}) Ry", re.MULTILINE)
_N_ATOMS = re.compile(r"number of atoms/cell\s+=\s*(\d+)")
_FORCE_HEADER = re.compile(r"^\s*Forces acting on atoms.*Ry/au\S*\s*$", re.MULTILINE)
_FORCE = re.compile(r"^\s*atom\s+(\d+)\s+type\s+\d+\s+force =(.*)$")
_TOTAL_FORCE = re.compile(r"^\s*Total force =\s*(\d+\.\d+)", re.MULTILINE)
_STRESS_HEADER = re.compile(r"^\s*total\s+stress\s+\(Ry/bohr\*\*3\).*$", re.MULTILINE)
_TOTAL_MOMENT = re.compile(rf"^\s*total magnetization\s+=\s*({_NUMBER}) Bohr mag", re.MULTILINE)
_ABSOLUTE_MOMENT = re.compile(rf"^\s*absolute magnetization\s+=\s*({_NUMBER}) Bohr mag", re.MULTILINE)
_MOMENT_HEADER = re.compile(r"^\s*Magnetic moment per site.*$", re.MULTILINE)
_MOMENT = re.compile(rf"^\s*atom:?\s+(\d+)\s.*charge[:=]\s*{_NUMBER}\s+magn[:=]\s*({_NUMBER})")
_LATTICE_PARAMETER = re.compile(rf"celldm\(1\)=\s*({_NUMBER})")
_AXIS = re.compile(r"^\s*a\([123]\)\s*=\s*\(([-+.\d\s]+)\)", re.MULTILINE)
_SITE = re.compile(r"^\s*\d+\s+(\S+)\s+tau\(\s*\d+\s*\)\s*=\s*\(([^)]*)\)", re.MULTILINE)
_LABEL_END = re.compile(r"[\d_-].*$")
_ROUTINE_ERROR = re.compile(r"^\s*(?:Error in routine|from)\s+(.+?)\s*:?\s*\n\s*(.+)$", re.MULTILINE)
_KBAR = 10.0 * EV_PER_ANGSTROM3_GPA * RYDBERG_PER_BOHR3_EV_PER_ANGSTROM3  # of 1 Ry/bohr³
_RELATIVE = 1e-6  # versions differ in the digits of their constants
_AGAIN = "run the same command again, it calculates anew"

_logger = logging.getLogger(__name__)


def parse_pw_output(text: str, name: str | Path, *, n_atoms: int | None = None) -> EngineResult:
    """Read the last energy, forces and stress of a pw.x output.

    Parameters
    ----------
    text : str
        The whole standard output.
    name : str or Path
        File name for messages.
    n_atoms : int, optional
        Number of atoms of the input; checked against the output.

    Returns
    -------
    EngineResult
        Stress is None if the output has none.

    Raises
    ------
    EngineError
        If the run failed, was cut, did not converge, or lacks the energy or the forces of an atom.
    """
    _check_complete(text, name)
    energies = list(_ENERGY.finditer(text))
    if not energies:
        raise EngineError(
            f"{name}: no total energy",
            fix="see the end of the output for where pw.x stopped, then run the same command again",
        )
    found = _N_ATOMS.search(text)
    if found is None:
        raise EngineError(
            f"{name}: no number of atoms; not an output of pw.x, or its beginning is missing",
            fix="let engine.profile.command run pw.x, then run the same command again",
        )
    if n_atoms is not None and int(found.group(1)) != n_atoms:
        raise EngineError(f"{name}: the output has {found.group(1)} atoms, the input {n_atoms}", fix=_AGAIN)
    last = text[energies[-1].end() :]
    forces = _parse_forces(last, name, int(found.group(1)))
    stress = _parse_stress(last, name)
    if "SCF correction compared to forces is large" in last:
        _logger.warning("%s: the forces are not well converged; lower electrons.conv_thr", name)
    return EngineResult(
        energy_ev=float(energies[-1].group(1)) * RYDBERG_EV,
        forces_ev_per_angstrom=forces * RYDBERG_PER_BOHR_EV_PER_ANGSTROM,
        stress_ev_per_angstrom3=None if stress is None else -stress * RYDBERG_PER_BOHR3_EV_PER_ANGSTROM3,
        magnetic_state=_parse_magnetic_state(text, int(found.group(1))),
    )


def check_echo(text: str, name: str | Path, atoms: Atoms) -> None:
    """Refuse an output that prints other atoms, another cell or other positions than those of its input.

    Raises
    ------
    EngineError
        If they differ; outputs that do not print them are taken.
    """
    axes = [[float(number) for number in row.split()] for row in _AXIS.findall(text)[:3]]
    sites = [site.groups() for site in _SITE.finditer(text.partition("positions (alat units)")[2])]
    length = _LATTICE_PARAMETER.search(text)
    if len(axes) != 3 or not sites or length is None:
        return
    alat = float(length[1]) * BOHR_ANGSTROM
    found = (
        [_LABEL_END.sub("", label).capitalize() for label, _ in sites[: len(atoms)]],
        alat * np.array(axes),
        alat * np.array([[float(x) for x in re.findall(_NUMBER, tau)] for _, tau in sites[: len(atoms)]]),
    )
    given = (atoms.get_chemical_symbols(), atoms.cell.array, atoms.positions)
    difference = structure_difference(given, found)
    if difference is not None:
        raise EngineError(
            f"{name}: the output does not belong to its input: in its structure {difference}",
            fix=f"remove {Path(name).parent} and run the same command again",
        )


def find_routine_error(text: str) -> str | None:
    """Return the text of the first pw.x error box, "readpp (1): file X not found", or None."""
    found = _ROUTINE_ERROR.search(text) if "%%%%%%" in text else None
    return None if found is None else f"{' '.join(found.group(1).split())}: {found.group(2).strip()}"


def _check_complete(text: str, name: str | Path) -> None:
    error = find_routine_error(text)
    if error is not None:
        raise EngineError(
            f"{name}: pw.x stopped with an error: {error}", fix="correct engine.parameters or the profile"
        )
    if "Maximum CPU time exceeded" in text:
        raise EngineError(
            f"{name}: pw.x ran out of its time (Maximum CPU time exceeded)", fix="raise control.max_seconds"
        )
    if "convergence NOT achieved" in text:
        raise EngineError(
            f"{name}: the self-consistent cycle did not converge",
            fix="raise electrons.electron_maxstep, lower electrons.mixing_beta, or add smearing for a metal",
        )
    if "JOB DONE" not in text:
        raise EngineError(
            f"{name}: the output is cut (no JOB DONE): pw.x was killed or is still running",
            fix="check memory and time limits, then run the same command again",
        )


def _parse_forces(text: str, name: str | Path, n_atoms: int) -> np.ndarray:
    """Return the total forces in Ry/bohr, not the contributions that high verbosity prints after them."""
    headers = list(_FORCE_HEADER.finditer(text))
    if not headers:
        raise EngineError(f"{name}: no forces", fix="set control.tprnfor to true")
    forces = np.full((n_atoms, 3), np.nan)
    for line in text[headers[-1].end() :].lstrip().splitlines():
        found = _FORCE.match(line)
        if found is None:
            break
        atom, values = int(found.group(1)), re.findall(_NUMBER, found.group(2))
        if len(values) != 3 or not 1 <= atom <= n_atoms:
            raise EngineError(
                f"{name}: the force of atom {atom} cannot be read: {line.strip()!r}", fix=_AGAIN
            )
        forces[atom - 1] = [float(value) for value in values]
    missing = np.flatnonzero(np.isnan(forces[:, 0]))
    if len(missing):
        raise EngineError(f"{name}: no force on atom {missing[0] + 1} of {n_atoms}", fix=_AGAIN)
    printed = _TOTAL_FORCE.search(text, headers[-1].end())
    if printed is not None:
        _check_total_force(forces, printed[1], name)
    return forces


def _check_total_force(forces: np.ndarray, printed: str, name: str | Path) -> None:
    """Refuse forces (Ry/bohr, eight decimals) whose norm is not the one that pw.x prints below them."""
    norm = float(np.linalg.norm(forces))
    rounding = 0.5 * 10.0 ** -len(printed.partition(".")[2]) + 0.5e-8 * forces.size**0.5
    if abs(norm - float(printed)) > rounding + _RELATIVE * norm:
        raise EngineError(
            f"{name}: the norm of the forces is {norm:.7f} Ry/bohr, but 'Total force' is {printed}",
            fix=_AGAIN,
        )


def _parse_stress(text: str, name: str | Path) -> np.ndarray | None:
    """Return the stress in Ry/bohr³, positive under compression as pw.x prints it, or None."""
    headers = list(_STRESS_HEADER.finditer(text))
    if not headers:
        return None
    lines = text[headers[-1].end() :].lstrip("\n").splitlines()[:3]
    rows = [found for line in lines if (found := _STRESS_ROW.match(line)) is not None]
    if len(rows) != 3:
        raise EngineError(f"{name}: the stress cannot be read: {lines}", fix=_AGAIN)
    tensor, in_kbar = (
        np.array([re.findall(_NUMBER, row[group]) for row in rows], dtype=float) for group in (1, 2)
    )
    difference = np.abs(_KBAR * tensor - in_kbar)
    if np.any(difference > 0.005 + 0.5e-8 * _KBAR + _RELATIVE * np.abs(in_kbar)):
        raise EngineError(
            f"{name}: the stresses in Ry/bohr³ and in kbar differ by {difference.max():.3g} kbar",
            fix=_AGAIN,
        )
    symmetric: np.ndarray = 0.5 * (tensor + tensor.T)
    return symmetric[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]


def _parse_magnetic_state(text: str, n_atoms: int) -> MagneticState | None:
    """Return the last moments of a calculation with collinear spins, None if it has no spins."""
    total, absolute = (list(pattern.finditer(text)) for pattern in (_TOTAL_MOMENT, _ABSOLUTE_MOMENT))
    if not total or not absolute:
        return None
    moments = np.full(n_atoms, np.nan)
    for header in list(_MOMENT_HEADER.finditer(text))[-1:]:
        for line in text[header.end() :].lstrip().splitlines():
            found = _MOMENT.match(line)
            if found is None:
                break
            moments[int(found.group(1)) - 1] = float(found.group(2))
    return MagneticState(
        moments=None if np.isnan(moments).any() else moments,
        total=float(total[-1].group(1)),
        absolute=float(absolute[-1].group(1)),
    )
