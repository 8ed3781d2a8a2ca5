"""Moments of atoms, which vasprun.xml does not have: those of an OUTCAR beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlff_dyn.engines.vasp.outcar import OUTCAR
from mlff_dyn.errors import DataError
from mlff_dyn.store.calculated_steps import ReadOptions, RefusedStep

if TYPE_CHECKING:
    import numpy as np

    from mlff_dyn.store.source import Source

_SAME_ENERGY_EV = 2.0e-6


class MomentsBeside:
    """Moments by step.

    Parameters
    ----------
    source : Source
        A vasprun.xml.
    """

    def __init__(self, source: Source) -> None:
        self._found: dict[int, tuple[float, np.ndarray]] = {}
        beside = source.sibling("OUTCAR")
        if beside is None:
            return
        try:
            for step in OUTCAR.read(beside, ReadOptions()):
                if isinstance(step, RefusedStep) or step.magnetic_moments is None or step.energy_ev is None:
                    continue
                self._found[step.provenance.step or 0] = (step.energy_ev, step.magnetic_moments)
        except DataError:
            self._found = {}

    def of_step(self, number: int, energy_ev: float | None, n_atoms: int) -> np.ndarray | None:
        """Return those of a step; None where they are unknown, or the energy is that of another run."""
        energy, moments = self._found.get(number, (None, None))
        if energy is None or energy_ev is None or moments is None or len(moments) != n_atoms:
            return None
        return moments if abs(energy - energy_ev) < _SAME_ENERGY_EV else None
