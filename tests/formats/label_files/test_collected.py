"""Many files as one data set: nothing twice, nothing lost without a word."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mlff_dyn.errors import DataError
from mlff_dyn.formats.label_files.collected import CollectedLabels, collect_labels
from mlff_dyn.formats.label_files.search import find_label_files
from mlff_dyn.store.calculated_steps import ReadOptions, StepChoice
from mlff_dyn.store.dataset import read_snapshots, write_snapshots


def collect(*paths: Path, steps: str = "all") -> CollectedLabels:
    files, refused = find_label_files(paths)
    return collect_labels(files, ReadOptions(StepChoice.parse(steps)), refused)


def test_a_calculation_in_two_files_counts_once(tmp_path: Path, shared_data: Path) -> None:
    """A text with five decimals, atoms in other cells, is the calculation of the exact file."""
    frames = read_snapshots(shared_data / "SnSe-sevennet/test.extxyz")
    shifted = [
        replace(each, positions=np.round(each.positions, 5) + each.cell[0], forces_ev_per_angstrom=forces)
        for each in frames[:3]
        for forces in [np.round(each.forces_ev_per_angstrom, 6)]
    ]
    write_snapshots(tmp_path / "b.extxyz", [*shifted, frames[0]])
    found = collect(shared_data / "SnSe-sevennet/test.extxyz", tmp_path / "b.extxyz")
    assert len(found.snapshots) == len(frames)
    assert {each.provenance.file for each in found.snapshots} == {
        str(shared_data / "SnSe-sevennet/test.extxyz")
    }
    (count,) = found.kinds
    assert (count.n_files, count.n_frames, count.n_repeated, count.n_refused) == (2, len(frames), 4, 0)


def test_other_forces_are_another_calculation(tmp_path: Path, shared_data: Path) -> None:
    first, *_ = read_snapshots(shared_data / "SnSe-sevennet/test.extxyz")
    other = replace(first, forces_ev_per_angstrom=first.forces_ev_per_angstrom + 1e-4)
    for name, each in (("a", first), ("b", other)):
        write_snapshots(tmp_path / f"{name}.extxyz", [each])
    assert len(collect(tmp_path).snapshots) == 2


def test_refused_files_are_told_and_the_others_taken(tmp_path: Path, shared_data: Path) -> None:
    (tmp_path / "cut.extxyz").write_text("3\nLattice")
    (tmp_path / "good.extxyz").write_bytes((shared_data / "SnSe-sevennet/test.extxyz").read_bytes())
    found = collect(tmp_path)
    assert len(found.snapshots) == 8
    assert found.refusals() == [f"{tmp_path / 'cut.extxyz'}: is cut: its last line has no line break"]
    with pytest.raises(DataError, match="is cut"):
        collect(tmp_path / "cut.extxyz", tmp_path / "good.extxyz")
    (tmp_path / "good.extxyz").unlink()
    with pytest.raises(DataError, match=r"no labelled structure is left: .*cut.extxyz"):
        collect(tmp_path)


def test_a_choice_of_no_step_is_said(shared_data: Path) -> None:
    with pytest.raises(DataError, match="none of the files holds a step"):
        collect(shared_data / "SnSe-sevennet/test.extxyz", steps="100:")
