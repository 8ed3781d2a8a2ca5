"""Which files are meant by paths, folders, archives and patterns."""

import shutil
import tarfile
from pathlib import Path

import pytest

from mlff_dyn.errors import DataError
from mlff_dyn.formats.label_files.search import find_label_files


@pytest.fixture
def folder(tmp_path: Path, shared_data: Path) -> Path:
    for name in ("run-10", "run-9", ".hidden"):
        (tmp_path / name).mkdir()
        shutil.copy(shared_data / "SnSe-sevennet/test.extxyz", tmp_path / name / "frames.extxyz")
    (tmp_path / "notes.txt").write_text("300 K\n")
    harmonic = shared_data / "NaCl-vasp-harmonic"
    for name in ("phonopy_disp.yaml", "FORCE_SETS"):
        shutil.copy(harmonic / name, tmp_path / "run-9" / name)
    return tmp_path


def names(folder: Path, *paths: str) -> list[str]:
    files, refused = find_label_files([folder / path for path in paths])
    assert not refused
    return [str(each.source).removeprefix(f"{folder}/") for each in files]


def test_folders_are_searched_in_natural_order(folder: Path) -> None:
    expected = ["run-9/frames.extxyz", "run-9/phonopy_disp.yaml", "run-10/frames.extxyz"]
    assert names(folder, ".") == expected
    assert names(folder, "run-1*", "run-9", ".") == [expected[2], *expected[:2]]
    assert names(folder, "*/*.extxyz") == [expected[0], expected[2]]


def test_forces_mean_the_displacements_beside_them(folder: Path) -> None:
    assert names(folder, "run-9/FORCE_SETS", "run-9/phonopy_disp.yaml") == ["run-9/phonopy_disp.yaml"]
    shutil.move(folder / "run-9/FORCE_SETS", folder / "FORCES_FC3")
    with pytest.raises(DataError, match=r"none of phono3py_params.yaml, phono3py_disp.yaml"):
        names(folder, "FORCES_FC3")


def test_archives_and_their_members(folder: Path) -> None:
    with tarfile.open(folder / "old.tar.xz", "w:xz") as archive:
        for name in ("run-10", "run-9"):
            archive.add(folder / name, arcname=name)
    members = ["run-9/frames.extxyz", "run-9/phonopy_disp.yaml", "run-10/frames.extxyz"]
    assert names(folder, "old.tar.xz") == [f"old.tar.xz/{name}" for name in members]
    assert names(folder, f"old.tar.xz/{members[2]}") == [f"old.tar.xz/{members[2]}"]
    assert names(folder, "old.tar.xz/run-9/FORCE_SETS") == ["old.tar.xz/run-9/phonopy_disp.yaml"]
    (folder / "cut.tar.xz").write_bytes((folder / "old.tar.xz").read_bytes()[:1000])
    _, refused = find_label_files([folder])
    assert [str(each.source).removeprefix(f"{folder}/") for each in refused] == ["cut.tar.xz"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("none.extxyz", "none.extxyz does not exist"),
        ("*.xml", "no file matches"),
        ("notes.txt", r"notes.txt is no file with labelled structures.*extended XYZ"),
        ("empty", "no file with labelled structures in"),
    ],
)
def test_what_is_not_there_or_not_known_is_named(folder: Path, path: str, message: str) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(DataError, match=message):
        names(folder, path)
