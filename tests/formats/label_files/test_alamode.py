"""DFSET of ALAMODE against the outputs it was made of, and the structure that it does not name."""

import io
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.build import bulk

from mlff_dyn.errors import DataError
from mlff_dyn.formats.label_files.alamode import DFSET
from mlff_dyn.store.calculated_steps import ReadOptions
from mlff_dyn.store.dataset import Snapshot
from mlff_dyn.store.source import Source
from mlff_dyn.units import BOHR_ANGSTROM

INPUT = """\
&general
  MODE = suggest; NAT = 4; NKD = 2; KD = Cu Au  # two elements
/
&cell
  {scale}
  1 0 0
  0 1 0
  0 0 1
/
&position
  2 0 0 0
  1 0 0.5 0.5
  1 0.5 0 0.5
  1 0.5 0.5 0
/
"""


def read(path: Path, structure: Path | None = None) -> list[Snapshot]:
    source = Source(path)
    assert DFSET.recognizes(source, source.head())
    options = ReadOptions(structure=None if structure is None else Source(structure))
    return [each for each in DFSET.read(source, options) if isinstance(each, Snapshot)]


def test_it_is_what_the_outputs_say(shared_data: Path) -> None:
    path = shared_data / "BaTiO3-vasp/DFSET_AIMD_random"
    found = read(path)
    assert len(found) == 80
    output = Source(path.with_name("vasprun_xmls.tar.xz"), "reference/vasprun_01.xml")
    with output.open() as file:
        expected = ase.io.read(io.TextIOWrapper(file), format="vasp-xml")
    assert np.abs(found[0].forces_ev_per_angstrom - expected.get_forces()).max() < 2e-6
    apart = np.linalg.solve(expected.cell.T, (found[0].positions - expected.positions).T).T
    assert np.abs((apart - np.rint(apart)) @ expected.cell).max() < 5e-8
    assert found[0].energy_ev == -334.68557394


def small(folder: Path, n_cells: int = 2, energies: str = "") -> Path:
    rows = np.arange(n_cells * 24.0).reshape(-1, 6) * 1e-3
    blocks = [
        f"# Snapshot: {k}{energies}\n" + "\n".join(" ".join(map(str, row)) for row in rows[4 * k : 4 * k + 4])
        for k in range(n_cells)
    ]
    (folder / "DFSET").write_text("\n".join(blocks) + "\n")
    return folder / "DFSET"


def test_the_structure_is_the_only_one_beside_it_or_named(tmp_path: Path) -> None:
    path = small(tmp_path)
    with pytest.raises(DataError, match="no structure that fits"):
        read(path)
    atoms = bulk("Cu", "fcc", a=3.6, cubic=True)
    ase.io.write(tmp_path / "SPOSCAR", atoms, format="vasp")
    ase.io.write(tmp_path / "POSCAR_large", atoms.repeat((3, 1, 1)), format="vasp")
    assert [each.energy_ev for each in read(path)] == [None, None]
    ase.io.write(tmp_path / "POSCAR", bulk("Cu", "fcc", a=3.6), format="vasp")
    with pytest.raises(DataError, match=r"several structures fit \(POSCAR, SPOSCAR\)"):
        read(path)
    assert len(read(path, tmp_path / "SPOSCAR")) == 2
    with pytest.raises(DataError, match="not those of cells of 12 atoms"):
        read(path, tmp_path / "POSCAR_large")
    with pytest.raises(DataError, match="2 energies and 8 cells of 1 atoms"):
        read(small(tmp_path, energies=", E_pot (eV): -1.5"), tmp_path / "POSCAR")


def test_its_order_of_atoms_is_that_of_an_input_of_alamode(tmp_path: Path) -> None:
    (tmp_path / "alm.in").write_text(INPUT.format(scale=3.6 / BOHR_ANGSTROM))
    first, _ = read(small(tmp_path), tmp_path / "alm.in")
    assert first.numbers.tolist() == [79, 29, 29, 29]
    assert first.positions[1] == pytest.approx(
        [0.006 * BOHR_ANGSTROM, *(np.array([0.007, 0.008]) * BOHR_ANGSTROM + 1.8)]
    )
    (tmp_path / "alm.in").write_text(INPUT.format(scale="x"))
    with pytest.raises(DataError, match="no complete input of ALAMODE"):
        read(tmp_path / "DFSET", tmp_path / "alm.in")
