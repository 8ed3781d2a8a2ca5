"""Reading the reference structure from any file that ASE knows."""

from __future__ import annotations

import logging
import re
import tempfile
import warnings
from functools import lru_cache
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms
from ase.io.formats import filetype, open_with_compression
from ase.neighborlist import neighbor_list

from mlff_dyn.errors import DataError
from mlff_dyn.lattice.magnetism import MAGNETIC_LIMITS
from mlff_dyn.store.structure_cif import read_cif
from mlff_dyn.store.structure_mcif import is_magnetic_cif, read_magnetic_cif
from mlff_dyn.store.structure_pw import SHARES, read_pw_structure
from mlff_dyn.store.structure_text import (
    CHECKED_FORMATS,
    checked_text,
    without_fortran_exponents,
)
from mlff_dyn.store.structure_yaml import is_phonopy_yaml, read_phonopy_cell

MINIMUM_DISTANCE_ANGSTROM = 0.4
"""Two atoms closer than this overlap: the shortest bond of all, H-H, has 0.74 Å."""

MAXIMUM_DISTANCE_ANGSTROM = 8.0
"""No nearest neighbors of a crystal are as far apart; those of cesium are 5.2 Å."""

MINIMUM_VOLUME_ANGSTROM3 = 0.1

_PW_NAMELIST = re.compile(rb"^\s*&system\b", re.IGNORECASE | re.MULTILINE)
_TDEP_SUFFIXES = (".ucposcar", ".ssposcar")
_LOOKS_LIKE_SYMBOL = re.compile(r"'[A-Za-z]\w{0,3}'")
_logger = logging.getLogger(__name__)


def read_structure(path: Path | str) -> Atoms:
    """Read a crystal structure.

    Parameters
    ----------
    path : Path or str
        Anything ASE reads, a magnetic CIF file, or a YAML file of phonopy; of several images the last.

    Returns
    -------
    Atoms
        Elements, cell, axes that are periodic (all if none is), positions, masses and magnetic moments are
        kept, constraints and results are not.

    Raises
    ------
    DataError
        If the file is missing or unreadable, or the structure has no cell, mixed or partly occupied sites,
        atoms without an element or a position, numbers that are not finite, or overlapping atoms.
    """
    path = _short(Path(path))
    if not path.exists():
        raise DataError(
            f"structure file {path} does not exist",
            fix="correct structure.file; its path starts at the folder of the configuration",
        )
    if not path.is_file():
        raise DataError(f"structure file {path} is not a file", fix="let structure.file name a file")
    status = path.stat()
    return _read_checked(path, status.st_mtime_ns, status.st_size).copy()


def _short(path: Path) -> Path:
    """Path relative to the working directory where it lies below it."""
    folder = Path.cwd()
    return path.relative_to(folder) if path.is_relative_to(folder) else path


@lru_cache(maxsize=4)
def _read_checked(path: Path, _modified: int, _size: int) -> Atoms:
    """Read a file once per version of it, so that a warning about it comes once."""
    read = read_magnetic_cif(path) if is_magnetic_cif(path) else _read_any(path)
    _check_sites(path, read)
    periodic = read.pbc if read.pbc.any() else True
    atoms = Atoms(numbers=read.numbers, positions=read.positions, cell=read.cell, pbc=periodic)
    for name in ("masses", "initial_magmoms"):
        if name in read.arrays:
            atoms.set_array(name, read.arrays[name])
    _add_moments(read, atoms)
    _check_distances(path, atoms)
    return atoms


def _read_any(path: Path) -> Atoms:
    """Read with ASE, whose many readers raise nearly anything on a damaged file."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            atoms = read_phonopy_cell(path) if is_phonopy_yaml(path) else _read_format(path)
        except DataError:
            raise
        except Exception as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else "no reason given"
            if isinstance(error, KeyError) and _LOOKS_LIKE_SYMBOL.fullmatch(reason):
                raise DataError(
                    f"structure file {path}: {reason} is no chemical element",
                    fix="write a symbol of the periodic table; structure.masses_amu: {H: 2.014} is deuterium",
                ) from error
            raise DataError(
                f"structure file {path} cannot be read: {type(error).__name__}: {reason}",
                fix="give a complete file in a format that ASE knows by name, such as BAs.vasp or BAs.cif",
            ) from error
    messages = (str(each.message) for each in caught if not issubclass(each.category, DeprecationWarning))
    for message in dict.fromkeys(messages):
        _logger.info("%s: %s", path, message)
    if not isinstance(atoms, Atoms):
        raise DataError(
            f"structure file {path} does not hold a structure", fix="give a file with one crystal structure"
        )
    return atoms


def _read_format(path: Path) -> Any:  # noqa: ANN401 (whatever the reader of ASE returns)
    kind = _format(path)
    text: str | None = None
    doubts: list[str] = []
    if kind == "cif":
        with open_with_compression(str(path), "rb") as file:
            atoms, doubts = read_cif(path, file)
    elif kind == "espresso-in":
        atoms = read_pw_structure(path)
    else:
        if kind in CHECKED_FORMATS:
            text, doubts = checked_text(path, kind, _text(path))
        atoms = _read_text(path, kind, text)
    for doubt in doubts:
        _logger.warning("%s: %s", path, doubt)
    return atoms


def _read_text(path: Path, kind: str, text: str | None) -> Any:  # noqa: ANN401
    """Read a text in the place of a file, or the file; numbers may be written as Fortran does."""
    try:
        return ase.io.read(path, format=kind) if text is None else _read_copy(kind, text)
    except Exception:
        given = _text(path) if text is None else text
        rewritten = without_fortran_exponents(given)
        if rewritten == given:
            raise
        return _read_copy(kind, rewritten)


def _read_copy(kind: str, text: str) -> Any:  # noqa: ANN401
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "structure"
        copy.write_text(text, encoding="utf-8")
        return ase.io.read(copy, format=kind)


def _text(path: Path) -> str:
    with open_with_compression(str(path), "rb") as file:
        return bytes(file.read()).decode("utf-8", "replace")


def is_pw_input(path: Path) -> bool:
    """Tell an input of pw.x by its content."""
    with path.open("rb") as file:
        return _PW_NAMELIST.search(file.read(2**16)) is not None


def _add_moments(read: Atoms, atoms: Atoms) -> None:
    """Moments that a calculation ended in replace those it started from."""
    final = np.array([] if read.calc is None else read.calc.results.get("magmoms", []), float)
    if len(final) == len(atoms) and np.abs(final).max() >= MAGNETIC_LIMITS.none_bohr_magneton:
        atoms.arrays["initial_magmoms"] = final
    elif read.info.get(SHARES):
        atoms.info[SHARES] = True


def _format(path: Path) -> str:
    """Format by the name of ASE, which takes some inputs of pw.x and CIF files for those of other codes.

    The POSCAR files of TDEP have names of their own.
    """
    if is_pw_input(path):
        return "espresso-in"
    if path.suffix.lower() in _TDEP_SUFFIXES:
        return "vasp"
    return "cif" if path.suffix.lower() == ".cif" else str(filetype(str(path)))


def _check_sites(path: Path, atoms: Atoms) -> None:
    if len(atoms) == 0:
        raise DataError(f"structure file {path} holds no atoms", fix="give a file with at least one atom")
    if not (np.all(np.isfinite(atoms.positions)) and np.all(np.isfinite(atoms.cell.array))):
        raise DataError(
            f"structure file {path} has a number that is not finite",
            fix="write finite numbers for the cell and every position",
        )
    volume = abs(float(np.linalg.det(atoms.cell.array)))
    if volume < MINIMUM_VOLUME_ANGSTROM3:
        raise DataError(
            f"structure file {path} has no three-dimensional cell: its volume is {volume:.2g} Å³",
            fix="give a file with three cell vectors, in Å",
        )
    if np.any(atoms.numbers < 1):
        raise DataError(
            f"structure file {path} has an atom without a chemical element",
            fix="write a symbol of the periodic table for every atom",
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
    if not len(neighbor_list("d", atoms, MAXIMUM_DISTANCE_ANGSTROM)):
        raise DataError(
            f"structure file {path} has no atoms nearer to each other than {MAXIMUM_DISTANCE_ANGSTROM:g} Å",
            fix="check the length unit of the file, and that it is a crystal",
        )
