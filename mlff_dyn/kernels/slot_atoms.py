"""Atoms that the slots of a table mean on a torus.

Cells are numbered by their places on the grid of the torus, the last direction fastest. The atom that a slot
means for a cell follows from the one that it means for cell 0: their places are added, modulo the extents. A
table of all of them takes four bytes per slot and cell, so a large torus is worked out in pieces.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Cells = slice | NDArray[np.int64] | NDArray[np.int32]

EVERY_CELL = slice(None)

LARGEST_TABLE = 1 << 20
"""Slots times cells of a table that is kept."""


class SlotAtoms(Protocol):
    """Which atom each slot means for each home cell."""

    @property
    def n_cells(self) -> int:
        """Cells of the torus."""

    @property
    def home(self) -> NDArray[np.int32]:
        """Atom that each slot means for cell 0, shape (n_slots,)."""

    @property
    def grid(self) -> tuple[int, int, int] | None:
        """Extents of the torus; None where all that is known is a table."""

    def of_cells(self, cells: Cells, slots: Cells = EVERY_CELL) -> NDArray[np.int32]:
        """Atoms of some cells (and slots), shape (n_slots, n_cells)."""


@dataclass(frozen=True, eq=False)
class SlotTable:
    """Atoms as a table, shape (n_slots, n_cells)."""

    table: NDArray[np.int32]

    grid = None

    @property
    def n_cells(self) -> int:
        """Cells of the torus."""
        return int(self.table.shape[1])

    @property
    def home(self) -> NDArray[np.int32]:
        """Atom that each slot means for cell 0, shape (n_slots,)."""
        return self.table[:, 0]

    def of_cells(self, cells: Cells, slots: Cells = EVERY_CELL) -> NDArray[np.int32]:
        """Atoms of some cells (and slots), shape (n_slots, n_cells)."""
        return np.ascontiguousarray(self.table[slots][:, cells])


@dataclass(frozen=True, eq=False)
class TorusSlots:
    """Atoms worked out from those of cell 0, numbered site * n_cells + cell.

    Attributes
    ----------
    home : ndarray, shape (n_slots,), int32
        Atom that each slot means for cell 0.
    grid : tuple of 3 int
        Extents of the torus.
    """

    home: NDArray[np.int32]
    grid: tuple[int, int, int]

    @property
    def n_cells(self) -> int:
        """Cells of the torus."""
        return int(np.prod(self.grid, dtype=np.int64))

    def of_cells(self, cells: Cells, slots: Cells = EVERY_CELL) -> NDArray[np.int32]:
        """Atoms of some cells (and slots), shape (n_slots, n_cells)."""
        if len(self.home) * self.n_cells <= LARGEST_TABLE:
            return np.ascontiguousarray(self._table[slots][:, cells])
        return self._work_out(cells, slots)

    @cached_property
    def _table(self) -> NDArray[np.int32]:
        return self._work_out(EVERY_CELL, EVERY_CELL)

    def _work_out(self, cells: Cells, slots: Cells) -> NDArray[np.int32]:
        chosen = np.arange(*cells.indices(self.n_cells)) if isinstance(cells, slice) else cells
        sites, moves = np.divmod(self.home[slots], self.n_cells)
        steps = zip(np.unravel_index(moves, self.grid), np.unravel_index(chosen, self.grid), strict=True)
        places = np.zeros((len(sites), len(chosen)), np.int32)
        for extent, (move, cell) in zip(self.grid, steps, strict=True):
            along = move.astype(np.int32)[:, None] + cell.astype(np.int32)
            along[along >= extent] -= np.int32(extent)
            places *= np.int32(extent)
            places += along
        places += (self.n_cells * sites.astype(np.int32))[:, None]
        return places


def as_slot_atoms(slot_atoms: SlotAtoms | NDArray[np.int32]) -> SlotAtoms:
    """Return a table, shape (n_slots, n_cells), as slots; what is that already stays as it is."""
    if isinstance(slot_atoms, np.ndarray):
        return SlotTable(np.ascontiguousarray(slot_atoms, dtype=np.int32))
    return slot_atoms


def cell_slices(n_cells: int, n_slots: int) -> list[slice]:
    """Cells in pieces whose tables are small; all of them together where they are few."""
    length = max(1, LARGEST_TABLE // max(1, n_slots))
    return [slice(first, min(first + length, n_cells)) for first in range(0, n_cells, length)]


def atoms_for_kernel(slot_atoms: SlotAtoms, slots: Cells = EVERY_CELL) -> NDArray[np.int32]:
    """Atoms of (some) slots for all cells; for cell 0 alone where a kernel should work out the others."""
    n_entries = len(slot_atoms.home[slots]) * slot_atoms.n_cells
    is_large = slot_atoms.grid is not None and n_entries > LARGEST_TABLE
    return slot_atoms.of_cells(slice(0, 1) if is_large else EVERY_CELL, slots)
