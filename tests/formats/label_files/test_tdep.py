"""Trajectories of TDEP: fractions of the supercell, eV/Å, potential energies."""

import gzip
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.build import bulk

from mlff_dyn.errors import DataError
from mlff_dyn.formats.label_files.tdep import TDEP
from mlff_dyn.store.calculated_steps import ReadOptions, StepChoice
from mlff_dyn.store.dataset import Snapshot
from mlff_dyn.store.source import Source
from mlff_dyn.store.structure_file import read_structure


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three steps of eight atoms, two of them on the other side of the cell."""
    atoms = bulk("Cu", "fcc", a=3.6, cubic=True).repeat((2, 1, 1))
    rng = np.random.default_rng(1)
    moved = atoms.positions + rng.normal(scale=0.05, size=(3, 8, 3))
    ase.io.write(tmp_path / "infile.ssposcar", atoms, format="vasp", direct=True)
    np.savetxt(
        tmp_path / "infile.positions", (moved / atoms.cell.lengths()).reshape(-1, 3) % 1.0, fmt="%.15f"
    )
    np.savetxt(tmp_path / "infile.forces", rng.normal(size=(24, 3)), fmt="%.15f")
    stat = np.arange(39.0).reshape(3, 13)
    np.savetxt(tmp_path / "infile.stat", stat)
    (tmp_path / "infile.meta").write_text("8  # atoms\n3  # steps\n1.0\n300.0\n")
    np.save(tmp_path / "moved.npy", moved)
    return tmp_path


def read(folder: Path, steps: str = "all") -> list[Snapshot]:
    source = Source(folder / "infile.positions").sibling("infile.positions")
    assert source is not None
    assert TDEP.recognizes(source, source.head())
    found = list(TDEP.read(source, ReadOptions(StepChoice.parse(steps))))
    return [each for each in found if isinstance(each, Snapshot)]


def test_steps_are_displacements_of_the_supercell(folder: Path) -> None:
    found = read(folder)
    assert np.allclose([each.positions for each in found], np.load(folder / "moved.npy"), atol=1e-12)
    forces = np.loadtxt(folder / "infile.forces").reshape(3, 8, 3)
    assert np.array_equal([each.forces_ev_per_angstrom for each in found], forces)
    assert [each.energy_ev for each in found] == [3.0, 16.0, 29.0]
    assert [each.provenance.step for each in read(folder, "last")] == [3]
    names = {each.name for each in TDEP.beside(Source(folder / "infile.positions"))}
    assert names == {"infile.forces", "infile.ssposcar", "infile.stat", "infile.meta"}


def test_all_may_be_compressed_and_energies_missing(folder: Path) -> None:
    (folder / "infile.stat").unlink()
    for path in folder.glob("infile.*"):
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert [each.energy_ev for each in read(folder)] == [None, None, None]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("infile.forces", "24 and 23 lines"),
        ("infile.stat", "infile.stat has 2 lines"),
        ("infile.meta", "tells of other numbers"),
    ],
)
def test_files_that_do_not_fit_are_refused(folder: Path, name: str, message: str) -> None:
    lines = (folder / name).read_text().splitlines()
    (folder / name).write_text("\n".join(lines[1:]) + "\n")
    with pytest.raises(DataError, match=message):
        read(folder)


def test_missing_files_are_named(folder: Path) -> None:
    (folder / "infile.forces").unlink()
    with pytest.raises(DataError, match=r"no infile.forces beside it"):
        read(folder)


def test_its_cell_is_a_structure_file(folder: Path) -> None:
    assert len(read_structure(folder / "infile.ssposcar")) == 8
