"""Trajectories as extended XYZ: with cell, energy, momenta, step, time and temperature of every frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ase.units
import numpy as np
from ase.data import atomic_masses

from mlff_dyn.store.extxyz import format_frame

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mlff_dyn.formats.trajectory_frames import Frame, Outline

_STANDARD_MASSES_RTOL = 1e-3


def format_extxyz(outline: Outline, frames: Iterable[Frame]) -> Iterator[str]:
    """Yield the text of one frame after the other.

    Velocities are there as ``momenta``, in the units of ASE, whose ``get_velocities`` gives them back; masses
    that are not the standard ones as ``masses``. ``temperature_kelvin`` is that of the run,
    ``kinetic_temperature_kelvin`` that of the frame.

    Parameters
    ----------
    outline : Outline
    frames : iterable of Frame
    """
    masses, columns = atomic_masses[outline.numbers], {}
    if outline.masses is not None and not np.allclose(outline.masses, masses, rtol=_STANDARD_MASSES_RTOL):
        masses = columns["masses"] = outline.masses
    names = {"timestep_femtoseconds", "temperature_kelvin"}
    run = {name: value for name, value in outline.attributes.items() if name in names}
    timestep = run.pop("timestep_femtoseconds", None)
    for frame in frames:
        info = {"step": frame.step, **run, "kinetic_temperature_kelvin": frame.temperature_kelvin}
        if timestep is not None:
            info["time_femtoseconds"] = timestep * frame.step
        moving = {}
        if frame.velocities is not None:
            moving["momenta"] = masses[:, None] * frame.velocities / ase.units.fs
        yield format_frame(
            outline.numbers,
            frame.lattice,
            {"pos": frame.positions, **moving, **columns},
            energy_ev=frame.potential_energy,
            info=info,
            periodic=outline.periodic,
        )
