"""POSCAR: species grouped, order kept, as other programs read it."""

from __future__ import annotations

import ase.io
import numpy as np
import pytest
from ase import Atoms
from pymatgen.io.vasp.inputs import Poscar

from mlff_dyn.engines.vasp.poscar import format_poscar, grouped_order, read_poscar, species_of
from mlff_dyn.errors import EngineError


def mixed(seed: int) -> Atoms:
    rng = np.random.default_rng(seed)
    cell = np.diag([5.0, 6.0, 7.0]) + rng.normal(0.0, 0.5, (3, 3))
    return Atoms(
        rng.choice(["O", "Ti", "Ba"], 12), cell=cell, positions=rng.normal(0.0, 5.0, (12, 3)), pbc=True
    )


@pytest.mark.parametrize("seed", range(4))
def test_atoms_come_back_in_their_order(tmp_path, seed):
    atoms = mixed(seed)
    order = grouped_order(atoms.numbers)
    (tmp_path / "POSCAR").write_text(format_poscar(atoms, order))
    read = read_poscar(tmp_path / "POSCAR", order)
    assert read.get_chemical_symbols() == atoms.get_chemical_symbols()
    assert read.cell.array == pytest.approx(atoms.cell.array, abs=1e-14)
    assert read.positions == pytest.approx(atoms.positions, abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_ase_and_pymatgen_read_the_same(tmp_path, seed):
    atoms = mixed(seed)
    order = grouped_order(atoms.numbers)
    (tmp_path / "POSCAR").write_text(format_poscar(atoms, order))
    grouped = atoms[order]
    by_ase = ase.io.read(tmp_path / "POSCAR")
    by_pymatgen = Poscar.from_file(tmp_path / "POSCAR", check_for_potcar=False)
    assert tuple(by_pymatgen.site_symbols) == species_of(atoms.numbers)
    assert by_ase.get_chemical_symbols() == grouped.get_chemical_symbols()
    assert [site.specie.symbol for site in by_pymatgen.structure] == grouped.get_chemical_symbols()
    for found in (by_ase.positions, by_pymatgen.structure.cart_coords):
        shifts = (found - grouped.positions) @ np.linalg.inv(atoms.cell.array)
        assert shifts == pytest.approx(np.rint(shifts), abs=1e-9)


def test_real_structures(shared_data, tmp_path):
    """Species that come twice are grouped, and put back; lists over several lines are not read by ASE."""
    for path in sorted((shared_data / "vasp/inputs").glob("POSCAR*")):
        if path.name.endswith("multilines"):
            continue
        atoms = ase.io.read(path, format="vasp")
        order = grouped_order(atoms.numbers)
        (tmp_path / "POSCAR").write_text(format_poscar(atoms, order))
        assert len(Poscar.from_file(tmp_path / "POSCAR", check_for_potcar=False).site_symbols) == len(
            set(atoms.symbols)
        )
        read = read_poscar(tmp_path / "POSCAR", order)
        assert (read.numbers == atoms.numbers).all()
        assert read.positions == pytest.approx(atoms.positions, abs=1e-10)


def test_a_left_handed_cell_is_refused():
    atoms = Atoms("Cu", cell=[[0, 4, 0], [4, 0, 0], [0, 0, 4]], pbc=True)
    with pytest.raises(EngineError, match="left-handed"):
        format_poscar(atoms, grouped_order(atoms.numbers))
