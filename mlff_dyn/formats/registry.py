"""Formats by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlff_dyn.errors import UsageError
from mlff_dyn.formats.alamode_files import write_alamode
from mlff_dyn.formats.dynamics_codes.i_pi_files import write_i_pi
from mlff_dyn.formats.dynamics_codes.lammps_files import write_lammps
from mlff_dyn.formats.gpumd_files import write_gpumd
from mlff_dyn.formats.hiphive_files import write_hiphive
from mlff_dyn.formats.phono3py_files import write_phono3py
from mlff_dyn.formats.phonopy_files import write_phonopy
from mlff_dyn.formats.shengbte_files import write_shengbte
from mlff_dyn.formats.tdep_files import write_tdep
from mlff_dyn.formats.trajectory_extxyz import format_extxyz
from mlff_dyn.formats.trajectory_lammps import format_lammps_dump
from mlff_dyn.formats.trajectory_xdatcar import format_xdatcar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mlff_dyn.formats.trajectory_frames import Frame, Outline

    Writer = Callable[..., tuple[str, ...]]
    TrajectoryFormatter = Callable[[Outline, Iterable[Frame]], Iterator[str]]

FORMATS: dict[str, Writer] = {
    "phonopy": write_phonopy,
    "phono3py": write_phono3py,
    "shengbte": write_shengbte,
    "kaldo": write_shengbte,
    "tdep": write_tdep,
    "alamode": write_alamode,
    "hiphive": write_hiphive,
    "gpumd": write_gpumd,
    "i-pi": write_i_pi,
    "lammps": write_lammps,
}
"""Writers: each takes a force field, the supercell of its highest order and an empty directory, puts its
files into that and returns their names, the main one last. One of several orders takes another supercell of
order 2 as ``harmonic``.
"""

DYNAMICS_FORMATS = ("i-pi", "lammps")
"""Programs that ask the force field for forces: their writers take `DynamicsSettings` as ``settings``, and
the model goes with their files.
"""

AT_REST_FORMATS = ("phonopy", "phono3py", "shengbte", "kaldo", "tdep", "alamode")
"""Of programs that take derivatives of the energy at rest, not forces of moving atoms."""

ORDERS: dict[str, tuple[int, ...]] = {**dict.fromkeys(FORMATS, (2,)), "phono3py": (2, 3)}
"""Orders that have a supercell of their own in a format; with one alone, it is that of all."""

TRAJECTORY_FORMATS: dict[str, TrajectoryFormatter] = {
    "extxyz": format_extxyz,
    "xdatcar": format_xdatcar,
    "lammps-dump": format_lammps_dump,
}
"""Formats of trajectories: each takes an outline and the frames, and yields the text of the file."""


def find_format(name: str) -> tuple[Writer, tuple[int, ...]]:
    """Return the writer of a format and its orders.

    Raises
    ------
    UsageError
        If the name is unknown; with all names.
    """
    if name not in FORMATS:
        names = (*FORMATS, *TRAJECTORY_FORMATS)
        raise UsageError(f"format {name!r} is unknown", fix=f"use one of {', '.join(names)}")
    return FORMATS[name], ORDERS[name]
