"""Read OUTCAR of VASP 4.6 to 6: every calculated step that is complete and converged.

Energies are the free energy F (``free  energy   TOTEN``), of which the forces are the derivative. Positions
have five decimals here, but for those of the first step: vasprun.xml of the same run is better.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.engines.vasp.convergence import AGAIN_FIX, ANOTHER_RUN, ANOTHER_RUN_FIX
from mlff_dyn.engines.vasp.numbers import (
    DAMAGED_FIX,
    read_number,
    read_numbers,
    read_rows,
    split_numbers,
    stress_of_kilobar,
)
from mlff_dyn.engines.vasp.outcar_head import read_outcar_head
from mlff_dyn.engines.vasp.outcar_steps import OutcarHead, RawIonicStep, scan_outcar
from mlff_dyn.engines.vasp.run_reader import read_run
from mlff_dyn.errors import DataError
from mlff_dyn.lattice.magnetism import MAGNETIC_LIMITS
from mlff_dyn.store.calculated_steps import LabelFormat, RefusedStep
from mlff_dyn.store.cut_sources import keeps_steps_before_damage
from mlff_dyn.store.dataset import Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlff_dyn.engines.vasp.outcar_head import OutcarRun
    from mlff_dyn.store.calculated_steps import ReadOptions
    from mlff_dyn.store.source import Source

_RECOGNIZED = re.compile(rb"^\s*vasp\.\d", re.IGNORECASE)
_NUMBER = re.compile(r"[-+]?\d*\.?\d+(?:[eE][-+]?\d+)?")
_ENERGY = re.compile(r"([-+]?\d*\.\d+)\s+eV")
_SAME_ENERGY_EV = 2.0e-6
_SAME_POSITION_ANGSTROM = 2.0e-5
_SAME_VOLUME = 1.0e-5
_PRINTED_VOLUME = 0.006
_PRINTED_PRESSURE_KILOBAR = 0.011


@keeps_steps_before_damage
def read_outcar(source: Source, options: ReadOptions) -> Iterator[Snapshot | RefusedStep]:
    """Yield the chosen calculated steps, and what is to be said of the rest; see `read_run`."""

    def begin(head: OutcarHead | None) -> Callable[[RawIonicStep], Snapshot]:
        return partial(_step, source, read_outcar_head(() if head is None else head.lines))

    yield from read_run(source, options.steps, scan_outcar, OutcarHead, begin)


def _step(source: Source, run: OutcarRun, raw: RawIonicStep) -> Snapshot:
    _check_converged(run, raw)
    return _snapshot(source, run, raw)


def _check_converged(run: OutcarRun, raw: RawIonicStep) -> None:
    n_steps = len(raw.iterations)
    if raw.is_another_run:
        raise DataError(ANOTHER_RUN, fix=ANOTHER_RUN_FIX)
    if not raw.is_complete:
        missing = "energy is" if raw.energy is None else "forces are"
        raise DataError(f"not complete: its {missing} missing", fix="continue the run, or leave it out")
    if raw.iterations != list(range(1, n_steps + 1)) or len(raw.electronic) != n_steps:
        raise DataError("damaged: electronic steps are missing", fix=DAMAGED_FIX)
    run.limits.check([_energy(text) for text in raw.electronic])
    if not raw.reached:
        raise DataError("not converged: VASP does not say that EDIFF was reached", fix=AGAIN_FIX)


def _snapshot(source: Source, run: OutcarRun, raw: RawIonicStep) -> Snapshot:
    n_atoms = len(run.numbers)
    cell = _cell(run, raw)
    table = read_rows(raw.atoms, "positions and forces", (n_atoms, 6))
    energy, last = _energy(raw.energy), _energy(raw.electronic[-1])
    if energy is None or last is None:
        raise DataError("its energy is no number", fix=DAMAGED_FIX)
    if not run.adds_energy and abs(energy - last) > _SAME_ENERGY_EV:
        raise DataError("damaged: its energy is not that of its last electronic step", fix=DAMAGED_FIX)
    return Snapshot(
        numbers=run.numbers,
        positions=_positions(run, raw.number, table[:, :3], cell),
        cell=cell,
        energy_ev=energy,
        forces_ev_per_angstrom=table[:, 3:],
        stress_ev_per_angstrom3=_stress(raw),
        magnetic_moments=_moments(run, raw),
        provenance=run.origin.provenance(source, raw.number),
    )


def _energy(text: str | None) -> float | None:
    found = None if text is None else _ENERGY.match(text)
    return None if found is None else float(found[1])


def _cell(run: OutcarRun, raw: RawIonicStep) -> np.ndarray:
    rows = raw.cell
    if not rows and raw.volume is None and run.cell:
        rows = run.cell
    table = read_rows(rows, "cell vectors", (3, 6))
    cell, inverse = table[:, :3], table[:, 3:]
    if np.abs(cell @ inverse.T - np.eye(3)).max() > _SAME_VOLUME * np.abs(cell).max():
        raise DataError("its cell vectors contradict its reciprocal vectors", fix=DAMAGED_FIX)
    if raw.volume is not None:
        stated = read_number(raw.volume, "volume")
        if abs(abs(np.linalg.det(cell)) - stated) > _PRINTED_VOLUME + _SAME_VOLUME * stated:
            raise DataError("its cell vectors contradict its volume", fix=DAMAGED_FIX)
    return np.array(cell)


def _positions(run: OutcarRun, number: int, printed: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Take the positions of the first step from the head, where they have more decimals."""
    if number != 1 or run.fractional is None:
        return np.array(printed)
    fractional = read_rows(run.fractional, "fractional positions", (len(printed), 3))
    shift = (fractional @ cell - printed) @ np.linalg.inv(cell)
    precise = (fractional - np.round(shift)) @ cell
    if np.abs(precise - printed).max() > _SAME_POSITION_ANGSTROM:
        raise DataError("its positions contradict those before the first step", fix=DAMAGED_FIX)
    return np.asarray(precise)


def _stress(raw: RawIonicStep) -> np.ndarray | None:
    if raw.stress is None:
        if raw.has_stress or raw.pressure is not None:
            raise DataError("damaged: the stress is missing", fix=DAMAGED_FIX)
        return None
    xx, yy, zz, xy, yz, zx = read_rows([split_numbers(raw.stress)], "stress", (1, 6))[0]
    if raw.pressure is not None:
        stated = _NUMBER.findall(raw.pressure)
        total = read_numbers(stated[:2], "pressure").sum()
        if abs((xx + yy + zz) / 3.0 - total) > _PRINTED_PRESSURE_KILOBAR:
            raise DataError("damaged: its stress contradicts its pressure", fix=DAMAGED_FIX)
    return stress_of_kilobar(np.array([[xx, xy, zx], [xy, yy, yz], [zx, yz, zz]]))


def _moments(run: OutcarRun, raw: RawIonicStep) -> np.ndarray | None:
    if not run.is_collinear or len(raw.moments) != len(run.numbers):
        return None
    try:
        moments = read_numbers([row[-1] for row in raw.moments if row], "moments")
    except DataError:
        return None
    if len(moments) != len(run.numbers):
        return None
    return np.where(np.abs(moments) < MAGNETIC_LIMITS.none_bohr_magneton, 0.0, moments)


OUTCAR = LabelFormat(
    name="VASP OUTCAR",
    recognizes=lambda _, head: _RECOGNIZED.match(head) is not None,
    read=read_outcar,
)
"""Files called ``OUTCAR`` by VASP, whatever their name is now."""
