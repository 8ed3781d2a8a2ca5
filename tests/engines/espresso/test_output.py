"""Outputs of pw.x that nobody here wrote: versions 5.1 to 7.3, whole, cut, failed."""

from __future__ import annotations

import io
import lzma
import re
import tarfile

import numpy as np
import pytest
from ase.build import bulk
from ase.io.espresso import read_espresso_in

from mlff_dyn.engines.espresso.output import check_echo, parse_pw_output
from mlff_dyn.errors import EngineError
from mlff_dyn.units import RYDBERG_EV, RYDBERG_PER_BOHR_EV_PER_ANGSTROM

OUTPUT = """
     Program PWSCF v.6.7MaX starts on 24Nov2026 at  8:39: 8
     number of atoms/cell      =            2
!    total energy              =     -15.83359512 Ry
     estimated scf accuracy    <          1.9E-11 Ry
     convergence has been achieved in   7 iterations

     Forces acting on atoms (cartesian axes, Ry/au):

     atom    1 type  1   force =     0.00100000   -0.00200000   -0.00300000
     atom    2 type  1   force =    -0.00100000    0.00200000    0.00300000
     The non-local contrib.  to forces
     atom    1 type  1   force =     9.00000000    9.00000000    9.00000000
     atom    2 type  1   force =     9.00000000    9.00000000    9.00000000

     Total force =     0.005292     Total SCF correction =     0.000000

     Computing stress (Cartesian axis) and pressure

          total   stress  (Ry/bohr**3)                   (kbar)     P=      -16.00
  -0.00010000   0.00000600   0.00000500          -14.71        0.88        0.74
   0.00000600  -0.00020000   0.00000400            0.88      -29.42        0.59
   0.00000500   0.00000400  -0.00030000            0.74        0.59      -44.13

=------------------------------------------------------------------------------=
   JOB DONE.
=------------------------------------------------------------------------------=
"""


def test_units_signs_and_voigt_order():
    result = parse_pw_output(OUTPUT, "a.pwo", n_atoms=2)
    assert result.energy_ev == pytest.approx(-15.83359512 * 13.605693122990, rel=1e-11)
    force = np.array([0.001, -0.002, -0.003]) * 25.71103
    assert result.forces_ev_per_angstrom == pytest.approx(np.array([force, -force]), rel=1e-6)
    expected = np.array([1.0, 2.0, 3.0, -0.04, -0.05, -0.06]) * 1e-4 * 91.815768
    assert result.stress_ev_per_angstrom3 == pytest.approx(expected, rel=1e-6)


def test_stress_is_optional():
    text = OUTPUT[: OUTPUT.index("     Computing stress")] + "   JOB DONE."
    assert parse_pw_output(text, "a.pwo").stress_ev_per_angstrom3 is None


def test_numbers_without_a_space_between_them():
    text = OUTPUT.replace("     0.00100000   -0.00200000", " -1234.00100000-1234.00200000")
    text = text.replace("Total force =     0.005292", "Total force =  1745.141657")
    forces = parse_pw_output(text, "a.pwo").forces_ev_per_angstrom / RYDBERG_PER_BOHR_EV_PER_ANGSTROM
    assert forces[0] == pytest.approx([-1234.001, -1234.002, -0.003])


ERROR_BOX = """
 %%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%
     Error in routine readpp (1):
     file ./nope.UPF not found
 %%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%
"""


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("JOB DONE", "", "cut"),
        ("!    total", "     total", "no total energy"),
        ("Forces acting", "Nothing acting", "no forces"),
        ("     atom    2 type  1   force =    -0.001", "     atom 2 = -0.001", "no force on atom 2 of 2"),
        ("    0.00100000   -0.00200000", "************** -0.00200000", "force of atom 1"),
        (
            "     atom    2 type  1   force =    -0.001",
            "     atom    3 type  1   force =    -0.001",
            "atom 3",
        ),
        ("-0.00020000   0.00000400", "-0.00020000", "stress cannot be read"),
        ("0.00000600  -0.00020000   0.00000400            0.88", "****  0.1", "stress cannot be read"),
        ("    0.00100000   -0.00200000", "    0.00100900   -0.00200000", "is 0.0052932 .* is 0.005292"),
        ("-0.00020000   0.00000400  ", "-0.00030000   0.00000400  ", r"differ by 14\.7 kbar"),
        ("number of atoms/cell      =            2", "", "no number of atoms"),
        ("number of atoms/cell      =            2", "number of atoms/cell = 3", "3 atoms, the input 2"),
        ("convergence has been achieved", "convergence NOT achieved", "did not converge"),
        ("     Total force", "     Maximum CPU time exceeded\n Total force", "ran out of its time"),
        ("     Program PWSCF", ERROR_BOX, r"readpp \(1\): file ./nope.UPF not found"),
    ],
)
def test_refusals_name_file_reason_and_next_step(old, new, reason):
    assert old in OUTPUT
    text = OUTPUT.replace(old, new, 1)
    with pytest.raises(EngineError, match=reason) as caught:
        parse_pw_output(text, "run/a.pwo", n_atoms=2)
    assert "run/a.pwo" in str(caught.value)
    assert caught.value.fix


def test_a_changed_digit_of_the_forces_or_the_stress_is_noticed(shared_data):
    """Random digits of 64 atoms: what passes changes the norm of the forces by less than its rounding."""
    text = (shared_data / "NaCl-qe" / "NaCl-001.out").read_text()
    right = parse_pw_output(text, "a.pwo")
    start, end = text.index("Forces acting"), text.index("Total force =")
    stress = text.index("total   stress")
    places = [i for i in (*range(start, end), *range(stress, stress + 300)) if text[i].isdigit()]
    random = np.random.default_rng(1)
    for i in random.choice(places, size=60, replace=False):
        changed = f"{text[:i]}{(int(text[i]) + 5) % 10}{text[i + 1 :]}"
        try:
            result = parse_pw_output(changed, "a.pwo")
        except EngineError:
            continue
        forces = [x.forces_ev_per_angstrom / RYDBERG_PER_BOHR_EV_PER_ANGSTROM for x in (right, result)]
        assert abs(np.linalg.norm(forces[0]) - np.linalg.norm(forces[1])) < 1.2e-6
        assert result.stress_ev_per_angstrom3 == pytest.approx(right.stress_ev_per_angstrom3, abs=2e-7)


def test_every_cut_is_refused():
    for cut in range(OUTPUT.index("JOB DONE")):
        with pytest.raises(EngineError):
            parse_pw_output(OUTPUT[:cut], "a.pwo")


@pytest.mark.parametrize(
    ("folder", "n_atoms", "energy_ry"),
    [
        ("default_no_xml", None, None),
        ("default_xml_220603", 2, None),
        ("default_xml_240411", 2, -22.66280318),
        ("relax_success", None, None),
        ("vcrelax_success", None, None),
        ("scf_electric_field", 8, None),
    ],
)
def test_real_outputs_of_many_versions(shared_data, folder, n_atoms, energy_ry):
    text = (shared_data / "qe" / folder / "aiida.out").read_text()
    result = parse_pw_output(text, folder, n_atoms=n_atoms)
    printed = re.findall(r"Total force =\s*([\d.]+)", text)[-1]
    norm = np.linalg.norm(result.forces_ev_per_angstrom) / RYDBERG_PER_BOHR_EV_PER_ANGSTROM
    assert norm == pytest.approx(float(printed), abs=2e-5)
    if energy_ry is not None:
        assert result.energy_ev == pytest.approx(energy_ry * RYDBERG_EV)
    pressures = re.findall(r"P=\s*([-\d.]+)", text)
    assert (result.stress_ev_per_angstrom3 is None) == (not pressures)
    if pressures:
        pressure_kbar = -result.stress_ev_per_angstrom3[:3].mean() * 1602.176634
        assert pressure_kbar == pytest.approx(float(pressures[-1]), abs=0.01)


@pytest.mark.parametrize(
    ("folder", "reason"),
    [
        ("failed_interrupted", "cut"),
        ("failed_out_of_walltime", "ran out of its time"),
        ("failed_scf_not_converged", "did not converge"),
        ("default", "no forces"),
        ("default_xml_210716", "no forces"),
    ],
)
def test_real_failures(shared_data, folder, reason):
    path = shared_data / "qe" / folder / "aiida.out"
    with pytest.raises(EngineError, match=reason) as caught:
        parse_pw_output(path.read_text(), path)
    assert str(path) in str(caught.value)
    assert caught.value.fix


def test_origin_of_a_result(shared_data):
    result = parse_pw_output((shared_data / "qe/relax_success/aiida.out").read_text(), "a.pwo")
    assert result.origin == {
        "program": "Quantum ESPRESSO 6.6",
        "pseudopotentials": "Si.pbe-n-rrkjus_psl.1.0.0.UPF (MD5 0b0bb1205258b0d07b9f9672cf965d36)",
        "date": "2023-02-10T12:53:40",
    }


def test_sodium_chloride(shared_data):
    for number in ("001", "002"):
        path = shared_data / "NaCl-qe" / f"NaCl-{number}.out"
        result = parse_pw_output(path.read_text(), path, n_atoms=64)
        assert result.energy_ev == pytest.approx(-6043.245 * RYDBERG_EV, rel=1e-6)
        assert np.abs(result.forces_ev_per_angstrom.sum(axis=0)).max() < 0.02


def test_silicon_against_the_forces_that_phono3py_extracted(shared_data):
    """FORCES_FC3 holds, in Ry/bohr, what phono3py read from the same 111 outputs less the mean force."""
    lines = (shared_data / "Si-qe" / "FORCES_FC3").read_text().splitlines()
    expected = np.array([line.split() for line in lines if line.strip() and "#" not in line], dtype=float)
    expected = expected.reshape(-1, 64, 3)
    results = []
    with (
        lzma.open(shared_data / "Si-qe" / "supercell_out.tar.lzma") as unpacked,
        tarfile.open(fileobj=unpacked) as archive,
    ):
        for member in archive:
            if member.name.endswith("Si.out"):
                text = archive.extractfile(member).read().decode()
                results.append((member.name, parse_pw_output(text, member.name, n_atoms=64)))
    assert len(results) == len(expected) == 111
    for (_, result), forces in zip(sorted(results), expected, strict=True):
        read = result.forces_ev_per_angstrom / RYDBERG_PER_BOHR_EV_PER_ANGSTROM
        assert read - read.mean(axis=0) == pytest.approx(forces, abs=1.01e-8)


def test_outputs_echo_their_own_input_and_no_other(shared_data):
    """NaCl of 64 atoms from two displaced inputs; a strained silicon, the same in units of its length."""
    folder = shared_data / "NaCl-qe"
    text = (folder / "NaCl-001.out").read_text()
    atoms = read_espresso_in(io.StringIO((folder / "NaCl-001.in").read_text()))
    check_echo(text, "a.pwo", atoms)
    check_echo("no structure in it", "a.pwo", atoms)
    other = (folder / "NaCl-002.out").read_text()
    with pytest.raises(
        EngineError, match=r"a\.pwo: .* does not belong to its input: .* atom 33 is 0\.011 Å from"
    ):
        check_echo(other, "a.pwo", atoms)
    swapped = atoms.copy()
    swapped.numbers[[0, -1]] = swapped.numbers[[-1, 0]]
    with pytest.raises(EngineError, match="atom 1 is Na instead of Cl"):
        check_echo(text, "a.pwo", swapped)
    silicon = (shared_data / "qe/default/aiida.out").read_text()
    crystal = bulk("Si", a=np.sqrt(2) * 7.255773 * 0.529177210903)
    check_echo(silicon, "a.pwo", crystal)
    crystal.set_cell(1.001 * crystal.cell, scale_atoms=True)
    with pytest.raises(EngineError, match=r"its cell differs by 0\.0027 Å"):
        check_echo(silicon, "a.pwo", crystal)
