"""Text output of pw.x (5.x to 7.x) to energy, forces and stress in eV and Å.

An output is accepted for what it holds, not for how it ends: a killed or a failed run can still have written
its end marker. What is printed twice must agree: the norm of the forces, the stress in Ry/bohr³ and in kbar.
Each refusal names the file, the reason and the next step.
"""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.engines.base import EngineResult
from mlff_dyn.engines.echo import structure_difference
from mlff_dyn.engines.espresso.text_settings import parse_settings
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
_STRESS_ROW = re.compile(rf"^[ \t]*((?:{_STRESS_NUMBER}\s*){{3}})((?:\s*[-+]?\d+\.\d\d){{3}})\s*$")
_ENERGY = re.compile(rf"^!+\s+total energy\s+=\s*({_NUMBER}) Ry", re.MULTILINE)
_N_ATOMS = re.compile(r"number of atoms/cell\s+=\s*(\d+)")
_FORCE_HEADER = re.compile(r"^[ \t]*Forces acting on atoms.*Ry/au\S*\s*$", re.MULTILINE)
_FORCE = re.compile(r"^[ \t]*atom\s+(\d+)\s+type\s+\d+\s+force =(.*)$")
_TOTAL_FORCE = re.compile(r"^[ \t]*Total force =\s*(\d+\.\d+)", re.MULTILINE)
_STRESS_HEADER = re.compile(r"^[ \t]*total\s+stress\s+\(Ry/bohr\*\*3\).*$", re.MULTILINE)
_TOTAL_MOMENT = re.compile(rf"^[ \t]*total magnetization\s+=\s*({_NUMBER}) Bohr mag", re.MULTILINE)
_ABSOLUTE_MOMENT = re.compile(rf"^[ \t]*absolute magnetization\s+=\s*({_NUMBER}) Bohr mag", re.MULTILINE)
_MOMENT_HEADER = re.compile(r"^[ \t]*Magnetic moment per site.*$", re.MULTILINE)
_MOMENT = re.compile(rf"^[ \t]*atom:?\s+(\d+)\s.*charge[:=]\s*{_NUMBER}\s+magn[:=]\s*({_NUMBER})")
_LATTICE_PARAMETER = re.compile(rf"celldm\(1\)=\s*({_NUMBER})")
_AXIS = re.compile(r"^[ \t]*a\([123]\)\s*=\s*\(([-+.\d\s]+)\)", re.MULTILINE)
_SITE = re.compile(r"^[ \t]*\d+\s+(\S+)\s+tau\(\s*\d+\s*\)\s*=\s*\(([^)]*)\)", re.MULTILINE)
_LABEL_END = re.compile(r"[\d_-].*$")
_ROUTINE_ERROR = re.compile(r"^[ \t]*(?:Error in routine|from)\s+(.+?)\s*:?\s*\n\s*(.+)$", re.MULTILINE)
_KBAR = 10.0 * EV_PER_ANGSTROM3_GPA * RYDBERG_PER_BOHR3_EV_PER_ANGSTROM3  # of 1 Ry/bohr³
_RELATIVE = 1e-6  # versions differ in the digits of their constants
_ACCURACY = re.compile(r"^[ \t]*estimated scf accuracy\s+<\s*(\d+\.?\d*(?:[EeDd][-+]?\d+)?) Ry", re.MULTILINE)
_THRESHOLD = re.compile(
    r"^[ \t]*(?:scf )?convergence threshold\s+=\s*(\d+\.?\d*[EeDd][-+]?\d+)", re.MULTILINE
)
_MOST_DIGITS = 7
_ROUNDED = 1.1  # both are printed with two digits
_ACHIEVED = "convergence has been achieved"
AGAIN = "run the same command again, it calculates anew"
OUT_OF_TIME = "Maximum CPU time exceeded"
_SEE_END = "see the end of the output for where pw.x stopped, then run the same command again"
CONVERGE = "raise electrons.electron_maxstep, lower electrons.mixing_beta, or add smearing for a metal"

_logger = logging.getLogger(__name__)


class Unusable(Exception):  # noqa: N818 (it says that a step is, not that something went wrong)
    """A step cannot be trained on.

    Attributes
    ----------
    reason : str
    fix : str
        The next step of the user.
    """

    def __init__(self, reason: str, *, fix: str) -> None:
        super().__init__(reason)
        self.reason, self.fix = reason, fix


def parse_pw_output(text: str, name: str | Path, *, n_atoms: int | None = None) -> EngineResult:
    """Read the energy, forces and stress of the output of one self-consistent calculation.

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
    try:
        _check_complete(text)
        result = parse_step(text, parse_n_atoms(text, n_atoms))
    except Unusable as error:
        raise EngineError(f"{name}: {error.reason}", fix=error.fix) from error
    if "SCF correction compared to forces is large" in text:
        _logger.warning("%s: the forces are not well converged; lower electrons.conv_thr", name)
    return replace(result, origin=parse_settings(text, None, ()).origin())


def parse_n_atoms(text: str, expected: int | None = None) -> int:
    """Return the number of atoms that an output names.

    Raises
    ------
    Unusable
        If it names none, or not the expected one.
    """
    found = _N_ATOMS.search(text)
    if found is None or len(found[1]) > _MOST_DIGITS:
        raise Unusable(
            "no number of atoms; not an output of pw.x, or its beginning is missing",
            fix="let engine.profile.command run pw.x, then run the same command again",
        )
    if expected is not None and int(found.group(1)) != expected:
        raise Unusable(f"the output has {found.group(1)} atoms, the input {expected}", fix=AGAIN)
    return int(found.group(1))


def parse_step(
    text: str, n_atoms: int, threshold_rydberg: float | None = None, free: np.ndarray | None = None
) -> EngineResult:
    """Read the last energy, and the forces and the stress that belong to it, of the text of one step.

    The energy is what pw.x prints as total energy: with smearing, F = E - TS, which the forces are the
    derivatives of.

    Parameters
    ----------
    text : str
    n_atoms : int
    threshold_rydberg : float, optional
        Of self-consistency, where the text itself has none; see `parse_threshold`.
    free : ndarray of bool, shape (n_atoms, 3), optional
        Components that are not fixed: the total force counts those alone.

    Raises
    ------
    Unusable
        If the step is not converged, or lacks its energy, its forces, or a part of its stress.
    """
    if "NOT achieved" in text:
        raise Unusable("the self-consistent cycle did not converge", fix=CONVERGE)
    energies = list(_ENERGY.finditer(text))
    if not energies:
        raise Unusable("no total energy", fix=_SEE_END)
    last = text[energies[-1].end() :]
    _check_accuracy(text, last, threshold_rydberg)
    forces = _parse_forces(last, n_atoms, free)
    if _ACHIEVED not in last:
        raise Unusable("it does not say that self-consistency has been achieved", fix=_SEE_END)
    stress = _parse_stress(last)
    return EngineResult(
        energy_ev=float(energies[-1].group(1)) * RYDBERG_EV,
        forces_ev_per_angstrom=forces * RYDBERG_PER_BOHR_EV_PER_ANGSTROM,
        stress_ev_per_angstrom3=None if stress is None else -stress * RYDBERG_PER_BOHR3_EV_PER_ANGSTROM3,
        magnetic_state=_parse_magnetic_state(text, n_atoms),
    )


def _check_accuracy(text: str, last: str, threshold_rydberg: float | None) -> None:
    """Refuse what pw.x calls converged because it was told not to care (scf_must_converge)."""
    accuracy, printed = _ACCURACY.search(last), parse_threshold(text)
    limit = threshold_rydberg if printed is None else printed
    if accuracy is None or limit is None or "EXX" in text:
        return
    if parse_fortran(accuracy[1]) > _ROUNDED * limit:
        raise Unusable(
            f"the self-consistent cycle did not converge: accuracy {accuracy[1]} Ry, threshold {limit:g} Ry",
            fix=CONVERGE,
        )


def parse_threshold(text: str) -> float | None:
    """Return the last threshold of self-consistency, Ry, that a text names."""
    found = _THRESHOLD.findall(text)
    return parse_fortran(found[-1]) if found else None


def parse_fortran(number: str) -> float:
    """Return a number that Fortran wrote, such as 1.0D-09."""
    return float(number.lower().replace("d", "e"))


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


def _check_complete(text: str) -> None:
    error = find_routine_error(text)
    if error is not None:
        raise Unusable(f"pw.x stopped with an error: {error}", fix="correct engine.parameters or the profile")
    if OUT_OF_TIME in text:
        raise Unusable(f"pw.x ran out of its time ({OUT_OF_TIME})", fix="raise control.max_seconds")
    if "NOT achieved" in text:
        raise Unusable("the self-consistent cycle did not converge", fix=CONVERGE)
    if "JOB DONE" not in text:
        raise Unusable(
            "the output is cut (no JOB DONE): pw.x was killed or is still running",
            fix="check memory and time limits, then run the same command again",
        )


def _parse_forces(text: str, n_atoms: int, free: np.ndarray | None) -> np.ndarray:
    """Return the total forces in Ry/bohr, not the contributions that high verbosity prints after them."""
    headers = list(_FORCE_HEADER.finditer(text))
    if not headers:
        raise Unusable("no forces", fix="set control.tprnfor to true")
    forces = np.full((n_atoms, 3), np.nan)
    lines = text[headers[-1].end() :].lstrip().splitlines()
    for atom in range(n_atoms):
        line = lines[atom] if atom < len(lines) else ""
        found = _FORCE.match(line)
        if found is None:
            raise Unusable(f"no force on atom {atom + 1} of {n_atoms}", fix=AGAIN)
        values = re.findall(_NUMBER, found.group(2))
        if len(values) != 3 or int(found.group(1)) != atom + 1:
            raise Unusable(f"the force of atom {found.group(1)} cannot be read: {line.strip()!r}", fix=AGAIN)
        forces[atom] = [float(value) for value in values]
    printed = _TOTAL_FORCE.search(text, headers[-1].end())
    if printed is None:
        raise Unusable("no 'Total force' after the forces", fix=AGAIN)
    _check_total_force(forces if free is None else forces[free], printed[1])
    return forces


def _check_total_force(forces: np.ndarray, printed: str) -> None:
    """Refuse forces (Ry/bohr, eight decimals) whose norm is not the one that pw.x prints below them."""
    norm = float(np.linalg.norm(forces))
    rounding = 0.5 * 10.0 ** -len(printed.partition(".")[2]) + 0.5e-8 * forces.size**0.5
    if abs(norm - float(printed)) > rounding + _RELATIVE * norm:
        raise Unusable(
            f"the norm of the forces is {norm:.7f} Ry/bohr, but 'Total force' is {printed}", fix=AGAIN
        )


def _parse_stress(text: str) -> np.ndarray | None:
    """Return the stress in Ry/bohr³, positive under compression as pw.x prints it, or None."""
    headers = list(_STRESS_HEADER.finditer(text))
    if not headers:
        return None
    lines = text[headers[-1].end() :].lstrip("\n").splitlines()[:3]
    rows = [found for line in lines if (found := _STRESS_ROW.match(line)) is not None]
    if len(rows) != 3:
        raise Unusable(f"the stress cannot be read: {lines}", fix=AGAIN)
    tensor, in_kbar = (
        np.array([re.findall(_NUMBER, row[group]) for row in rows], dtype=float) for group in (1, 2)
    )
    difference = np.abs(_KBAR * tensor - in_kbar)
    if np.any(difference > 0.005 + 0.5e-8 * _KBAR + _RELATIVE * np.abs(in_kbar)):
        raise Unusable(
            f"the stresses in Ry/bohr³ and in kbar differ by {difference.max():.3g} kbar", fix=AGAIN
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
            if found is None or not 1 <= int(found.group(1)) <= n_atoms:
                break
            moments[int(found.group(1)) - 1] = float(found.group(2))
    return MagneticState(
        moments=None if np.isnan(moments).any() else moments,
        total=float(total[-1].group(1)),
        absolute=float(absolute[-1].group(1)),
    )
