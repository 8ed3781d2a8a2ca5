"""Tables on a torus: arrays that are checked once, in the form that the kernels take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import DataError, check_shape
from mlff_dyn.kernels.slot_atoms import SlotTable, as_slot_atoms

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.kernels.gather import GatherTables
    from mlff_dyn.kernels.slot_atoms import SlotAtoms


@dataclass(frozen=True, eq=False)
class Placement:
    """Tables on a torus, strained or not, as `place_tables` returns it.

    Attributes
    ----------
    tables : GatherTables
    slot_atoms : SlotAtoms
        Atom that each slot of the tables means for each home cell.
    moves : ndarray, shape (n_slots, 3), or (0, 3) without strain, Å
        What a strain adds to the displacements of the slots.
    """

    tables: GatherTables
    slot_atoms: SlotAtoms
    moves: NDArray[np.float64]

    @property
    def n_sites(self) -> int:
        """Atoms of a cell."""
        return self.tables.polynomial.n_sites

    @property
    def n_cells(self) -> int:
        """Cells of the torus."""
        return self.slot_atoms.n_cells

    @property
    def n_atoms(self) -> int:
        """Atoms of the torus."""
        return self.n_sites * self.n_cells

    @property
    def is_strained(self) -> bool:
        """Whether moves were given."""
        return len(self.moves) > 0

    def check_displacements(self, displacements: NDArray[np.float64]) -> NDArray[np.float64]:
        """Displacements as a contiguous array, or a message that says what is wrong.

        Parameters
        ----------
        displacements : ndarray, shape (n_atoms, 3), Å

        Returns
        -------
        ndarray, shape (n_atoms, 3), float64

        Raises
        ------
        DataError
            If the shape is another.
        """
        check_shape("displacements", displacements, (self.n_atoms, 3))
        return np.ascontiguousarray(displacements, dtype=np.float64)

    def check_atoms(self, atoms: NDArray[np.int64]) -> NDArray[np.int64]:
        """Refuse atoms that the torus does not have.

        Parameters
        ----------
        atoms : ndarray, shape (any,)

        Returns
        -------
        ndarray

        Raises
        ------
        DataError
        """
        check_shape("atoms", atoms, (None,))
        check_range("atoms", atoms, self.n_atoms)
        return atoms


def place_tables(
    tables: GatherTables,
    slot_atoms: SlotAtoms | NDArray[np.int32],
    moves: NDArray[np.float64] | None = None,
) -> Placement:
    """Put the tables on a torus.

    Parameters
    ----------
    tables : GatherTables
    slot_atoms : SlotAtoms, or ndarray, shape (n_slots, n_cells)
        Atom that each slot of the tables means for each home cell.
    moves : ndarray, shape (n_slots, 3), optional, Å
        What a strain adds to the displacements of the slots: positions @ strain, see
        `mlff_dyn.kernels.strain.moves.slot_positions`.

    Returns
    -------
    Placement

    Raises
    ------
    DataError
        If a shape or an atom number does not fit the tables.
    """
    n_slots = len(tables.slots)
    known = check_slot_atoms("slot_atoms", slot_atoms, n_slots, tables.polynomial.n_sites)
    if moves is not None:
        check_shape("moves", moves, (n_slots, 3))
    return Placement(
        tables,
        known,
        np.empty((0, 3)) if moves is None else np.ascontiguousarray(moves, dtype=np.float64),
    )


def check_slot_atoms(
    name: str, slot_atoms: SlotAtoms | NDArray[np.int32], n_slots: int, n_sites: int
) -> SlotAtoms:
    """Atoms of slots, or a message that says what is wrong.

    Raises
    ------
    DataError
        If there are not so many slots, or an atom is out of range.
    """
    known = as_slot_atoms(slot_atoms)
    atoms = known.table if isinstance(known, SlotTable) else known.home[:, None]
    check_shape(name, atoms, (n_slots, None))
    check_range(name, atoms, known.n_cells * n_sites)
    return known


def check_range(name: str, atoms: NDArray[np.int32] | NDArray[np.int64], n_atoms: int) -> None:
    """Refuse atoms that are not among 0 to n_atoms - 1.

    Raises
    ------
    DataError
    """
    if atoms.size and (atoms.min() < 0 or atoms.max() >= n_atoms):
        raise DataError(
            f"{name} has an atom outside 0..{n_atoms - 1}", fix="number the atoms of the supercell from 0"
        )
