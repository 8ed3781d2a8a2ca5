"""Force constants that phonopy and phono3py wrote.

phonopy keeps lengths and force constants in the units of the calculator that the file names; phono3py keeps
both in Å and eV, whatever the calculator, and converts the cell of its file when it reads it.
"""

from __future__ import annotations

import os
import re
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import phonopy
from phonopy.physical_units import get_calculator_physical_units

from mlff_dyn.errors import DataError, UsageError
from mlff_dyn.formats.plain_yaml import read_plain_yaml
from mlff_dyn.lattice.aperiodic import THREE_DIMENSIONAL, Periodic
from mlff_dyn.lattice.crystal import build_crystal
from mlff_dyn.lattice.matching import match_structure
from mlff_dyn.model.fitting.projection import CompactTensor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray
    from phonopy.structure.atoms import PhonopyAtoms

_CONSTANTS = ("FORCE_CONSTANTS", "force_constants.hdf5")
_FORCES = "FORCE_SETS"
_CUBIC, _HARMONIC = "fc3.hdf5", "fc2.hdf5"
_INSIDE = re.compile(r"^[\s-]*(force_constants|forces):", re.MULTILINE)


def read_phonopy_tensors(path: Path, periodic: Periodic = THREE_DIMENSIONAL) -> list[CompactTensor]:
    """Harmonic force constants of a phonopy file, or of phonopy's own files beside it.

    Parameters
    ----------
    path : Path
        ``phonopy_params.yaml``, ``phonopy_disp.yaml`` or the like, of any calculator that phonopy knows, also
        compressed (``.xz``, ``.gz``). Force constants are those in it, or else in ``FORCE_CONSTANTS`` or
        ``force_constants.hdf5`` beside it, or made from forces in the file or in ``FORCE_SETS``.
    periodic : tuple of 3 bool
        False along axes with vacuum, of which the file says nothing.

    Raises
    ------
    DataError
        If the file is missing, damaged, or has no force constants, or a number in it is not finite.
    """
    path = path.absolute()
    text = read_plain_yaml(path)
    constants = _beside(path, _CONSTANTS)
    forces = _beside(path, (_FORCES,))
    if constants is None and forces is None and not _INSIDE.search(text):
        raise DataError(
            f"{path} has neither force constants nor forces, nor is one of "
            f"{', '.join((*_CONSTANTS, _FORCES))} beside it",
            fix="put the file that phonopy wrote beside it",
        )
    try:
        with _away_from_other_files():
            phonon = phonopy.load(
                str(path),
                is_nac=False,
                force_constants_filename=constants,
                force_sets_filename=None if constants else forces,
                log_level=0,
            )
        found = phonon.force_constants
        units = get_calculator_physical_units(phonon.calculator)
    except Exception as error:
        raise _damaged(path, error) from error
    if found is None:
        raise DataError(
            f"{path}: phonopy makes no force constants of it",
            fix="give a file with force constants, or with the forces of every displacement",
        )
    unitcell, supercell = phonon.unitcell.copy(), phonon.supercell.copy()
    for cell in (unitcell, supercell):
        cell.cell = cell.cell * units.distance_to_A
    to_ev_per_angstrom2 = units.force_to_eVperA / units.distance_to_A
    cells = (unitcell, supercell, phonon.primitive.p2s_map)
    return [_compact(path, *cells, found * to_ev_per_angstrom2, periodic=periodic)]


def read_phono3py_tensors(path: Path, periodic: Periodic = THREE_DIMENSIONAL) -> list[CompactTensor]:
    """Cubic force constants in ``fc3.hdf5`` beside a phono3py file, and harmonic ones in ``fc2.hdf5``.

    Parameters
    ----------
    path : Path
        ``phono3py_params.yaml``, ``phono3py_disp.yaml`` or the like, also compressed.
    periodic : tuple of 3 bool
        False along axes with vacuum, of which the file says nothing.

    Raises
    ------
    UsageError
        If phono3py is not installed.
    DataError
        If a file is missing or damaged, or a number in it is not finite.
    """
    path = path.absolute()
    try:
        import phono3py
    except ImportError as error:
        raise UsageError(
            f"training.prior.phono3py needs phono3py: {error}", fix="pip install 'mlff-dyn[phono3py]'"
        ) from error
    read_plain_yaml(path)
    cubic, harmonic = _beside(path, (_CUBIC,)), _beside(path, (_HARMONIC,))
    if cubic is None:
        raise DataError(f"there is no fc3.hdf5 beside {path}", fix="put the file that phono3py wrote there")
    try:
        with _away_from_other_files():
            phonon = phono3py.load(
                str(path),
                is_nac=False,
                produce_fc=False,
                fc3_filename=cubic,
                fc2_filename=harmonic,
                log_level=0,
            )
        cells = (phonon.unitcell, phonon.supercell, phonon.primitive.p2s_map)
        tensors = [_compact(path, *cells, phonon.fc3, periodic=periodic)]
        if harmonic is not None:
            cells = (phonon.unitcell, phonon.phonon_supercell, phonon.phonon_primitive.p2s_map)
            tensors.append(_compact(path, *cells, phonon.fc2, periodic=periodic))
    except DataError:
        raise
    except Exception as error:
        raise _damaged(path, error) from error
    return tensors


def source_files(path: Path) -> list[Path]:
    """A file of phonopy or phono3py and those beside it that may be read with it."""
    names = (*_CONSTANTS, _FORCES, _CUBIC, _HARMONIC)
    return [path, *(path.parent / name for name in names if (path.parent / name).is_file())]


def _compact(
    path: Path,
    unitcell: PhonopyAtoms,
    supercell: PhonopyAtoms,
    p2s_map: ArrayLike,
    array: NDArray[np.float64],
    *,
    periodic: Periodic,
) -> CompactTensor:
    """Force constants in the order of the torus, one row for each site of our primitive cell; Å and eV."""
    if not np.isfinite(array).all():
        raise DataError(
            f"{path}: force constants of order {array.ndim // 2} hold numbers that are not finite",
            fix="write the files of this prior again, or leave training.prior out",
        )
    crystal = build_crystal(
        unitcell.cell,
        unitcell.positions,
        unitcell.numbers,
        unitcell.masses,
        magnetic_moments=unitcell.magnetic_moments,
        periodic=periodic,
    )
    match = match_structure(crystal, supercell.cell, supercell.positions, supercell.numbers)
    n_atoms, order = match.torus.n_atoms, array.ndim // 2
    rows = np.arange(n_atoms) if len(array) == n_atoms else np.asarray(p2s_map, np.int64)
    if len(rows) != len(array) or array.shape[1] != n_atoms:
        raise DataError(
            f"{path}: force constants of {array.shape[1]} atoms do not fit its supercell of {n_atoms}",
            fix="put files of the same calculation beside each other",
        )
    torus_atom = np.empty(n_atoms, np.int64)
    torus_atom[match.atoms] = np.arange(n_atoms)
    sites = torus_atom[rows] // match.torus.n_cells
    chosen = np.array([np.flatnonzero(sites == site)[0] for site in range(crystal.n_sites)])
    ordered = array[chosen]
    for axis in range(1, order):
        ordered = ordered.take(match.atoms, axis=axis)
    return CompactTensor(match.torus, torus_atom[rows[chosen]], ordered)


def _beside(path: Path, names: tuple[str, ...]) -> str | None:
    found = [path.parent / name for name in names if (path.parent / name).is_file()]
    return str(found[0]) if found else None


@contextmanager
def _away_from_other_files() -> Iterator[None]:
    """Work in an empty directory: phonopy takes force constants it finds in the current one."""
    home = Path.cwd()
    with tempfile.TemporaryDirectory() as empty:
        os.chdir(empty)
        try:
            yield
        finally:
            os.chdir(home)


def _damaged(path: Path, error: Exception) -> DataError:
    reason = " ".join(str(error).split())
    if not reason or isinstance(error, KeyError):
        reason = f"{type(error).__name__} {reason}".rstrip()
    return DataError(f"{path}, or a file beside it, cannot be read: {reason}", fix="write it again")
