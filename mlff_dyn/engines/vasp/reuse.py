"""The charge density of the last finished calculation as the start of the next one.

It lies beside the directories of the calculations, under a name that tells what it may start: same atoms in
the same order, same moments, same plane waves. Each calculation works on a copy, for VASP writes into the
file that it read. What is kept is put there by a rename, so a kill leaves the last one whole.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from typing import TYPE_CHECKING, Any

from mlff_dyn.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ase import Atoms
    from numpy.typing import NDArray

CHOICES = ("none", "charge-density")
FOLDER_NAME = ".charge-density"
_GRID_TAGS = ("ENCUT", "PREC", "NGXF", "NGYF", "NGZF", "ISPIN", "LSORBIT")


def checked_reuse(given: object) -> bool:
    """Return whether the charge density of earlier calculations is to be used.

    Raises
    ------
    ConfigError
        If it is none of the choices.
    """
    if given not in (None, *CHOICES):
        raise ConfigError(f"engine.profile.reuse: {given!r} is unknown", fix=f"use {' or '.join(CHOICES)}")
    return given == "charge-density"


def density_name(atoms: Atoms, order: NDArray[Any], tags: Mapping[str, Any]) -> str:
    """Name of the densities that a calculation may start from, and of the one that it makes."""
    content = [
        atoms.numbers[order].tolist(),
        atoms.get_initial_magnetic_moments()[order].tolist(),
        [str(tags.get(tag)) for tag in _GRID_TAGS],
    ]
    return f"CHGCAR-{hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]}"


def start_from_density(directory: Path, name: str) -> bool:
    """Copy a kept density into a new calculation; False where there is none."""
    kept = directory.parent / FOLDER_NAME / name
    try:
        shutil.copyfile(kept, directory / "CHGCAR")
    except FileNotFoundError:
        (directory / "CHGCAR").unlink(missing_ok=True)
        return False
    return True


def keep_density(directory: Path, name: str) -> None:
    """Keep the density of a calculation that ended well."""
    folder = directory.parent / FOLDER_NAME
    density = directory / "CHGCAR"
    if density.is_file() and density.stat().st_size:
        folder.mkdir(exist_ok=True)
        density.replace(folder / name)
