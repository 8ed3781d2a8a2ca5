"""Input, first structure and start script for i-PI, which asks ``mlff-dyn serve`` for forces and virial."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING
from xml.sax.saxutils import quoteattr

import numpy as np

from mlff_dyn.errors import UsageError
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

    from numpy.typing import NDArray

    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.model.force_field import ForceField

INPUT, STRUCTURE, SCRIPT = "input.xml", "init.xyz", "run.sh"
SUPERCELL_KEY = "primitive_supercell"
"""Of the structure: vectors of its cell (rows) in those of the primitive cell, which a turned cell hides."""
_MPA_PER_GPA = 1e3

_SCRIPT = """#!/bin/sh
# Runs i-PI and its client, on a socket that no other run has: sh {script}
# More clients share the beads of a path integral: MLFF_CLIENTS=4 sh {script}
set -e
cd "$(dirname "$0")"
socket=mlff-$$
sed "s/<address>.*</<address>$socket</" {input} > started.xml
i-pi started.xml > i-pi.log 2>&1 &
server=$!
trap 'kill "$server" 2> /dev/null || true' EXIT
n=1
while [ "$n" -lt "${{MLFF_CLIENTS:-1}}" ]; do
    mlff-dyn serve {model} --structure {structure} --i-pi "unix:$socket" --quiet > /dev/null &
    n=$((n + 1))
done
mlff-dyn serve {model} --structure {structure} --i-pi "unix:$socket" || {{
    code=$?
    tail -n 3 i-pi.log >&2
    exit "$code"
}}
wait "$server"
"""

_INPUT = """<simulation verbosity='medium'>
  <output prefix='simulation'>
    <properties stride='{sample_every}' filename='out'>
      [step, time{{picosecond}}, conserved{{electronvolt}}, temperature{{kelvin}}, potential{{electronvolt}},
       kinetic_cv{{electronvolt}}, pressure_cv{{megapascal}}, volume{{angstrom3}}]
    </properties>
    <trajectory stride='{sample_every}' filename='pos' cell_units='angstrom'>
      positions{{angstrom}}
    </trajectory>
    <checkpoint stride='{checkpoint}' filename='chk' overwrite='True'/>
  </output>
  <total_steps>{n_steps}</total_steps>
  <prng><seed>{seed}</seed></prng>
  <ffsocket name='mlff' mode='unix' pbc='False'>
    <address>mlff</address>
    <exit_on_disconnect>True</exit_on_disconnect>
  </ffsocket>
  <system>
    <!-- nbeads above 1: path integral, with the thermostat pile_g -->
    <initialize nbeads='1'>
      <file mode='xyz'>{structure}</file>
      <masses mode='manual' units='dalton'>[ {masses} ]</masses>
      <velocities mode='thermal' units='kelvin'>{kelvin:g}</velocities>
    </initialize>
    <forces><force forcefield='mlff'/></forces>
    <motion mode='dynamics'>
      <dynamics mode='{ensemble}'>
        <timestep units='femtosecond'>{timestep:g}</timestep>
{motion}      </dynamics>
    </motion>
    <ensemble>
      <temperature units='kelvin'>{kelvin:g}</temperature>
{pressure}    </ensemble>
  </system>
</simulation>
"""


def write_i_pi(
    force_field: ForceField,
    torus: Torus,
    directory: Path,
    *,
    settings: DynamicsSettings | None = None,
) -> tuple[str, ...]:
    """Write what i-PI starts from; ``run.sh`` runs it with a client that reads `MODEL_FILE`.

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
        If i-PI has no such barostat, or the pressure of a sheet is to be constant.
    """
    settings = settings or DynamicsSettings()
    if settings.ensemble == "npt" and settings.barostat_shape != "isotropic":
        raise UsageError(
            f"the input for i-PI has no barostat of shape {settings.barostat_shape}",
            fix="set md.barostat_shape isotropic, and change input.xml as i-PI wants it",
        )
    check_ensemble(settings, torus)
    start = start_of(torus)
    address = f"mlff-{torus.n_atoms}-{settings.seed}"
    names = {
        "input": INPUT,
        "structure": STRUCTURE,
        "script": SCRIPT,
        "model": MODEL_FILE,
        "address": address,
    }
    files = {
        STRUCTURE: format_start(start),
        SCRIPT: _SCRIPT.format(**names),
        INPUT: _input(settings, start, pressure_at_rest(force_field, start.torus)),
    }
    for name, text in files.items():
        (directory / name).write_text(text, encoding="utf-8")
    return tuple(files)


def format_start(start: Start) -> str:
    """Text of the first structure: extended XYZ for ASE, and the comment that i-PI wants.

    Parameters
    ----------
    start : Start
    """
    comment = f"CELL{{H}}: {_row(start.box.T)} positions{{angstrom}} cell{{angstrom}}"
    matrix = " ".join(str(each) for each in start.torus.matrix.ravel().tolist())
    values = {
        "Lattice": _row(start.box),
        SUPERCELL_KEY: matrix,
        "pbc": " ".join("FT"[each] for each in start.torus.crystal.periodic),
        "ipi_comment": comment,
    }
    head = " ".join(f"{name}={quoteattr(value)}" for name, value in values.items())
    lines = [
        f"{symbol} {x:.12f} {y:.12f} {z:.12f}\n"
        for symbol, (x, y, z) in zip(start.symbols, start.positions.tolist(), strict=True)
    ]
    return f"{len(lines)}\n{head} Properties=species:S:1:pos:R:3\n" + "".join(lines)


def read_supercell(path: Path) -> NDArray[np.int64] | None:
    """Supercell in vectors of the primitive cell that `format_start` wrote; None if a file does not say it.

    Parameters
    ----------
    path : Path
    """
    with path.open(encoding="utf-8", errors="replace") as file:
        head = "".join(itertools.islice(file, 2))
    found = re.search(rf"\b{SUPERCELL_KEY}=\"((?: ?-?\d{{1,9}}){{9}})\"", head)
    return None if found is None else np.array(found[1].split(), np.int64).reshape(3, 3)


def _row(values: NDArray[np.float64]) -> str:
    return " ".join(f"{value:.12f}" for value in values.ravel())


def _input(settings: DynamicsSettings, start: Start, at_rest: float) -> str:
    thermostat = {"langevin": "langevin", "bussi": "svr"}[settings.thermostat]
    tau = f"<tau units='femtosecond'>{settings.thermostat_time_femtoseconds:g}</tau>"
    lines, pressure = [], ""
    if settings.ensemble == "npt":
        tau_of_cell = "<tau units='femtosecond'>1000</tau>"
        lines += [
            f"<barostat mode='isotropic'>{tau_of_cell}<thermostat mode='{thermostat}'>{tau}</thermostat>"
        ]
        lines[-1] += "</barostat>"
        megapascal = _MPA_PER_GPA * EV_PER_ANGSTROM3_GPA * (settings.pressure + at_rest)
        pressure = f"      <pressure units='megapascal'>{megapascal:.6g}</pressure>\n"
    if settings.ensemble != "nve":
        lines += [f"<thermostat mode='{thermostat}'>{tau}</thermostat>"]
    return _INPUT.format(
        sample_every=settings.sample_every,
        checkpoint=max(1000, settings.sample_every),
        n_steps=settings.n_steps,
        seed=settings.seed % 2**31,
        structure=STRUCTURE,
        masses=", ".join(f"{mass:.10g}" for mass in start.torus.masses.tolist()),
        kelvin=settings.temperature_kelvin,
        ensemble=settings.ensemble,
        timestep=settings.timestep_femtoseconds,
        motion="".join(f"        {line}\n" for line in lines),
        pressure=pressure,
    )
