"""POSCAR: atoms grouped by species, and the order that they were given in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ase.io
import numpy as np
from ase.data import chemical_symbols

from mlff_dyn.errors import EngineError

if TYPE_CHECKING:
    from pathlib import Path

    from ase import Atoms
    from numpy.typing import NDArray


def species_of(numbers: NDArray[np.int64]) -> tuple[str, ...]:
    """Elements in the order of their first atoms."""
    return tuple(dict.fromkeys(chemical_symbols[number] for number in numbers))


def grouped_order(numbers: NDArray[np.int64]) -> NDArray[np.intp]:
    """Index of the given atom at each place of a POSCAR, whose species follow their first atoms.

    Examples
    --------
    >>> grouped_order(np.array([8, 12, 8, 12]))
    array([0, 2, 1, 3])
    """
    _, first, kind = np.unique(numbers, return_index=True, return_inverse=True)
    return np.argsort(first[kind], kind="stable")


def format_poscar(atoms: Atoms, order: NDArray[np.intp]) -> str:
    """Write a POSCAR in full precision.

    Raises
    ------
    EngineError
        If the cell is left-handed, which VASP does not take.
    """
    if np.linalg.det(atoms.cell.array) <= 0.0:
        raise EngineError(
            "the cell is left-handed, which VASP does not take",
            fix="exchange two vectors of the cell in structure.file, or two rows of structure.supercell",
        )
    species = species_of(atoms.numbers)
    symbols = np.array(atoms.get_chemical_symbols())
    rows = [*atoms.cell.array, *(atoms.positions @ np.linalg.inv(atoms.cell.array))[order]]
    lines = [" ".join(f"{value:22.16f}" for value in row) for row in rows]
    counts = [str(np.count_nonzero(symbols == name)) for name in species]
    head = [
        f"mlff-dyn {atoms.get_chemical_formula()}",
        "1.0",
        *lines[:3],
        " ".join(species),
        " ".join(counts),
    ]
    return "\n".join([*head, "Direct", *lines[3:]]) + "\n"


def read_poscar(path: Path, order: NDArray[np.intp]) -> Atoms:
    """Read a POSCAR, atoms in the order that they were given in."""
    atoms: Atoms = ase.io.read(path, format="vasp")
    return atoms[np.argsort(order)]
