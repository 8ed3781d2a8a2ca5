"""Force constants that phonopy and phono3py wrote."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import phonopy

from mlff_dyn.errors import DataError, UsageError
from mlff_dyn.lattice.crystal import build_crystal
from mlff_dyn.lattice.matching import match_structure
from mlff_dyn.model.fitting.projection import CompactTensor

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray
    from phonopy.structure.atoms import PhonopyAtoms

_CONSTANTS = ("FORCE_CONSTANTS", "force_constants.hdf5")
_FORCES = "FORCE_SETS"
_CUBIC, _HARMONIC = "fc3.hdf5", "fc2.hdf5"
_INSIDE = re.compile(r"^[\s-]*(force_constants|forces):", re.MULTILINE)


def read_phonopy_tensors(path: Path) -> list[CompactTensor]:
    """Harmonic force constants of a phonopy file, or of phonopy's own files beside it.

    Parameters
    ----------
    path : Path
        ``phonopy_params.yaml``, ``phonopy_disp.yaml`` or the like. Force constants are taken from
        ``FORCE_CONSTANTS`` or ``force_constants.hdf5`` beside it, or made from forces in ``FORCE_SETS``, or
        are those in the file.

    Raises
    ------
    DataError
        If the file is missing, damaged, or has no force constants.
    """
    text = _read_text(path)
    constants = _beside(path, _CONSTANTS)
    forces = _beside(path, (_FORCES,))
    if constants is None and forces is None and not _INSIDE.search(text):
        raise DataError(
            f"{path} has neither force constants nor forces, nor is one of "
            f"{', '.join((*_CONSTANTS, _FORCES))} beside it",
            fix="put the file that phonopy wrote beside it",
        )
    try:
        phonon = phonopy.load(
            str(path),
            is_nac=False,
            force_constants_filename=constants,
            force_sets_filename=None if constants else forces,
            log_level=0,
        )
        found = phonon.force_constants
    except Exception as error:
        raise _damaged(path, error) from error
    if found is None:
        raise DataError(f"{path}: phonopy makes no force constants of it", fix="check its forces")
    return [_compact(path, phonon.unitcell, phonon.supercell, phonon.primitive.p2s_map, found)]


def read_phono3py_tensors(path: Path) -> list[CompactTensor]:
    """Cubic force constants in ``fc3.hdf5`` beside a phono3py file, and harmonic ones in ``fc2.hdf5``.

    Parameters
    ----------
    path : Path
        ``phono3py_params.yaml``, ``phono3py_disp.yaml`` or the like.

    Raises
    ------
    UsageError
        If phono3py is not installed.
    DataError
        If a file is missing or damaged.
    """
    try:
        import phono3py
    except ImportError as error:
        raise UsageError(
            f"training.prior.phono3py needs phono3py: {error}", fix="pip install 'mlff-dyn[phono3py]'"
        ) from error
    _read_text(path)
    cubic, harmonic = _beside(path, (_CUBIC,)), _beside(path, (_HARMONIC,))
    if cubic is None:
        raise DataError(f"there is no fc3.hdf5 beside {path}", fix="put the file that phono3py wrote there")
    try:
        phonon = phono3py.load(
            str(path),
            is_nac=False,
            produce_fc=False,
            fc3_filename=cubic,
            fc2_filename=harmonic,
            log_level=0,
        )
        tensors = [_compact(path, phonon.unitcell, phonon.supercell, phonon.primitive.p2s_map, phonon.fc3)]
        if harmonic is not None:
            cells = (phonon.unitcell, phonon.phonon_supercell, phonon.phonon_primitive.p2s_map)
            tensors.append(_compact(path, *cells, phonon.fc2))
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
) -> CompactTensor:
    """Force constants in the order of the torus, one row for each site of our primitive cell."""
    crystal = build_crystal(unitcell.cell, unitcell.positions, unitcell.numbers, unitcell.masses)
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


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise DataError(f"cannot read {path}: {reason}", fix="check training.prior") from None


def _damaged(path: Path, error: Exception) -> DataError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return DataError(f"{path}, or a file beside it, cannot be read: {reason}", fix="write it again")
