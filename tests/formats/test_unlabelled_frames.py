"""Frames without labels: what ASE reads, XDATCAR of a run that goes on, own trajectories."""

from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from mlff_dyn.errors import DataError
from mlff_dyn.formats.unlabelled_frames import read_unlabelled


def trajectory(n_frames: int, *, same_cell: bool) -> list[Atoms]:
    frames = []
    for seed in range(n_frames):
        atoms = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
        atoms.rattle(0.05, seed=seed)
        if not same_cell:
            atoms.set_cell(atoms.cell.array * (1.0 + 0.01 * seed), scale_atoms=True)
        frames.append(atoms[np.argsort(atoms.numbers, kind="stable")])
    return frames


def read(path: Path, stride: int = 1) -> list[Atoms]:
    return [atoms for _, atoms in read_unlabelled(path, stride=stride)]


@pytest.mark.parametrize("same_cell", [True, False])
@pytest.mark.parametrize("suffix", ["", ".gz", ".bz2"])
def test_xdatcar_is_as_ase_reads_it(tmp_path: Path, suffix: str, *, same_cell: bool) -> None:
    path = tmp_path / f"XDATCAR{suffix}"
    ase.io.write(path, trajectory(4, same_cell=same_cell), format="vasp-xdatcar")
    expected = ase.io.read(path, index=":", format="vasp-xdatcar")
    found = read(path)
    assert len(found) == len(expected) == 4
    for one, other in zip(found, expected, strict=True):
        assert one == other
    assert [number for number, _ in read_unlabelled(path, stride=3)] == [1, 4]


def test_a_run_that_goes_on_gives_the_frames_that_are_complete(tmp_path: Path) -> None:
    path = tmp_path / "XDATCAR"
    ase.io.write(path, trajectory(3, same_cell=True), format="vasp-xdatcar")
    text = path.read_text()
    starts = [text.index(f"configuration=     {n}") for n in (1, 2, 3)]
    for length in range(60, len(text) - 40, 37):
        path.write_text(text[:length])
        found, complete = [], sum(length > start for start in starts[1:])
        with pytest.raises(DataError, match="XDATCAR, frame"):
            found.extend(atoms for _, atoms in read_unlabelled(path))
        assert len(found) >= complete - 1


XDATCAR = """\
NaCl
   1.0
   2.8 2.8 0.0
   2.8 0.0 2.8
   0.0 2.8 2.8
   Na Cl
   1   1
Direct configuration=     1
   0.0 0.0 0.01
   0.5 0.5 0.5
Direct configuration=     2
   0.0 0.0 0.02
   0.5 0.5 0.49
"""


def test_frames_of_old_versions_have_blank_lines_between_them(tmp_path: Path) -> None:
    path = tmp_path / "XDATCAR"
    path.write_text(XDATCAR)
    expected = read(path)
    for blank in ("\n", " \n"):
        lines = [blank if "Direct" in line else line for line in XDATCAR.splitlines(keepends=True)]
        path.write_text("".join(lines) + "\n")
        assert read(path) == expected
    path.write_text(XDATCAR.replace("   1.0\n", f"   {-2 * 2.8**3}\n"))
    assert read(path)[1].cell.array == pytest.approx(expected[1].cell.array)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Na", "Xx"),
        ("   1   1", "   1   y"),
        ("   Na Cl\n", ""),
        ("   1.0\n", "   one\n"),
        ("Direct configuration=     2", "frame 2"),
        ("0.0 0.0 0.02", "0.0 0.0"),
        ("0.5 0.49\n", "0.5 0.4"),
        ("   0.5 0.5 0.5\n", ""),
    ],
)
def test_damage_is_named(tmp_path: Path, old: str, new: str) -> None:
    path = tmp_path / "XDATCAR"
    assert old in XDATCAR
    path.write_text(XDATCAR.replace(old, new))
    with pytest.raises(DataError, match="XDATCAR, frame"):
        read(path)


@pytest.mark.parametrize("name", ["x.extxyz", "x.traj", "x.json", "x.xsf", "a@0.extxyz"])
def test_other_formats_are_read_by_ase(tmp_path: Path, name: str) -> None:
    frames = trajectory(3, same_cell=False)
    ase.io.write(tmp_path / name, frames)
    found = read(tmp_path / name)
    assert len(found) == 3
    for one, other in zip(found, frames, strict=True):
        assert one.positions == pytest.approx(other.positions, abs=1e-6)
        assert one.cell.array == pytest.approx(other.cell.array, abs=1e-6)


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\nrest", b"\0" * 5000, b"3\nno cell\n"])
def test_what_is_no_trajectory_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(DataError, match="x"):
        read(tmp_path / "x")
    with pytest.raises(DataError, match="none"):
        read(tmp_path / "none")
