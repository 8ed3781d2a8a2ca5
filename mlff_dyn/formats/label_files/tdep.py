"""Trajectories in TDEP's ``infile`` files: positions in fractions of the supercell, forces in eV/Å.

The stress of ``infile.stat`` is not read: it may hold the kinetic part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import DataError
from mlff_dyn.formats.label_files.displaced import Displaced, displaced_snapshots, read_numbers
from mlff_dyn.formats.label_files.ideal_cell import read_cell
from mlff_dyn.store.calculated_steps import LabelFormat, ReadOptions, RefusedStep

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlff_dyn.store.dataset import Snapshot
    from mlff_dyn.store.source import Source

_POSITIONS, _FORCES, _CELL, _STAT, _META = (
    f"infile.{name}" for name in ("positions", "forces", "ssposcar", "stat", "meta")
)
_POTENTIAL_ENERGY = 3
_N_COLUMNS = 13


def _recognizes(source: Source, head: bytes) -> bool:
    return source.name.startswith(_POSITIONS) and bool(head.strip())


def _beside(source: Source) -> tuple[Source, ...]:
    found = map(source.sibling, (_FORCES, _CELL, _STAT, _META))
    return tuple(each for each in found if each is not None)


def _read(source: Source, options: ReadOptions) -> Iterator[Snapshot | RefusedStep]:
    cell = read_cell(options.structure or _required(source, _CELL))
    forces = _required(source, _FORCES)
    tables = [read_numbers(each, (3,)) for each in (source, forces)]
    n_atoms, meta = len(cell.numbers), source.sibling(_META)
    told = None if meta is None else read_numbers(meta, (1,)).ravel()
    if told is not None and (len(told) < 2 or told[0] != n_atoms or told[1] * n_atoms != len(tables[0])):
        raise DataError(
            f"{meta} tells of other numbers of atoms or steps than {source}", fix="write both again"
        )
    if len(tables[0]) != len(tables[1]) or len(tables[0]) % n_atoms:
        raise DataError(
            f"{source} and {forces} have {len(tables[0])} and {len(tables[1])} lines, not those of the same "
            f"cells of {n_atoms} atoms",
            fix="put files of the same calculation beside each other",
        )
    positions, pushes = (table.reshape(-1, n_atoms, 3) for table in tables)
    energies = _energies(source, len(positions))
    ideal = np.linalg.solve(cell.lattice.T, cell.positions.T).T
    displaced = []
    for place, push, energy in zip(positions, pushes, energies, strict=True):
        apart = place - ideal
        displaced.append(Displaced(cell, (apart - np.rint(apart)) @ cell.lattice, push, energy))
    yield from displaced_snapshots(source, displaced, options.steps)


def _required(source: Source, name: str) -> Source:
    found = source.sibling(name)
    if found is None:
        raise DataError(f"{source}: there is no {name} beside it", fix=f"put {name} beside it")
    return found


def _energies(source: Source, n_steps: int) -> list[float] | list[None]:
    stat = source.sibling(_STAT)
    if stat is None:
        return [None] * n_steps
    table = read_numbers(stat, (_N_COLUMNS,))
    if len(table) != n_steps:
        raise DataError(f"{stat} has {len(table)} lines, {source} {n_steps} steps", fix="write both again")
    return [float(value) for value in table[:, _POTENTIAL_ENERGY]]


TDEP = LabelFormat("TDEP infile.positions", _recognizes, _read, _beside)
