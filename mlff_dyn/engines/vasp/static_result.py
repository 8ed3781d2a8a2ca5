"""The result of one calculation at fixed atoms, from what VASP leaves in its directory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlff_dyn.engines.base import EngineResult
from mlff_dyn.engines.magnetic_state import MagneticState
from mlff_dyn.engines.vasp.outcar import OUTCAR
from mlff_dyn.engines.vasp.vasprun import VASPRUN
from mlff_dyn.errors import DataError, EngineError
from mlff_dyn.store.calculated_steps import ReadOptions, RefusedStep

if TYPE_CHECKING:
    from mlff_dyn.store.dataset import Snapshot
    from mlff_dyn.store.source import Source

_FIX = "look into OUTCAR and the standard output of VASP, and calculate it again"


def read_static(source: Source) -> EngineResult:
    """Read the one step of a ``vasprun.xml`` or an ``OUTCAR``.

    Moments of atoms are in OUTCAR alone: one beside a vasprun.xml is read for them.

    Raises
    ------
    EngineError
        If the file is missing, cut, damaged or not converged, or has not exactly one step.
    """
    try:
        label_format = next(kind for kind in (VASPRUN, OUTCAR) if kind.recognizes(source, source.head()))
        steps = list(label_format.read(source, ReadOptions()))
    except StopIteration:
        raise EngineError(f"{source} is neither a vasprun.xml nor an OUTCAR of VASP", fix=_FIX) from None
    except DataError as error:
        raise EngineError(error.message, fix=_FIX) from error
    snapshots: list[Snapshot] = []
    for step in steps:
        if isinstance(step, RefusedStep):
            raise EngineError(str(step), fix=step.fix)
        snapshots.append(step)
    if len(snapshots) != 1:
        raise EngineError(f"{source}: there are {len(snapshots)} steps, not one", fix="set NSW = 0")
    snapshot = snapshots[0]
    if snapshot.energy_ev is None:
        raise EngineError(f"{source}: there is no energy", fix=_FIX)
    origin = {
        name: value
        for name in ("program", "pseudopotentials", "date")
        if (value := getattr(snapshot.provenance, name)) is not None
    }
    moments = snapshot.magnetic_moments
    return EngineResult(
        energy_ev=snapshot.energy_ev,
        forces_ev_per_angstrom=snapshot.forces_ev_per_angstrom,
        stress_ev_per_angstrom3=snapshot.stress_ev_per_angstrom3,
        magnetic_state=None if moments is None else MagneticState(moments, float(moments.sum())),
        origin=origin,
    )
