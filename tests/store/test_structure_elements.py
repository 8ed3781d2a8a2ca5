"""Elements of a structure file: read as they are meant, or refused by name."""

from __future__ import annotations

import gzip
import logging
import lzma
from pathlib import Path

import ase.io
import numpy as np
import pytest
import spglib
from ase.build import bulk
from phonopy import Phonopy
from phonopy.structure.atoms import PhonopyAtoms

from mlff_dyn.errors import DataError
from mlff_dyn.store.structure_file import read_structure
from mlff_dyn.store.structure_yaml import is_phonopy_yaml

CUBE = "data_x\n" + "".join(f"_cell_length_{axis} 4\n" for axis in "abc")
CUBE += "".join(f"_cell_angle_{angle} 90\n" for angle in ("alpha", "beta", "gamma"))
SITES = "loop_\n_atom_site_label\n{}_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\n"
TYPED = SITES.format("_atom_site_type_symbol\n")
DUMP = "ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n2\nITEM: BOX BOUNDS pp pp pp\n0 4\n0 4\n0 4\n"
DUMP += "ITEM: ATOMS id type {}x y z\n"
BOX = "1.0\n4 0 0\n0 4 0\n0 0 4\n"
TWO = "1 1\nDirect\n0 0 0\n.5 .5 .5\n"


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def refused(path: Path, reason: str) -> None:
    with pytest.raises(DataError, match=reason) as caught:
        read_structure(path)
    assert path.name in str(caught.value)
    assert caught.value.fix
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "formula"),
    [
        (TYPED + "Na1 Na+ 0 0 0\nCl1 Cl1- .5 .5 .5\n", "ClNa"),
        (TYPED + "NA1 NA 0 0 0\nCL1 CL .5 .5 .5\n", "ClNa"),
        (SITES.format("") + "Na1 0 0 0\nO2w .5 .5 .5\n", "NaO"),
        ("_chemical_formula_sum 'Ca O'\n" + SITES.format("") + "CA1 0 0 0\nO1 .5 .5 .5\n", "CaO"),
        ("_chemical_formula_sum 'C O'\n" + SITES.format("") + "CA1 0 0 0\nOA .5 .5 .5\n", "CO"),
        (SITES.format("_atom_site_occupancy\n") + "Na1 ? 0 0 0\nCl1 1.000(2) .5 .5 .5\n", "ClNa"),
    ],
)
def test_elements_of_a_cif_file(tmp_path: Path, text: str, formula: str) -> None:
    assert read_structure(written(tmp_path, "a.cif", CUBE + text)).get_chemical_formula() == formula


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (TYPED + "Nb,Zr '0.8Nb + 0.2Zr' 0 0 0\n", "which one element"),
        (TYPED + "M1 'Fe/Mg' 0 0 0\nO1 O2- .5 .5 .5\n", "which one element"),
        (SITES.format("") + "FeMg1 0 0 0\nO1 .5 .5 .5\n", "which one element"),
        (SITES.format("") + "CA1 0 0 0\nO1 .5 .5 .5\n", "which one element"),
        ("_chemical_formula_sum 'Al O H2'\n" + SITES.format("") + "Al1 0 0 0\nWat .5 .5 .5\n", "which one"),
        (SITES.format("_atom_site_occupancy\n") + "Ga1 .98 0 0 0\nAs1 1 .5 .5 .5\n", "partly occupied"),
        (SITES.format("_atom_site_occupancy\n") + "Ga1 .5 0 0 0\nAl1 .5 0 0 0\n", "partly occupied"),
        (SITES.format("_atom_site_attached_hydrogens\n") + "Li1 0 0 0 0\nO1 1 .5 .5 .5\n", "hydrogen atoms"),
        (TYPED + "Li1 Li 0 0 0\nO1 OH .5 .5 .5\n", "hydrogen atoms without positions"),
        (TYPED + "Li1 Li 0 0 0\nH1 H . . .\n", "without coordinates"),
    ],
)
def test_a_cif_file_that_does_not_name_whole_atoms_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    refused(written(tmp_path, "a.cif", CUBE + text), reason)


def test_a_formula_that_disagrees_is_named_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sites = TYPED + "Li1 Li 0 0 0\nO1 O .5 .5 .5\n"
    path = written(tmp_path, "a.cif", CUBE + "_chemical_formula_sum 'H Li O'\n" + sites)
    with caplog.at_level(logging.WARNING, "mlff_dyn"):
        assert len(read_structure(path)) == len(read_structure(path)) == 2
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: its sites make Li1 O1, its formula says H1 Li1 O1: atoms are missing or wrong"
    ]
    caplog.clear()
    for agreeing in (
        "_chemical_formula_sum 'Li O'\n_cell_formula_units_Z 1\n",
        "_chemical_formula_sum 'O2 Li2'\n",
    ):
        read_structure(written(tmp_path, "b.cif", CUBE + agreeing + sites))
        (tmp_path / "b.cif").unlink()
    assert not caplog.records


def test_deuterium_is_heavy_hydrogen(tmp_path: Path) -> None:
    read = read_structure(written(tmp_path, "a.cif", CUBE + TYPED + "Li1 Li 0 0 0\nD1 D .5 .5 .5\n"))
    assert read.get_chemical_symbols() == ["Li", "H"]
    assert read.get_masses() == pytest.approx([6.94, 2.0141], abs=1e-4)


@pytest.mark.parametrize("hall_number", [525, 526, 81, 82, 433, 489, 529])
def test_a_cif_file_with_operations_only(tmp_path: Path, hall_number: int) -> None:
    """Every atom of the orbit of a general and a special position, in any setting of a space group."""
    operations = spglib.get_symmetry_from_database(hall_number)
    lines = [_xyz(r, t) for r, t in zip(operations["rotations"], operations["translations"], strict=True)]
    angles = {81: (90, 100, 90), 82: (90, 100, 90), 433: (90, 90, 120)}
    cell = "".join(
        f"_cell_length_{axis} {20 if hall_number > 400 else 2 * n}\n"
        for axis, n in zip("abc", (5, 6, 7), strict=True)
    )
    for name, value in zip(("alpha", "beta", "gamma"), angles.get(hall_number, (90, 90, 90)), strict=True):
        cell += f"_cell_angle_{name} {value}\n"
    listed = "loop_\n_symmetry_equiv_pos_as_xyz\n" + "".join(f"'{line}'\n" for line in lines)
    text = "data_x\n" + cell + listed + TYPED + "Si1 Si .04 .16 .36\nO1 O 0 0 0\n"
    read = read_structure(written(tmp_path, "a.cif", text))
    assert np.count_nonzero(read.numbers == 14) == len(lines)
    assert len(lines) % np.count_nonzero(read.numbers == 8) == 0
    dataset = spglib.get_symmetry_dataset((read.cell.array, read.get_scaled_positions(), read.numbers), 1e-5)
    assert dataset.number == spglib.get_spacegroup_type(hall_number).number


def test_a_cif_file_with_a_name_of_the_group_only(tmp_path: Path) -> None:
    cell = CUBE.replace("_cell_angle_beta 90", "_cell_angle_beta 95")
    text = cell + "_symmetry_space_group_name_H-M 'P 1 21/n 1'\n" + TYPED + "Si1 Si .1 .2 .3\n"
    assert len(read_structure(written(tmp_path, "a.cif", text))) == 4


def test_a_cif_file_with_cartesian_coordinates(tmp_path: Path) -> None:
    sites = TYPED.replace("fract", "Cartn") + "Na1 Na 0 0 0\nCl1 Cl 2 2 2\n"
    read = read_structure(written(tmp_path, "a.cif", CUBE + sites))
    assert read.get_scaled_positions()[1] == pytest.approx([0.5] * 3)


def test_rounded_special_positions_become_exact(tmp_path: Path) -> None:
    hexagonal = CUBE.replace("_cell_angle_gamma 90", "_cell_angle_gamma 120")
    text = hexagonal + "_symmetry_space_group_name_H-M 'P 63/m m c'\n" + TYPED + "Mg1 Mg .333 .667 .25\n"
    read = read_structure(written(tmp_path, "a.cif", text))
    assert sorted(read.get_scaled_positions()[:, 0]) == pytest.approx([1 / 3, 2 / 3], abs=1e-12)


def _xyz(rotation: np.ndarray, translation: np.ndarray) -> str:
    parts = []
    for row, shift in zip(rotation, translation, strict=True):
        terms = "".join(f"{'+' if n > 0 else '-'}{axis}" for n, axis in zip(row, "xyz", strict=True) if n)
        parts.append(terms + (f"+{round(24 * shift)}/24" if shift else ""))
    return ",".join(parts)


@pytest.mark.parametrize(
    ("columns", "rows", "formula"),
    [
        ("element ", "1 1 Cs 0 0 0\n2 2 Cl 2 2 2\n", "ClCs"),
        ("mass ", "1 1 132.9 0 0 0\n2 2 35.5 2 2 2\n", "ClCs"),
    ],
)
def test_a_dump_with_elements(tmp_path: Path, columns: str, rows: str, formula: str) -> None:
    path = written(tmp_path, "a.dump", DUMP.format(columns) + rows)
    assert read_structure(path).get_chemical_formula() == formula


def test_types_are_no_elements(tmp_path: Path) -> None:
    refused(written(tmp_path, "a.dump", DUMP.format("") + "1 1 0 0 0\n2 2 2 2 2\n"), "atom types")
    refused(written(tmp_path, "a.xyz", '2\nLattice="4 0 0 0 4 0 0 0 4"\n1 0 0 0\n2 2 2 2\n'), "atom types")
    cell = bulk("NaCl", "rocksalt", a=5.64)
    ase.io.write(tmp_path / "a.lammps-data", cell, format="lammps-data")
    refused(tmp_path / "a.lammps-data", "atom types")
    ase.io.write(tmp_path / "b.lammps-data", cell, format="lammps-data", masses=True)
    assert read_structure(tmp_path / "b.lammps-data").get_chemical_formula() == "ClNa"
    numbered = '2\nLattice="4 0 0 0 4 0 0 0 4" Properties=species:S:1:pos:R:3\nFe1 0 0 0\nO 2 2 2\n'
    refused(written(tmp_path, "b.xyz", numbered), "'Fe1' is no chemical element")


@pytest.mark.parametrize(
    ("comment", "symbols"), [("B  As", ["B", "As"]), ("BAs", ["B", "As"]), ("Na_pv Cl", ["Na", "Cl"])]
)
def test_species_in_the_first_line_of_an_old_poscar(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, comment: str, symbols: list[str]
) -> None:
    with caplog.at_level(logging.WARNING, "mlff_dyn"):
        assert (
            read_structure(written(tmp_path, "POSCAR", f"{comment}\n{BOX}{TWO}")).get_chemical_symbols()
            == symbols
        )
    assert f"{symbols[0]}1 {symbols[1]}1" in caplog.text


@pytest.mark.parametrize(
    "comment", ["In C structure of boron arsenide", "As In the file of B", "cubic cell", "", "SiO2", "B As N"]
)
def test_prose_is_no_species_line(tmp_path: Path, comment: str) -> None:
    refused(written(tmp_path, "POSCAR", f"{comment}\n{BOX}{TWO}"), "does not name its elements")


def test_an_old_poscar_beside_its_potcar(tmp_path: Path) -> None:
    written(tmp_path, "POTCAR", "   TITEL  = PAW_PBE B 06Sep2000\n   TITEL  = PAW_PBE As 22Sep2009\n")
    path = written(tmp_path, "POSCAR", f"In C structure\n{BOX}{TWO}")
    assert read_structure(path).get_chemical_symbols() == ["B", "As"]


def test_numbers_as_fortran_writes_them(tmp_path: Path) -> None:
    text = "B As\n1.0d0\n4.0D+0 0 0\n0 4d0 0\n0 0 .4d1\nB As\n1 1\nDirect\n0 0 0\n5.d-1 .5 .5\n"
    read = read_structure(written(tmp_path, "POSCAR", text))
    assert read.cell.lengths() == pytest.approx([4.0] * 3)
    assert read.positions[1] == pytest.approx([2.0] * 3)
    assert read_structure(written(tmp_path, "old.vasp", text.replace("B As\n1 1", "1 1"))) == read


@pytest.mark.parametrize("suffix", ["", ".xz", ".gz"])
@pytest.mark.parametrize(("calculator", "scale"), [(None, 1.0), ("qe", 1.8897261)])
def test_a_file_of_phonopy(tmp_path: Path, suffix: str, calculator: str | None, scale: float) -> None:
    atoms = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    cell = PhonopyAtoms(
        symbols=atoms.get_chemical_symbols(),
        cell=scale * atoms.cell.array,
        scaled_positions=atoms.get_scaled_positions(),
        masses=np.where(atoms.numbers == 11, 22.0, 35.0),
    )
    plain = tmp_path / "phonopy_disp.yaml"
    phonon = Phonopy(cell, np.eye(3, dtype=int), primitive_matrix="P", calculator=calculator, log_level=0)
    phonon.save(str(plain))
    path = plain.with_name(plain.name + suffix)
    if suffix:
        path.write_bytes({".xz": lzma, ".gz": gzip}[suffix].compress(plain.read_bytes()))
    assert is_phonopy_yaml(path)
    read = read_structure(path)
    assert read.get_chemical_formula() == "Cl4Na4"
    assert read.cell.array == pytest.approx(atoms.cell.array, abs=1e-6)
    assert set(read.get_masses()) == {22.0, 35.0}


def test_a_configuration_is_no_file_of_phonopy() -> None:
    for path in (Path(__file__).parents[2] / "configs").glob("*/*.yaml"):
        assert not is_phonopy_yaml(path)


def test_the_shared_cases() -> None:
    folder = Path(__file__).parents[3] / "shared" / "cases"
    if not folder.is_dir():
        pytest.skip("no shared cases")
    refused(folder / "NbZr_mixed_type_symbol.cif", "which one element")
    refused(folder / "conf.dump", "atom types")
    refused(folder / "POSCAR_vasp4_comment_text", "does not name its elements")
    assert read_structure(folder / "POSCAR_fortran_d").get_chemical_formula() == "AsB"
