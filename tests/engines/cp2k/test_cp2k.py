"""The CP2K adapter: what it writes, what it refuses, and real calculations."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import ase.units
import numpy as np
import pytest
from ase import Atoms

from mlff_dyn.engines.base import engine_identity
from mlff_dyn.engines.registry import create_engine
from mlff_dyn.errors import ConfigError, EngineError
from mlff_dyn.execution.calculation import calculate

if TYPE_CHECKING:
    from pathlib import Path

SCF = {"EPS_SCF": 1e-8, "MAX_SCF": 40}
KIND = {"_": "H", "BASIS_SET": "SZV-MOLOPT-SR-GTH", "POTENTIAL": "GTH-PADE-q1"}
OUTPUT = """\
 CP2K| version string:                                          CP2K version {version}
 MODULE QUICKSTEP: ATOMIC COORDINATES IN ANGSTROM

   Atom Kind Element         X             Y             Z       Z(eff)     Mass
      1    1 H     1      0.000000      0.000000      0.000000   1.0000   1.0079
      2    1 H     1      0.100000      0.000000      0.760000   1.0000   1.0079

 SCF WAVEFUNCTION OPTIMIZATION
  *** SCF run converged in     7 steps ***

 ENERGY| Total FORCE_EVAL ( QS ) energy {energy}               -1.126812015547800

{forces}
 STRESS| Analytical stress tensor [GPa]
 STRESS|                        x                   y                   z
 STRESS|      x       -4.93557657905E-01   1.18015384027E-03  -1.99407490734E-01
 STRESS|      y        1.18015384027E-03  -5.59124904853E-01   8.51908609543E-05
 STRESS|      z       -1.99407490734E-01   8.51908609543E-05  -2.23800524369E+00
 STRESS| 1/3 Trace                                            -1.09689593548E+00

  **** **** ******  **  PROGRAM ENDED AT                 2026-01-02 03:04:05.678
"""
OLD = {
    "version": "2023.1",
    "energy": "[a.u.]:",
    "forces": """\
 ATOMIC FORCES in [a.u.]

 # Atom   Kind   Element          X              Y              Z
      1      1      H           0.00420907    -0.00000126     0.03188104
      2      1      H          -0.01047766    -0.00066058    -0.04161674
 SUM OF ATOMIC FORCES          -0.00626859    -0.00066184    -0.00973570     0.01159815
""",
}
NEW = {
    "version": "2026.1",
    "energy": "[hartree]",
    "forces": """\
 FORCES| Atomic forces [hartree/bohr]
 FORCES|   Atom     x               y               z               |f|
 FORCES|      1  4.20907000E-03 -1.26000000E-06  3.18810400E-02   3.21577E-02
 FORCES|      2 -1.04776600E-02 -6.60580000E-04 -4.16167400E-02   4.29205E-02
 FORCES| Sum    -6.26859000E-03 -6.61840000E-04 -9.73570000E-03   1.15982E-02
""",
}

needs_cp2k = pytest.mark.skipif(shutil.which("cp2k") is None, reason="cp2k is not installed")


def parameters(scf: dict | None = None, **subsys) -> dict:
    dft = {
        "BASIS_SET_FILE_NAME": ["BASIS_MOLOPT", "BASIS_MOLOPT_UCL"],
        "POTENTIAL_FILE_NAME": "GTH_POTENTIALS",
        "MGRID": {"CUTOFF": 200, "REL_CUTOFF": 40},
        "SCF": SCF if scf is None else scf,
        "XC": {"XC_FUNCTIONAL": {"_": "PADE"}},
    }
    return {"input": {"force_eval": {"DFT": dft, "SUBSYS": {"KIND": [KIND], **subsys}}}}


def hydrogen(stretch: float = 0.0) -> Atoms:
    cell = np.array([[5.0, 0.1, 0.0], [0.0, 5.0, 0.0], [0.0, 0.0, 5.2]])
    return Atoms("H2", [[0, 0, 0], [0.1, 0, 0.76 + stretch]], cell=cell, pbc=True)


@pytest.fixture
def directory(tmp_path) -> Path:
    (tmp_path / "calculation").mkdir()
    return tmp_path / "calculation"


def parsed(directory: Path, text: str):
    engine = create_engine("cp2k", parameters(), {"command": "true"})
    engine.write_input(directory, hydrogen())
    (directory / "cp2k.out").write_text(text)
    return engine.read_result(directory)


def test_input_has_sections_lists_and_the_structure_to_the_last_bit(directory):
    engine = create_engine("cp2k", parameters(), {"command": "true"})
    atoms = hydrogen()
    atoms.rattle(0.1, seed=1)
    engine.write_input(directory, atoms)
    flat = " ".join((directory / "cp2k.inp").read_text().split())
    for entry in (
        "&FORCE_EVAL &DFT BASIS_SET_FILE_NAME BASIS_MOLOPT BASIS_SET_FILE_NAME BASIS_MOLOPT_UCL",
        "&XC &XC_FUNCTIONAL PADE &END XC_FUNCTIONAL &END XC",
        "&KIND H BASIS_SET SZV-MOLOPT-SR-GTH POTENTIAL GTH-PADE-q1 &END KIND",
        "STRESS_TENSOR ANALYTICAL",
        "&FORCES ON &END FORCES",
        "RUN_TYPE ENERGY_FORCE",
    ):
        assert entry in flat
    read = engine.read_input(directory)
    assert (read.positions == atoms.positions).all()
    assert (read.cell.array == atoms.cell.array).all()


@pytest.mark.parametrize("form", [OLD, NEW], ids=["2023", "2026"])
def test_output_of_old_and_new_versions(directory, form):
    result = parsed(directory, OUTPUT.format(**form))
    assert result.energy_ev == pytest.approx(-1.1268120155478 * ase.units.Ha, rel=1e-7)
    unit = ase.units.Ha / ase.units.Bohr
    assert result.forces_ev_per_angstrom[1] == pytest.approx(
        np.array([-0.01047766, -0.00066058, -0.04161674]) * unit, rel=1e-7
    )
    gpa = np.array([0.493557657905, 0.559124904853, 2.23800524369, -8.51908609543e-05, 0.199407490734])
    assert result.stress_ev_per_angstrom3[:5] == pytest.approx(gpa * ase.units.GPa, rel=1e-6)
    assert result.origin == {"program": f"CP2K {form['version']}", "date": "2026-01-02T03:04:05"}


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("  **** **** ******  **  PROGRAM ENDED", "", "cut"),
        ("*** SCF run converged in     7 steps ***", "*** WARNING SCF run NOT converged ***", "converge"),
        ("  *** SCF run converged in     7 steps ***", "", "converged"),
        ("     2      1      H          -0.01047766", "     2      1      H          -0.02047766", "add up"),
        ("      1      1      H           0.00420907    -0.00000126     0.03188104\n", "", "forces of 1"),
        ("0.760000   1.0000", "0.860000   1.0000", "atom 2"),
        (
            "-0.04161674\n SUM OF ATOMIC FORCES          -0.00626859    -0.00066184    -0.00973570",
            "0.04161674\n SUM OF ATOMIC FORCES          -0.00626859    -0.00066184     0.07349778",
            "net force",
        ),
        (" STRESS|      y        1.18", " STRESS|      y        x.18", "stress"),
        (" ENERGY| Total", " ENERGY| total", "energy"),
        (
            "  **** ****",
            " *  \\___/             found an unknown keyword CUTOF in section MGRID          *\n *",
            "CUTOF",
        ),
    ],
)
def test_output_that_is_not_whole_and_converged_is_refused(directory, old, new, reason):
    text = OUTPUT.format(**OLD)
    assert old in text
    with pytest.raises(EngineError, match=reason):
        parsed(directory, text.replace(old, new))


def test_a_cut_output_is_refused_wherever_it_ends(directory):
    text = OUTPUT.format(**OLD)
    for length in range(0, text.index("PROGRAM ENDED AT"), 23):
        with pytest.raises(EngineError):
            parsed(directory, text[:length])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"inptu": {}}, "did you mean input"),
        ({"input": {"MOTION": {}}}, "MOTION"),
        ({}, "FORCE_EVAL is required"),
        ({"input": {"FORCE_EVAL": 1}}, "FORCE_EVAL"),
        (parameters(COORD={}), "COORD"),
    ],
)
def test_what_the_engine_sets_itself_is_refused(given, message):
    with pytest.raises(ConfigError, match=message):
        create_engine("cp2k", given, {})


def test_what_does_not_change_results_does_not_change_the_identity():
    loud = {"input": {**parameters()["input"], "GLOBAL": {"PRINT_LEVEL": "HIGH"}}}
    assert engine_identity(create_engine("cp2k", loud, {})) == engine_identity(
        create_engine("cp2k", parameters(), {})
    )


def test_moments_and_a_missing_program_are_refused(directory):
    atoms = hydrogen()
    atoms.set_initial_magnetic_moments([1.0, -1.0])
    with pytest.raises(ConfigError, match="magnetic"):
        create_engine("cp2k", parameters(), {"command": "true"}).write_input(directory, atoms)
    with pytest.raises(EngineError, match="cannot be found"):
        create_engine("cp2k", parameters(), {"command": "mpirun-no cp2k.no"}).write_input(
            directory, hydrogen()
        )


@needs_cp2k
@pytest.mark.engine
def test_forces_and_stress_of_cp2k_are_derivatives_of_its_energy(tmp_path):
    engine = create_engine("cp2k", parameters(), {"environment": {"OMP_NUM_THREADS": "1"}})

    def result(atoms: Atoms, name: str):
        return calculate(engine, atoms, tmp_path / name)

    found = result(hydrogen(), "0")
    step = 0.01
    energies = [result(hydrogen(sign * step), f"u{sign}").energy_ev for sign in (-1, 1)]
    assert found.forces_ev_per_angstrom[1, 2] == pytest.approx(
        -(energies[1] - energies[0]) / (2 * step), abs=0.02
    )
    strained = []
    for sign in (-1, 1):
        atoms = hydrogen()
        atoms.set_cell(atoms.cell.array @ np.diag([1, 1, 1 + sign * step]), scale_atoms=True)
        strained.append(result(atoms, f"e{sign}").energy_ev)
    slope = (strained[1] - strained[0]) / (2 * step) / hydrogen().get_volume()
    assert found.stress_ev_per_angstrom3[2] == pytest.approx(slope, abs=0.002)
    assert found.origin["program"].startswith("CP2K 20")
    text = (tmp_path / "0" / "cp2k.out").read_text()
    force = [float(word) for word in re.findall(r"^ +2 +1 +H (.*)$", text, re.MULTILINE)[-1].split()]
    assert found.forces_ev_per_angstrom[1] == pytest.approx(
        np.array(force) * ase.units.Ha / ase.units.Bohr, rel=1e-6
    )
    assert not list(tmp_path.glob("0/*.wfn"))


@needs_cp2k
@pytest.mark.engine
def test_a_cycle_that_did_not_converge_does_with_the_amended_input(directory):
    engine = create_engine("cp2k", parameters({**SCF, "MAX_SCF": 3}), {})
    engine.write_input(directory, hydrogen())
    with pytest.raises(EngineError, match="did not converge"):
        engine.run(directory)
    assert "MAX_SCF 200" in engine.amend_input(directory, 1)
    engine.run(directory)
    assert engine.amend_input(directory, 2) is None
    assert (engine.read_input(directory).positions == hydrogen().positions).all()


@needs_cp2k
@pytest.mark.engine
def test_a_shell_can_run_it(directory):
    engine = create_engine("cp2k", parameters(), {"environment": {"OMP_NUM_THREADS": "1"}})
    engine.write_input(directory, hydrogen())
    subprocess.run(engine.command_line(), shell=True, cwd=directory, check=True)
    assert engine.read_result(directory).energy_ev == pytest.approx(-30.7, abs=0.2)


@needs_cp2k
@pytest.mark.engine
def test_cp2k_itself_checks_the_names(directory):
    given = parameters({**SCF, "EPS_SFC": 1.0})
    engine = create_engine("cp2k", given, {})
    engine.write_input(directory, hydrogen())
    with pytest.raises(ConfigError, match="EPS_SFC"):
        engine.check(directory)
    good = create_engine("cp2k", parameters(), {})
    good.write_input(directory, hydrogen())
    assert good.check(directory)["program"].endswith("cp2k")
