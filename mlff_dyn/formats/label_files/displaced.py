"""Displaced supercells, of which files hold displacements and forces alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import DataError, located
from mlff_dyn.store.calculated_steps import RefusedStep
from mlff_dyn.store.dataset import Snapshot
from mlff_dyn.store.provenance import Provenance

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from mlff_dyn.store.calculated_steps import StepChoice
    from mlff_dyn.store.source import Source


@dataclass(frozen=True, eq=False)
class Cell:
    """An undisplaced supercell.

    Attributes
    ----------
    numbers : ndarray of int, shape (n_atoms,)
    positions : ndarray, shape (n_atoms, 3), Å
    lattice : ndarray, shape (3, 3), Å
    """

    numbers: NDArray[np.int64]
    positions: NDArray[np.float64]
    lattice: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Displaced:
    """One displaced supercell.

    Attributes
    ----------
    cell : Cell
    displacements, forces : ndarray, shape (n_atoms, 3)
        Å, eV/Å.
    energy_ev : float or None
    """

    cell: Cell
    displacements: NDArray[np.float64]
    forces: NDArray[np.float64]
    energy_ev: float | None = None


def displaced_snapshots(
    source: Source, displaced: Iterable[Displaced | None], steps: StepChoice, program: str | None = None
) -> Iterator[Snapshot | RefusedStep]:
    """Snapshots of the chosen ones of displaced supercells, in their order.

    Parameters
    ----------
    source : Source
    displaced : iterable of Displaced or None
        None for a place that was not calculated.
    steps : StepChoice
    program : str, optional
        That calculated the forces.
    """
    numbered = [(step, each) for step, each in enumerate(displaced, start=1) if each is not None]
    for step, each in steps.of(numbered):
        if each.displacements.any() and not each.forces.any():
            yield RefusedStep(
                source, step, "all its forces are zero", "collect the forces of every displacement again"
            )
            continue
        try:
            with located(f"{source}, step {step}"):
                yield Snapshot(
                    numbers=each.cell.numbers,
                    positions=each.cell.positions + each.displacements,
                    cell=each.cell.lattice,
                    energy_ev=each.energy_ev,
                    forces_ev_per_angstrom=each.forces,
                    provenance=Provenance(program=program, file=str(source), step=step),
                )
        except DataError as error:
            yield RefusedStep(source, step, error.message.removeprefix(f"{source}, step {step}: "), error.fix)


def whole_text(source: Source) -> str:
    """Read a text that ends with a line break.

    Raises
    ------
    DataError
        If it does not: the last number may be cut.
    """
    text = source.read_text()
    if not text.endswith("\n"):
        raise DataError(f"{source} is cut: its last line has no line break", fix="write it again")
    return text


def read_numbers(source: Source, n_columns: tuple[int, ...]) -> NDArray[np.float64]:
    """Read a table of numbers with comments after ``#``.

    Raises
    ------
    DataError
        If it is something else, or has another number of columns.
    """
    text = whole_text(source)
    rows = [line.partition("#")[0].split() for line in text.splitlines()]
    rows = [row for row in rows if row]
    if not rows or len(rows[0]) not in n_columns or any(len(row) != len(rows[0]) for row in rows):
        words = " or ".join(map(str, n_columns))
        raise DataError(f"{source} is no table of {words} columns", fix="write it again")
    try:
        return np.array(rows, dtype=float)
    except ValueError as error:
        raise DataError(
            f"{source} holds something else than numbers: {error}", fix="write it again"
        ) from None
