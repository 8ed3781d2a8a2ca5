"""Reading the reference structure from any file that ASE knows."""

from __future__ import annotations

import logging
import re
import warnings
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.neighborlist import neighbor_list

from mlff_dyn.errors import DataError

MINIMUM_DISTANCE_ANGSTROM = 0.4
"""Two atoms closer than this overlap: the shortest bond of all, H-H, has 0.74 Å."""

MINIMUM_VOLUME_ANGSTROM3 = 0.1

_PW_NAMELIST = re.compile(rb"^\s*&system\b", re.IGNORECASE | re.MULTILINE)
_logger = logging.getLogger(__name__)


def read_structure(path: Path | str) -> Atoms:
    """Read a crystal structure.

    Parameters
    ----------
    path : Path or str
        Anything ASE reads; of several images the last.

    Returns
    -------
    Atoms
        Elements, cell, axes that are periodic (all if none is), positions, masses and magnetic moments are
        kept, constraints and results are not.

    Raises
    ------
    DataError
        If the file is missing or unreadable, or the structure has no cell, partly occupied sites, atoms
        without an element, numbers that are not finite, or overlapping atoms.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(
            f"structure file {path} does not exist", fix="check structure.file and the folder it is in"
        )
    if not path.is_file():
        raise DataError(f"structure file {path} is not a file", fix="check structure.file")
    read = _read_any(path)
    _check_sites(path, read)
    periodic = read.pbc if read.pbc.any() else True
    atoms = Atoms(numbers=read.numbers, positions=read.positions, cell=read.cell, pbc=periodic)
    for name in ("masses", "initial_magmoms"):
        if name in read.arrays:
            atoms.set_array(name, read.arrays[name])
    _check_distances(path, atoms)
    return atoms


def _read_any(path: Path) -> Atoms:
    """Read with ASE, whose many readers raise nearly anything on a damaged file."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            atoms = ase.io.read(path, format="espresso-in" if _is_pw_input(path) else None)
        except Exception as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else "no reason given"
            raise DataError(
                f"structure file {path} cannot be read: {type(error).__name__}: {reason}",
                fix="give a complete file in a format that ASE knows by name, such as BAs.vasp or BAs.cif",
            ) from error
    for warning in caught:
        _logger.info("%s: %s", path, warning.message)
    if not isinstance(atoms, Atoms):
        raise DataError(f"structure file {path} does not hold a structure")
    return atoms


def _is_pw_input(path: Path) -> bool:
    """Tell an input of pw.x by its content: ASE knows it by name only, and takes some for another code's."""
    with path.open("rb") as file:
        return _PW_NAMELIST.search(file.read(2**16)) is not None


def _check_sites(path: Path, atoms: Atoms) -> None:
    if len(atoms) == 0:
        raise DataError(f"structure file {path} holds no atoms")
    if not (np.all(np.isfinite(atoms.positions)) and np.all(np.isfinite(atoms.cell.array))):
        raise DataError(f"structure file {path} has a number that is not finite")
    if abs(float(np.linalg.det(atoms.cell.array))) < MINIMUM_VOLUME_ANGSTROM3:
        raise DataError(
            f"structure file {path} has no three-dimensional cell", fix="give a file with three cell vectors"
        )
    if np.any(atoms.numbers < 1):
        raise DataError(f"structure file {path} has an atom without a chemical element")
    for species in (atoms.info.get("occupancy") or {}).values():
        if any(abs(float(fraction) - 1.0) > 1e-6 for fraction in species.values()):
            raise DataError(
                f"structure file {path} has partly occupied sites ({species})",
                fix="give an ordered structure",
            )


def _check_distances(path: Path, atoms: Atoms) -> None:
    first, second, distances = neighbor_list("ijd", atoms, MINIMUM_DISTANCE_ANGSTROM)
    if len(distances):
        worst = int(np.argmin(distances))
        names = [f"{atoms.symbols[atom]}{atom + 1}" for atom in (int(first[worst]), int(second[worst]))]
        raise DataError(
            f"structure file {path} has overlapping atoms: "
            f"{names[0]} and {names[1]} are {distances[worst]:.3f} Å apart",
            fix="remove the duplicate, or check the length unit of the file",
        )
