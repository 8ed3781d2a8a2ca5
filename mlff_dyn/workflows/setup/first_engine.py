"""The engine of a first configuration: what the structure file and the files beside it say."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mlff_dyn.store.structure_file import is_pw_input
from mlff_dyn.workflows.setup.pw_engine import physics_of_input
from mlff_dyn.workflows.setup.vasp_inputs import is_vasp_input, vasp_engine

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

KPOINT_SPACING_PER_ANGSTROM = 0.4
"""2 pi / (length of the cell * number of k-points): fine enough for most insulators."""

DEFAULT_CUTOFF_RYDBERG = 60

_logger = logging.getLogger(__name__)

_CUTOFF = re.compile(rb'(?:wfc_cutoff="|Suggested minimum cutoff for wavefunctions:)\s*([\d.eEdD+-]+)')


def first_engine(
    structure: Path,
    elements: Sequence[str],
    lattice: NDArray[np.float64],
    cell: NDArray[np.float64],
    *,
    periodic: tuple[bool, bool, bool] = (True, True, True),
) -> tuple[dict[str, Any], list[str]]:
    """Write an engine section that fits what there is.

    An input of pw.x keeps its physics; a POSCAR, or INCAR, POTCAR or KPOINTS beside the structure, means
    VASP; everything else means pw.x, with the pseudopotentials that lie there.

    Parameters
    ----------
    structure : Path
    elements : sequence of str
    lattice : ndarray, shape (3, 3)          cell of the structure file, rows, Å
    cell : ndarray, shape (3, 3)             training cell, rows, Å
    periodic : tuple of 3 bool               false along vectors with vacuum, which get one k-point

    Returns
    -------
    section : dict
    notes : list of str                      lines of comment on it
    """
    folder = structure.absolute().parent
    lengths, around = (_reciprocal_lengths(each) * periodic for each in (lattice, cell))
    if is_pw_input(structure):
        repeats = np.rint(cell @ np.linalg.inv(lattice)).astype(int)
        both = np.array([lengths, around])
        found = physics_of_input(structure, repeats, KPOINT_SPACING_PER_ANGSTROM, both)
        for line in found.notes[1:]:
            _logger.info("%s", line)
        section = _espresso_section({}, {}, [1, 1, 1], found.pseudo_dir)
        return _with_vacuum(({**section, "parameters": found.parameters}, found.notes), periodic)
    if is_vasp_input(structure):
        return vasp_engine(structure, lattice, cell, periodic)
    return _with_vacuum(_espresso(folder, elements, around), periodic)


def _with_vacuum(
    found: tuple[dict[str, Any], list[str]], periodic: tuple[bool, bool, bool]
) -> tuple[dict[str, Any], list[str]]:
    """Add what pw.x can do about images of a sheet."""
    section, notes = found
    has_isolation = "assume_isolated" in section["parameters"]["input_data"].get("system", {})
    if periodic == (True, True, False) and not has_isolation:
        notes = [
            *notes,
            "With the vacuum along z, system: {assume_isolated: 2D} parts the sheet from its images.",
        ]
    return section, notes


def _espresso(
    folder: Path, elements: Sequence[str], around: NDArray[np.float64]
) -> tuple[dict[str, Any], list[str]]:
    places = [folder / "pseudo", folder, *map(Path, filter(None, [os.environ.get("ESPRESSO_PSEUDO")]))]
    found = {place: _pseudopotentials(place, elements) for place in places}
    place = max(places, key=lambda each: len(found[each]))
    files = found[place]
    missing = [element for element in elements if element not in files]
    cutoffs = [_suggested_cutoff(place / name) for name in files.values()]
    known = [value for value in cutoffs if value is not None]
    cutoff = 5 * int(np.ceil(max(known) / 5)) if known and not missing else DEFAULT_CUTOFF_RYDBERG
    source = "as the pseudopotentials suggest" if known and not missing else "a guess, test it"
    notes = [f"ecutwfc: {source}; metals need smearing and more k-points."]
    if missing:
        notes.append(f"Give the pseudopotentials of {', '.join(missing)} and the folder that they are in.")
    section = _espresso_section(
        {"system": {"ecutwfc": cutoff}, "electrons": {"conv_thr": 1.0e-9}},
        {element: files.get(element, f"{element}.UPF") for element in elements},
        _kpoints(around, KPOINT_SPACING_PER_ANGSTROM),
        str(place) if files else "pseudo",
    )
    return section, notes


def _espresso_section(
    input_data: dict[str, Any], pseudopotentials: dict[str, str], kpoints: list[int], pseudo_dir: str
) -> dict[str, Any]:
    return {
        "kind": "espresso",
        "parameters": {
            "input_data": input_data,
            "pseudopotentials": pseudopotentials,
            "kpoints": "gamma" if kpoints == [1, 1, 1] else kpoints,
        },
        "profile": {
            "command": "pw.x",
            "pseudo_dir": pseudo_dir,
            "environment": {"OMP_NUM_THREADS": "1"},
            "timeout_minutes": 60,
        },
    }


def _pseudopotentials(folder: Path, elements: Iterable[str]) -> dict[str, str]:
    """First file by name of each element, such as ``Si.pbe-n-rrkjus_psl.1.0.0.UPF``."""
    if not folder.is_dir():
        return {}
    files = sorted(path.name for path in folder.iterdir() if path.suffix.lower() == ".upf")
    found = {}
    for element in elements:
        own = [name for name in files if re.match(rf"{element}[._-]", name, re.IGNORECASE)]
        if own:
            found[element] = own[0]
    return found


def _suggested_cutoff(path: Path) -> float | None:
    """Cutoff for wave functions that a pseudopotential suggests, Ry."""
    with path.open("rb") as file:
        found = _CUTOFF.search(file.read(2**16))
    value = float(found[1].lower().replace(b"d", b"e")) if found else 0.0
    return value if value > 0.0 else None


def _kpoints(lengths: NDArray[np.float64], spacing: float) -> list[int]:
    """Mesh along reciprocal vectors, 1/Å, with a spacing in 1/Å, both with 2 pi; one point where 0."""
    return [int(n) for n in np.ceil(lengths / spacing - 0.05).clip(1)]


def _reciprocal_lengths(cell: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(2.0 * np.pi * np.linalg.norm(np.linalg.inv(cell), axis=0))
