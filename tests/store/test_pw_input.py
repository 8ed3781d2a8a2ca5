"""Inputs of pw.x: namelists, cards, and the cells of all lattices, against those that pw.x prints."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk

from mlff_dyn.engines.espresso.text_geometry import parse_geometry, parse_start
from mlff_dyn.errors import DataError
from mlff_dyn.store.pw_input import parse_pw_input
from mlff_dyn.store.structure_file import read_structure
from mlff_dyn.store.structure_pw import SHARES
from mlff_dyn.units import BOHR_ANGSTROM

PSEUDO_DIR = Path("/usr/share/espresso/pseudo")

LATTICES = [
    (1, "celldm(1)=8"),
    (2, "celldm(1)=10"),
    (3, "celldm(1)=9"),
    (-3, "celldm(1)=9"),
    (4, "celldm(1)=8, celldm(3)=1.4"),
    (4, "A=4, C=6"),
    (5, "celldm(1)=9, celldm(4)=0.3"),
    (5, "A=5, cosAB=-0.2"),
    (-5, "A=5.1, cosAB=0.25"),
    (6, "A=5, C=6.5"),
    (7, "celldm(1)=9, celldm(3)=1.7"),
    (8, "A=4, B=5, C=6"),
    (9, "A=6, B=7, C=5"),
    (-9, "celldm(1)=12, celldm(2)=1.2, celldm(3)=0.9"),
    (91, "A=5, B=7, C=8"),
    (10, "A=8, B=9, C=10"),
    (11, "A=7, B=8, C=9"),
    (12, "A=5, B=6, C=7, cosAB=0.2"),
    (12, "celldm(1)=9, celldm(2)=1.1, celldm(3)=1.3, celldm(4)=0.1"),
    (-12, "A=5, B=6, C=7, cosAC=0.2"),
    (-12, "celldm= 9, 1.1, 1.3, 0, 0.1"),
    (13, "A=7, B=6, C=8, cosAB=0.2"),
    (-13, "A=7, B=6, C=8, cosAC=-0.2"),
    (14, "A=5, B=6, C=7, cosAB=0.1, cosAC=0.2, cosBC=-0.15"),
    (14, "celldm(1)=9, celldm(2)=1.1, celldm(3)=1.3, celldm(4)=0.1, celldm(5)=0.2, celldm(6)=-0.1"),
]


def pw_input(
    system, positions="ATOMIC_POSITIONS\nSi 0.1 0.2 0.3", cell="", species="Si 28 Si.pz-vbc.UPF", nat=1
):
    ntyp = len(species.splitlines())
    return f"""&control
  calculation = 'scf', pseudo_dir = '{PSEUDO_DIR}', outdir = 'tmp' ! a comment with a / in it
/
&system
  {system}, nat={nat}, ntyp={ntyp}, ecutwfc=2.d0, nosym=.true.
/
&electrons
  electron_maxstep = 1
/
ATOMIC_SPECIES
{species}
{cell}
{positions}
K_POINTS gamma
"""


@pytest.mark.engine
@pytest.mark.parametrize(("ibrav", "lengths"), LATTICES)
def test_cell_and_positions_are_those_of_pw(tmp_path, ibrav, lengths):
    if shutil.which("pw.x") is None or not (PSEUDO_DIR / "Si.pz-vbc.UPF").exists():
        pytest.skip("pw.x or its silicon pseudopotential is not installed")
    text = pw_input(f"ibrav={ibrav}, {lengths}")
    (tmp_path / "pw.in").write_text(text)
    printed = subprocess.run(
        ["pw.x", "-in", "pw.in"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    ).stdout.partition("Self-consistent Calculation")[0]
    found = parse_geometry(printed, 1, parse_start(printed), with_cell=False)
    atoms, labels = parse_pw_input(text).atoms()
    assert labels == ["Si"]
    assert found.cell == pytest.approx(atoms.cell.array, abs=5e-6)
    assert found.positions == pytest.approx(atoms.positions, abs=2e-7)


@pytest.mark.parametrize(("ibrav", "lengths"), LATTICES)
def test_lengths_and_angles_are_those_that_are_given(ibrav, lengths):
    """The volume of a primitive cell is that of the conventional one over its lattice points."""
    given = parse_pw_input(pw_input(f"ibrav={ibrav}, {lengths}"))
    cell, alat = given.cell()
    system = given.system
    points = {2: 4, 3: 2, -3: 2, 7: 2, 9: 2, -9: 2, 91: 2, 10: 4, 11: 2, 13: 2, -13: 2}.get(ibrav, 1)
    if "a" in system and ibrav not in (5, -5, 14, 4, 6):
        sine = np.sqrt(1 - (system.get("cosab", 0.0) + system.get("cosac", 0.0)) ** 2)
        volume = system["a"] * system["b"] * system["c"] * sine
        assert abs(np.linalg.det(cell)) * points == pytest.approx(volume)
        assert alat == pytest.approx(system["a"])
    assert np.linalg.det(cell) > 0.0


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("ATOMIC_POSITIONS", "Si 1/4 0.25 2.5d-1"),
        ("ATOMIC_POSITIONS {alat}", "Si 0.25 0.25 0.25"),
        ("ATOMIC_POSITIONS (bohr)", "Si 2.5 2.5 2.5"),
        (
            "atomic_positions angstrom",
            f"Si {2.5 * BOHR_ANGSTROM} {2.5 * BOHR_ANGSTROM} {2.5 * BOHR_ANGSTROM} 0 0 1",
        ),
        ("ATOMIC_POSITIONS crystal", "Si 0.25 0.25 0.25"),
    ],
)
def test_positions_in_all_units(header, row):
    atoms, _ = parse_pw_input(pw_input("ibrav=1, celldm(1)=10", f"{header}\n{row}")).atoms()
    assert atoms.positions == pytest.approx(np.full((1, 3), 2.5 * BOHR_ANGSTROM))


@pytest.mark.parametrize(
    ("system", "cell", "expected"),
    [
        ("ibrav=0", "CELL_PARAMETERS angstrom\n4 0 0\n0 4 0\n0 0 4", 4.0),
        ("ibrav=0", "CELL_PARAMETERS bohr\n4 0 0\n0 4 0\n0 0 4", 4.0 * BOHR_ANGSTROM),
        ("ibrav=0", "CELL_PARAMETERS\n4 0 0\n0 4 0\n0 0 4", 4.0 * BOHR_ANGSTROM),
        ("ibrav=0, A=4.0", "CELL_PARAMETERS { alat }\n1 0 0\n0 1 0\n0 0 1", 4.0),
        ("ibrav=0, celldm(1)=8", "CELL_PARAMETERS\n1 0 0\n0 1 0\n0 0 1", 8.0 * BOHR_ANGSTROM),
    ],
)
def test_cell_cards(system, cell, expected):
    assert parse_pw_input(pw_input(system, cell=cell)).cell()[0] == pytest.approx(expected * np.eye(3))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (pw_input("ibrav=15, celldm(1)=8"), "ibrav = 15 is unknown"),
        (pw_input("ibrav=8, celldm(1)=8"), r"needs celldm\(2\) and celldm\(3\)"),
        (pw_input("ibrav=4"), r"needs celldm\(1\) or A"),
        (pw_input("ibrav=14, A=5, B=5, C=5, cosAB=0.9, cosAC=-0.9, cosBC=0.9"), "no cell has these cosines"),
        (pw_input("ibrav=0"), "no card CELL_PARAMETERS"),
        (pw_input("ibrav=0", cell="CELL_PARAMETERS alat\n1 0 0\n0 1 0\n0 0 1"), "alat needs celldm"),
        (pw_input("ibrav=1, A=4", "ATOMIC_POSITIONS crystal_sg\nSi 0 0 0"), "crystal_sg cannot be read"),
        (pw_input("ibrav=1, A=4", "ATOMIC_POSITIONS alat\nSi 0 0"), "cut"),
        (pw_input("ibrav=1, A=4", "ATOMIC_POSITIONS alat\nXx 0 0 0"), "species Xx"),
        (pw_input("ibrav=1, A=4", "ATOMIC_POSITIONS alat\nSi 0 0 zero"), "'zero' is no number"),
        ("&system\n ibrav = 0\n", "does not end with /"),
        ("&system\n 3 = 0\n/", "'3' stands without a key"),
    ],
)
def test_refusals(text, reason):
    with pytest.raises(DataError, match=reason) as caught:
        parse_pw_input(text).atoms()
    assert caught.value.fix


def test_values_of_namelists():
    values = parse_pw_input(
        "&system\n a(1)=.true., b = F c='it/s !' , d=1.d-3\n e = -2 ! f = 3\n g(1, 2) = 4.\n h = 'x', 'y'\n/"
    ).system
    assert values == {
        "a(1)": True,
        "b": False,
        "c": "it/s !",
        "d": 1e-3,
        "e": -2,
        "g(1,2)": 4.0,
        "h(1)": "x",
        "h(2)": "y",
    }


def antiferromagnet(folder: Path) -> Path:
    text = pw_input(
        "ibrav=1, A=2.9, nspin=2, starting_magnetization(1)=0.25, starting_magnetization(2)=-0.25",
        "ATOMIC_POSITIONS crystal\nFe1 0 0 0\nFe2 0.5 0.5 0.5",
        species="Fe1 55.845 Fe.upf\nFe2 55.845 Fe.upf",
        nat=2,
    ).replace(str(PSEUDO_DIR), "upf")
    (folder / "scf.in").write_text(text)
    return folder / "scf.in"


def test_starting_magnetizations_become_moments(tmp_path):
    """Opposite moments of one element stay opposite; in Bohr magnetons where the valence is known."""
    path = antiferromagnet(tmp_path)
    shares = read_structure(path)
    assert shares.info[SHARES]
    assert shares.get_initial_magnetic_moments().tolist() == [0.25, -0.25]
    (tmp_path / "upf").mkdir()
    (tmp_path / "upf" / "Fe.upf").write_text('<PP_HEADER element="Fe" z_valence="16.00"/>')
    moments = read_structure(antiferromagnet(tmp_path / "upf" / ".."))
    assert SHARES not in moments.info
    assert moments.get_initial_magnetic_moments().tolist() == [4.0, -4.0]


def test_a_lattice_is_read_as_a_structure(tmp_path):
    (tmp_path / "Si.in").write_text(
        pw_input("ibrav=2, celldm(1)=10.26", "ATOMIC_POSITIONS alat\nSi 0 0 0\nSi 1/4 1/4 1/4", nat=2)
    )
    atoms = read_structure(tmp_path / "Si.in")
    silicon = bulk("Si", a=10.26 * BOHR_ANGSTROM)
    assert atoms.get_volume() == pytest.approx(silicon.get_volume())
    assert atoms.get_distance(0, 1, mic=True) == pytest.approx(silicon.get_distance(0, 1, mic=True))
    assert atoms.get_masses() == pytest.approx([28.0, 28.0])


def test_a_sheet_without_images_is_periodic_in_its_plane(tmp_path):
    system = "ibrav=4, A=2.5, C=12, assume_isolated='2D'"
    (tmp_path / "sheet.in").write_text(pw_input(system, "ATOMIC_POSITIONS crystal\nSi 0 0 0"))
    assert read_structure(tmp_path / "sheet.in").pbc.tolist() == [True, True, False]
