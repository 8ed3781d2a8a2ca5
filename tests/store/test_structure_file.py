"""Structures of any ASE format, and clear words about those that are none."""

from __future__ import annotations

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.constraints import FixAtoms

from mlff_dyn.errors import DataError
from mlff_dyn.store.structure_file import read_structure


@pytest.mark.parametrize("name", ["a.vasp", "POSCAR", "a.cif", "a.extxyz", "a.xsf", "a.json"])
def test_formats(tmp_path, name):
    atoms = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    ase.io.write(tmp_path / name, atoms)
    read = read_structure(tmp_path / name)
    assert sorted(read.numbers) == sorted(atoms.numbers)
    assert read.get_volume() == pytest.approx(atoms.get_volume())
    assert read.pbc.all()


def test_input_of_pw_whatever_its_name_and_indentation(tmp_path):
    text = (
        " &control\n  calculation = 'scf'\n /\n &system\n  ibrav = 0, nat = 2, ntyp = 1, ecutwfc = 20\n /\n"
        " &electrons\n /\nATOMIC_SPECIES\n Si 28.0 Si.UPF\nATOMIC_POSITIONS crystal\n Si 0 0 0\n"
        " Si 0.25 0.25 0.25\nCELL_PARAMETERS angstrom\n 0 2.7 2.7\n 2.7 0 2.7\n 2.7 2.7 0\nK_POINTS gamma\n"
    )
    for name in ("Si.in", "Si.pwi", "silicon.txt"):
        (tmp_path / name).write_text(text)
        read = read_structure(tmp_path / name)
        assert read.get_chemical_formula() == "Si2"
        assert read.get_volume() == pytest.approx(2 * 2.7**3)


def test_results_and_constraints_do_not_come_along(tmp_path):
    atoms = bulk("Cu", cubic=True)
    atoms.set_constraint(FixAtoms([0]))
    ase.io.write(tmp_path / "a.vasp", atoms)
    read = read_structure(tmp_path / "a.vasp")
    assert not read.constraints
    assert read.calc is None


def refused(path, reason):
    with pytest.raises(DataError, match=reason) as caught:
        read_structure(path)
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_and_folder(tmp_path):
    refused(tmp_path / "none.vasp", "does not exist")
    refused(tmp_path, "not a file")


@pytest.mark.parametrize("content", ["", "nonsense", "Cu\n1.0\n3.6 0 0\n0 3.6 0\n0 0", "Cu\n1.0\n\n\n\n\n"])
def test_damaged(tmp_path, content):
    (tmp_path / "a.vasp").write_text(content)
    refused(tmp_path / "a.vasp", "cannot be read")
    (tmp_path / "unknown.abc").write_text(content)
    refused(tmp_path / "unknown.abc", "cannot be read")


def test_no_cell(tmp_path):
    ase.io.write(tmp_path / "water.xyz", molecule("H2O"))
    refused(tmp_path / "water.xyz", "no three-dimensional cell")


def test_overlapping_atoms(tmp_path):
    atoms = bulk("Cu", cubic=True) + Atoms("Cu", [[0.0, 0.0, 3.55]])
    ase.io.write(tmp_path / "a.extxyz", atoms)
    refused(tmp_path / "a.extxyz", "overlapping atoms: Cu1 and Cu5")
    bohr_as_angstrom = bulk("Cu", cubic=True)
    bohr_as_angstrom.set_cell(np.eye(3) * 0.5, scale_atoms=True)
    ase.io.write(tmp_path / "b.extxyz", bohr_as_angstrom)
    refused(tmp_path / "b.extxyz", "overlapping")


def test_not_finite_and_without_element(tmp_path):
    atoms = bulk("Cu", cubic=True)
    atoms.positions[1, 2] = np.nan
    ase.io.write(tmp_path / "a.extxyz", atoms)
    refused(tmp_path / "a.extxyz", "not finite")
    atoms = bulk("Cu", cubic=True)
    atoms.numbers[2] = 0
    ase.io.write(tmp_path / "b.extxyz", atoms)
    refused(tmp_path / "b.extxyz", "without a chemical element")


def test_partly_occupied_sites(tmp_path):
    atoms = bulk("Cu", cubic=True)
    ase.io.write(tmp_path / "a.cif", atoms)
    text = (tmp_path / "a.cif").read_text()
    assert " 1.0000" in text
    (tmp_path / "a.cif").write_text(text.replace(" 1.0000", " 0.5000"))
    refused(tmp_path / "a.cif", "partly occupied")


@pytest.mark.parametrize(("factor", "words"), [(0.1, "volume is"), (100.0, "no atoms nearer")])
def test_lengths_that_are_no_angstrom_are_refused(tmp_path, factor, words):
    atoms = bulk("Cu", cubic=True)
    atoms.set_cell(factor * atoms.cell, scale_atoms=True)
    atoms.write(tmp_path / "Cu.vasp", format="vasp", direct=True)
    refused(tmp_path / "Cu.vasp", words)
