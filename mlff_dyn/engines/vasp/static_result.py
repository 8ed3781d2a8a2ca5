"""Result of a static calculation from its vasprun.xml."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.engines.base import EngineResult
from mlff_dyn.errors import EngineError
from mlff_dyn.units import EV_PER_ANGSTROM3_GPA

if TYPE_CHECKING:
    from mlff_dyn.store.source import Source

_KBAR_EV_PER_ANGSTROM3 = 0.1 / EV_PER_ANGSTROM3_GPA
_VOIGT = ([0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1])


def read_static(source: Source) -> EngineResult:
    """Read energy, forces and stress of a converged static calculation.

    Raises
    ------
    EngineError
        If the file is cut, or the calculation is not converged.
    """
    again = "run the same command again, it calculates anew"
    try:
        root = ET.fromstring(source.read_text())  # noqa: S314 (a file of a program that was started here)
        last = root.findall("calculation")[-1]
        n_steps = len(last.findall("scstep"))
        n_most = int(root.findtext("parameters//i[@name='NELM']") or 0)
        forces = _rows(last.find("varray[@name='forces']"))
        stress = last.find("varray[@name='stress']")
        energy = float(last.findtext("energy/i[@name='e_fr_energy']") or "nan")
        program = f"VASP {(root.findtext('generator/i[@name=' + repr('version') + ']') or '').strip()}"
    except (ET.ParseError, IndexError, ValueError) as error:
        raise EngineError(f"{source} is cut or damaged: {error}", fix=again) from error
    if n_steps >= n_most:
        raise EngineError(
            f"{source}: not converged: NELM = {n_most} electronic steps",
            fix="raise engine.parameters.incar.NELM",
        )
    return EngineResult(
        energy_ev=energy,
        forces_ev_per_angstrom=forces,
        stress_ev_per_angstrom3=None if stress is None else -_rows(stress)[_VOIGT] * _KBAR_EV_PER_ANGSTROM3,
        origin={"program": program},
    )


def _rows(array: ET.Element | None) -> np.ndarray:
    if array is None:
        raise ValueError("a part is missing")
    return np.array([(row.text or "").split() for row in array], dtype=float)
