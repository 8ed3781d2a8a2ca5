"""Displacements and forces in ALAMODE's DFSET, in Bohr and Ry/Bohr.

A DFSET says nothing of its atoms: they are those of a structure file, in the order of ALAMODE's own input,
which need not be that of a POSCAR beside it, so that input may be given as the structure. In a wrong order
the forces cannot be fitted, which a training says.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mlff_dyn.errors import DataError
from mlff_dyn.formats.label_files.displaced import Displaced, displaced_snapshots, read_numbers
from mlff_dyn.formats.label_files.ideal_cell import ideal_cell, structures_beside
from mlff_dyn.store.calculated_steps import LabelFormat, ReadOptions, RefusedStep
from mlff_dyn.units import BOHR_ANGSTROM, RYDBERG_PER_BOHR_EV_PER_ANGSTROM

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlff_dyn.store.dataset import Snapshot
    from mlff_dyn.store.source import Source

_NAME = re.compile(r"DFSET", re.IGNORECASE)
_ROW = re.compile(rb"^[ \t]*([-+.\deEdD]+[ \t]+){5}[-+.\deEdD]+[ \t]*\r?$", re.MULTILINE)
_ENERGY = re.compile(r"^\s*#.*?E_pot \(eV\):\s*(\S+)", re.MULTILINE)


def _recognizes(source: Source, head: bytes) -> bool:
    return bool(_NAME.search(source.name) and _ROW.search(head))


def _read(source: Source, options: ReadOptions) -> Iterator[Snapshot | RefusedStep]:
    table = read_numbers(source, (6,))
    cell, structure = ideal_cell(source, options.structure, len(table))
    frames = table.reshape(-1, len(cell.numbers), 6)
    found = _ENERGY.findall(source.read_text())
    if found and len(found) != len(frames):
        raise DataError(
            f"{source} has {len(found)} energies and {len(frames)} cells of {len(cell.numbers)} atoms as in "
            f"{structure}",
            fix="give its undisplaced supercell: --structure FILE",
        )
    energies = [float(each) for each in found] if found else [None] * len(frames)
    displaced = [
        Displaced(cell, frame[:, :3] * BOHR_ANGSTROM, frame[:, 3:] * RYDBERG_PER_BOHR_EV_PER_ANGSTROM, energy)
        for frame, energy in zip(frames, energies, strict=True)
    ]
    yield from displaced_snapshots(source, displaced, options.steps)


DFSET = LabelFormat("ALAMODE DFSET", _recognizes, _read, structures_beside)
