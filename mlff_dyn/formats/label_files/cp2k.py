"""Outputs of CP2K with energy and forces of one structure (``RUN_TYPE ENERGY_FORCE``).

Lengths and angles of the cell have six decimals, the vectors three. So a cell is taken where its vectors lie
along the axes; another one needs the input beside the output, with a name that ends in ``.inp``.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.engines.cp2k.engine import ABORT, ENERGY, FORCE, GIGAPASCALS, STRESS, STRESS_ROW, X
from mlff_dyn.errors import DataError
from mlff_dyn.store.calculated_steps import LabelFormat, ReadOptions, RefusedStep
from mlff_dyn.store.dataset import Snapshot
from mlff_dyn.store.provenance import Provenance
from mlff_dyn.units import BOHR_ANGSTROM, EV_PER_ANGSTROM3_GPA, HARTREE_EV

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from mlff_dyn.store.source import Source

KIND = "cp2k"
_MARK = b" CP2K| "
_M = re.MULTILINE
_ENDED = re.compile(r"PROGRAM ENDED AT\s+(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)")
_ABORT = re.compile(ABORT, _M)
_ENERGY = re.compile(ENERGY, _M)
_FORCES = re.compile(r"^ (?:ATOMIC FORCES in \[a\.u\.\]|FORCES\| Atomic forces \[hartree/bohr\])\s*$", _M)
_SUM = re.compile(r"^ (?:SUM OF ATOMIC FORCES|FORCES\| Sum)", _M)
_FORCE = re.compile(FORCE, _M)
_SITE = re.compile(rf"^\s+(\d+)\s+\d+\s+\S+\s+(\d+){X}{X}{X}\s", _M)
_VECTOR = re.compile(rf"^ CELL\| Vector [abc] \[angstrom\]:?{X}{X}{X}\s+\|[abc]\| ={X}\s*$", _M)
_STRESS = re.compile(STRESS, _M)
_STRESS_ROW = re.compile(STRESS_ROW, _M)
_SETTING = re.compile(
    r"^ (?:(?:FUNCTIONAL|DFT|vdW POTENTIAL|DFT\+U|HFX_INFO)\|.*|QS\| (?:Method|Density cutoff).*|"
    r"\s+Orbital Basis Set.*|\s+GTH Potential information for.*)$",
    _M,
)
_POTENTIAL = re.compile(r"GTH Potential information for\s+(\S+)")
_VERSION = re.compile(r"CP2K version (\S+)")
_CELL_LINE = re.compile(rf"^\s*[ABC]{X}{X}{X}\s*$", _M | re.IGNORECASE)
_PRINTED = 6e-4


def _recognizes(_source: Source, head: bytes) -> bool:
    return _MARK in head


def _read(source: Source, options: ReadOptions) -> Iterator[Snapshot | RefusedStep]:
    yield from options.steps.of([_snapshot(source, source.read_text())])


def _snapshot(source: Source, text: str) -> Snapshot | RefusedStep:
    refused = _refusal(text)
    if refused is not None:
        return RefusedStep(source, None, *refused)
    rows = _SITE.findall(text.upper().partition("ATOMIC COORDINATES IN ANGSTROM")[2].partition("\n\n\n")[0])
    forces = _FORCE.findall(_SUM.split(_FORCES.split(text)[1])[0])
    counted = [str(k) for k in range(1, len(rows) + 1)]
    if not rows or not [row[0] for row in rows] == [row[0] for row in forces] == counted:
        what = f"it has {len(rows)} atoms and {len(forces)} forces"
        return RefusedStep(source, None, what, "calculate it again")
    cell = _cell(source, text)
    if isinstance(cell, str):
        return RefusedStep(source, None, cell, "put the input of CP2K beside it, with vectors A, B, C")
    ended, version = _ENDED.search(text), _VERSION.search(text)
    settings = [" ".join(line.split()) for line in _SETTING.findall(text)]
    return Snapshot(
        numbers=np.array([row[1] for row in rows], dtype=np.int64),
        positions=np.array([row[2:] for row in rows], dtype=float),
        cell=cell,
        energy_ev=float(_ENERGY.findall(text)[0]) * HARTREE_EV,
        forces_ev_per_angstrom=np.array([row[1:] for row in forces], float) * HARTREE_EV / BOHR_ANGSTROM,
        stress_ev_per_angstrom3=_stress(text),
        provenance=Provenance(
            label_engine=hashlib.sha256("\n".join(settings).encode()).hexdigest(),
            label_engine_kind=KIND,
            program="CP2K" if version is None else f"CP2K {version[1]}",
            pseudopotentials=", ".join(sorted(set(_POTENTIAL.findall(text)))) or None,
            file=str(source),
            step=1,
            date=None if ended is None else "T".join(ended.groups()),
        ),
    )


def _refusal(text: str) -> tuple[str, str] | None:
    """Why an output is no label, and what to do."""
    abort = _ABORT.search(text)
    if "NOT converged" in text or "FAILED to converge" in text:
        return "its self-consistent cycle did not converge", "raise SCF.MAX_SCF and calculate it again"
    if abort is not None or _ENDED.search(text) is None:
        return "it is cut" if abort is None else f"CP2K stopped: {abort[1]}", "calculate it again"
    n_energies, n_forces = len(_ENERGY.findall(text)), len(_FORCES.findall(text))
    if n_forces == 0:
        return "there are no forces", "set FORCE_EVAL.PRINT.FORCES ON"
    if _SUM.search(text) is None:
        return "the sum below its forces is missing", "calculate it again"
    if (n_energies, n_forces) != (1, 1):
        return (
            "it has several steps, whose positions are in other files",
            "give runs of RUN_TYPE ENERGY_FORCE",
        )
    return None


def _cell(source: Source, text: str) -> NDArray[np.float64] | str:
    """Cell vectors, or why they are not known well enough."""
    rows = np.array(_VECTOR.findall(text)[-3:], dtype=float)
    if rows.shape != (3, 4):
        return "its cell is not printed"
    vectors, lengths = rows[:, :3], rows[:, 3]
    if ((np.abs(vectors) > _PRINTED).sum(axis=1) == 1).all():
        return np.asarray(np.where(np.abs(vectors) > _PRINTED, np.sign(vectors) * lengths[:, None], 0.0))
    inputs = [each for each in source.neighbors() if each.name.endswith(".inp")]
    for each in inputs:
        given = np.array(_CELL_LINE.findall(each.read_text()), dtype=float)
        if given.shape == (3, 3) and np.abs(given - vectors).max() < _PRINTED:
            return given
    return "its cell vectors have three decimals, and no input with the same cell is beside it"


def _stress(text: str) -> NDArray[np.float64] | None:
    found = _STRESS.search(text)
    if found is None:
        return None
    tensor = np.array(_STRESS_ROW.findall(found[2]), dtype=float)
    if tensor.shape != (3, 3):
        raise DataError("its stress is damaged", fix="calculate it again")
    voigt = (0.5 * (tensor + tensor.T))[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
    return np.asarray(-voigt * GIGAPASCALS[found[1]] / EV_PER_ANGSTROM3_GPA)


CP2K = LabelFormat("CP2K output", _recognizes, _read)
