"""Choice of the version and of the instruction set, in fresh processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlff_dyn.kernels import _compiled

TWIN_CHECK = """
import numpy as np
from local_crystals import CRYSTALS, displacements_of, local_kernel
from polynomials import Torus, random_polynomial
from mlff_dyn.kernels import compiled, reference
from mlff_dyn.kernels.compiled.instruction_set import INSTRUCTION_SET
from mlff_dyn.kernels.gather import build_gather_tables
from mlff_dyn.kernels.placement import place_tables
from mlff_dyn.kernels.reduction import block_reduction
rng = np.random.default_rng(0)
polynomial = random_polynomial(rng, (1, 2, 3, 4, 5, 6))
tables, torus = build_gather_tables(polynomial), Torus((2, 3, 2))
slot_atoms, parameters = torus.atom_indices(tables.slots), rng.normal(size=polynomial.n_parameters)
place = place_tables(tables, slot_atoms)
u = rng.normal(size=(polynomial.n_sites * torus.n_cells, 3))
forces = compiled.ForceKernel(tables, parameters, slot_atoms).energy_forces(u)[1].reshape(-1)
reduction = block_reduction([np.eye(polynomial.n_parameters)])
design, expected = (twin.reduced_rows(place, reduction, u) for twin in (compiled, reference))
print(INSTRUCTION_SET, np.abs(forces - expected @ parameters).max() / np.abs(forces).max())
single = compiled.ForceKernel(tables, parameters, slot_atoms, "single").energy_forces(u)[1].reshape(-1)
print(np.abs(single - expected @ parameters).max() / np.abs(forces).max())
print(np.abs(design - expected).max() / np.abs(design).max())
local, local_single = 0.0, 0.0
for name in ("l 0", "l 3", "l 6", "whole lanes"):
    terms = CRYSTALS[name].terms()
    u = displacements_of(terms)
    expected = local_kernel(reference, terms).energy_forces(u)[1]
    errors = [
        np.abs(local_kernel(compiled, terms, precision).energy_forces(u)[1] - expected).max() / expected.std()
        for precision in ("double", "single")
    ]
    local, local_single = max(local, errors[0]), max(local_single, errors[1])
    given = (terms.tables, terms.neighbor_atoms, u)
    rows, expected = (twin.local_rows(*given, strain=terms.strain) for twin in (compiled, reference))
    for part in ("forces", "energy", "virial"):
        found, wanted = getattr(rows, part), getattr(expected, part)
        local = max(local, np.abs(found - wanted).max() / np.abs(wanted).max())
print(local, local_single)
"""


def run_python(code, **environment):
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("backend", ["compiled", "reference"])
def test_environment_forces_a_backend(backend):
    result = run_python("from mlff_dyn import kernels; print(kernels.BACKEND)", MLFF_DYN_KERNELS=backend)
    assert result.stdout.strip() == backend, result.stderr


def test_unknown_backend_is_refused():
    result = run_python("import mlff_dyn.kernels", MLFF_DYN_KERNELS="fortran")
    assert "MLFF_DYN_KERNELS=fortran is not known" in result.stderr


def test_missing_compiled_kernels_fall_back_with_a_warning_or_raise_when_forced():
    hidden = "import sys; sys.modules['mlff_dyn.kernels._compiled'] = None\n"
    warned = run_python(
        hidden
        + "import warnings; warnings.simplefilter('always')\n"
        + "from mlff_dyn import kernels; print(kernels.BACKEND)"
    )
    assert warned.stdout.strip() == "reference"
    assert "cannot be imported" in warned.stderr
    forced = run_python(hidden + "import mlff_dyn.kernels", MLFF_DYN_KERNELS="compiled")
    assert "UsageError" in forced.stderr
    assert "reinstall" in forced.stderr


@pytest.mark.parametrize("instruction_set", _compiled.instruction_sets())
def test_every_instruction_set_agrees_with_the_reference(instruction_set):
    result = run_python(TWIN_CHECK, MLFF_DYN_ISA=instruction_set)
    assert not result.stderr
    name, *errors = result.stdout.split()
    force_error, single_error, design_error, local_error, local_single_error = map(float, errors)
    assert name == instruction_set
    assert max(force_error, design_error, local_error) < 1e-12
    assert max(single_error, local_single_error) < 1e-5


def test_unknown_instruction_set_is_refused():
    result = run_python("import mlff_dyn.kernels", MLFF_DYN_ISA="quantum")
    assert "MLFF_DYN_ISA=quantum is not one of" in result.stderr
