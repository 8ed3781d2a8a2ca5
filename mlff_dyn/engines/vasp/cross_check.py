"""Whether a result belongs to its input, and the two files of VASP say the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.engines.echo import structure_difference
from mlff_dyn.engines.vasp.outcar import OUTCAR
from mlff_dyn.engines.vasp.vasprun import VASPRUN
from mlff_dyn.errors import DataError, EngineError
from mlff_dyn.store.calculated_steps import ReadOptions, RefusedStep

if TYPE_CHECKING:
    from ase import Atoms

    from mlff_dyn.engines.base import EngineResult
    from mlff_dyn.store.source import Source

FORCE_TOLERANCE_EV_PER_ANGSTROM = 1e-4
"""OUTCAR has 6 digits after the point, vasprun.xml 8; other structures differ by 100 times more."""

ENERGY_TOLERANCE_EV = 1e-4
_FIX = "do not change the files of a calculation; run the same command again"


def check_structure(source: Source, atoms: Atoms) -> None:
    """Refuse a vasprun.xml of other atoms, another cell or other positions than those of its input.

    Parameters
    ----------
    source : Source
    atoms : Atoms
        Of the POSCAR, in its order.

    Raises
    ------
    EngineError
        If they differ.
    """
    for step in VASPRUN.read(source, ReadOptions()):
        if isinstance(step, RefusedStep):
            raise EngineError(str(step), fix=step.fix)
        difference = structure_difference(
            (atoms.numbers, atoms.cell.array, atoms.positions), (step.numbers, step.cell, step.positions)
        )
        if difference is not None:
            raise EngineError(f"{source} does not belong to the POSCAR beside it: {difference}", fix=_FIX)


def check_outcar(source: Source, result: EngineResult) -> None:
    """Refuse a vasprun.xml whose OUTCAR has other forces or another energy, or refuses its only step.

    An OUTCAR that cannot be read at all says nothing.

    Raises
    ------
    EngineError
        If they differ.
    """
    outcar = source.sibling("OUTCAR")
    if outcar is None:
        return
    try:
        steps = list(OUTCAR.read(outcar, ReadOptions()))
    except DataError:
        return
    for step in steps:
        if isinstance(step, RefusedStep):
            raise EngineError(str(step), fix=step.fix)
        forces, expected = step.forces_ev_per_angstrom, result.forces_ev_per_angstrom
        energy = result.energy_ev if step.energy_ev is None else step.energy_ev
        if forces.shape != expected.shape:
            raise EngineError(f"{source} and {outcar} are of different calculations", fix=_FIX)
        worst, shift = float(np.abs(forces - expected).max()), abs(energy - result.energy_ev)
        if worst > FORCE_TOLERANCE_EV_PER_ANGSTROM or shift > ENERGY_TOLERANCE_EV:
            raise EngineError(
                f"{source} and {outcar} differ by {worst:.2g} eV/Å and {shift:.2g} eV", fix=_FIX
            )
