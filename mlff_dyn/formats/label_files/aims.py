"""Outputs of FHI-aims: single points, dynamics and relaxations, read by ASE step by step."""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.io.aims import get_aims_out_chunks, get_header_chunk

from mlff_dyn.errors import DataError, reason_of
from mlff_dyn.store.calculated_steps import LabelFormat, ReadOptions, RefusedStep
from mlff_dyn.store.dataset import Snapshot
from mlff_dyn.store.provenance import Provenance

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ase import Atoms

    from mlff_dyn.store.source import Source

KIND = "aims"
_MARK = b"Invoking FHI-aims"
_CONVERGED = "Self-consistency cycle converged."
_BEGINS = "Begin self-consistency loop"
_FORCES = "Total atomic forces (unitary forces"
_UPDATED, _USED = "Updated atomic structure:", "in the preceding time step"
_ENERGIES = re.compile(
    r"compact form:\s*\n.* uncorrected .*\n.* corrected .*\n\| Electronic free energy .*\n"
)
_STRESSES = ("Analytical stress tensor - Symmetrized", "Numerical stress tensor")
_VERSION = re.compile(r"^\s*(?:FHI-aims version\s*:|Version)\s*(\w+)", re.MULTILINE)
_DATE = re.compile(r"Date\s*:\s*(\d{4})(\d\d)(\d\d)")
_CONTROL = re.compile(
    r"repeated verbatim below(.*?)Completed first pass over input file control.in", re.DOTALL
)
_PHYSICS = ("xc", "spin", "charge", "relativistic", "occupation_type", "vdw", "many_body", "hybrid", "hse")


def _recognizes(_source: Source, head: bytes) -> bool:
    return _MARK in head


def _read(source: Source, options: ReadOptions) -> Iterator[Snapshot | RefusedStep]:
    text = source.read_text()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            lines = io.StringIO(text)
            chunks = list(get_aims_out_chunks(lines, get_header_chunk(lines)))
    except Exception as error:
        raise DataError(
            f"{source} cannot be read: {reason_of(error)}", fix="give a complete output"
        ) from error
    found = [(number, chunk) for number, chunk in enumerate(chunks, start=1) if _is_step(chunk)]
    if not found:
        raise DataError(f"{source} holds no step", fix="give an output of a calculation that has begun")
    version, date = _VERSION.search(text), _DATE.search(text)
    origin = Provenance(
        label_engine=_settings(text),
        label_engine_kind=KIND,
        program="FHI-aims" + ("" if version is None else f" {version[1]}"),
        file=str(source),
        date=None if date is None else "-".join(date.groups()),
    )
    for number, chunk in options.steps.of(found):
        yield _step(source, number, chunk, origin)


def _is_step(chunk: Any) -> bool:  # noqa: ANN401 (of ASE)
    return any(_BEGINS in line or _CONVERGED in line or _FORCES in line for line in chunk.lines)


def _settings(text: str) -> str | None:
    """Digest of functional and basis sets in the echo of ``control.in``; None where it was switched off."""
    echo = _CONTROL.search(text)
    if echo is None:
        return None
    rows = [line.partition("#")[0].split() for line in echo[1].splitlines()]
    first = next((k for k, row in enumerate(rows) if row and row[0] == "species"), len(rows))
    kept = sorted(row for row in rows[:first] if row and row[0].lower().startswith(_PHYSICS))
    kept += [row for row in rows[first:] if row and not row[0].startswith("--")]
    return hashlib.sha256(repr(kept).encode()).hexdigest()


def _step(source: Source, number: int, chunk: Any, origin: Provenance) -> Snapshot | RefusedStep:  # noqa: ANN401
    """Snapshot of a step, or why it is none."""
    again = "calculate it again"
    said = "\n".join(chunk.lines)
    if _CONVERGED not in said:
        return RefusedStep(source, number, "its self-consistency cycle did not converge", again)
    missing = _missing(said, number)
    if missing is not None:
        return RefusedStep(source, number, missing, again)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            atoms: Atoms = chunk.atoms
            results = atoms.calc.results
    except Exception as error:  # noqa: BLE001 (whatever ASE trips over is damage)
        return RefusedStep(source, number, f"it is damaged: {reason_of(error)}", again)
    refused = _refusal(atoms)
    if refused is not None:
        return RefusedStep(source, number, *refused)
    stress = results.get("stress")
    try:
        return Snapshot(
            numbers=atoms.numbers.astype(np.int64),
            positions=atoms.positions.copy(),
            cell=atoms.cell.array.copy(),
            energy_ev=float(results["energy"]),
            forces_ev_per_angstrom=np.array(results["forces"], dtype=float),
            stress_ev_per_angstrom3=None if stress is None else np.array(stress, dtype=float),
            provenance=replace(origin, step=number),
        )
    except (DataError, KeyError) as error:
        return RefusedStep(source, number, f"it is damaged: {reason_of(error)}", again)


def _missing(said: str, number: int) -> str | None:
    """What is missing or there twice in a step, for which a reader would take what belongs to another one."""
    end = said[said.index(_CONVERGED) :]
    if end.count(_CONVERGED) != 1 or _ENERGIES.search(end) is None:
        return "its energies, or the end of the step before it, are missing"
    if number > 1 and not any(each in said for each in (_UPDATED, _USED)):
        return "its structure is missing"
    if _UPDATED in end:
        return "the structure of the next step is in it"
    if "eV/A**3" in end and not any(each in end for each in _STRESSES):
        return "its stress is damaged"
    return None


def _refusal(atoms: Atoms) -> tuple[str, str] | None:
    """Why a step is no label, and what to do."""
    if "forces" not in atoms.calc.results:
        return "there are no forces", "set compute_forces .true. in control.in"
    if atoms.constraints:
        return "forces on atoms that were held are not told", "leave out constrain_relaxation in geometry.in"
    if not atoms.pbc.all():
        return "it is not periodic", "give lattice_vector in geometry.in"
    return None


AIMS = LabelFormat("FHI-aims output", _recognizes, _read)
