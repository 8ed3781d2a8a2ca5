"""Checkpoints: the same bits back, and nothing but a checkpoint is taken for one."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from mlff_dyn.errors import DataError
from mlff_dyn.kernels.dynamics import MdState
from mlff_dyn.kernels.reference.random_numbers import rng_from_seed
from mlff_dyn.md.barostat import CellState
from mlff_dyn.store.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from mlff_dyn.store.model_file import BASIS_FORMAT


def test_reading_gives_back_the_same_bits(tmp_path: Path) -> None:
    u, v = np.random.default_rng(0).standard_normal((2, 5, 3))
    written = Checkpoint("abc", 123456789012, 3.25, MdState(u, v, rng_from_seed(-1)))
    write_checkpoint(tmp_path / "checkpoint.h5", written)
    found = read_checkpoint(tmp_path / "checkpoint.h5")
    assert found is not None
    assert (found.identity, found.step, found.seconds) == ("abc", 123456789012, 3.25)
    for name in ("displacements", "velocities", "rng"):
        array = getattr(found.state, name)
        np.testing.assert_array_equal(array, getattr(written.state, name))
        assert array.dtype == getattr(written.state, name).dtype


def test_the_cell_comes_back(tmp_path: Path) -> None:
    state = MdState(*np.zeros((2, 5, 3)), rng_from_seed(1))
    cell = CellState(np.random.default_rng(1).standard_normal((3, 3)), 1.0 / 3.0, 17, 5)
    write_checkpoint(tmp_path / "checkpoint.h5", Checkpoint("abc", 1, 0.0, state, cell))
    found = read_checkpoint(tmp_path / "checkpoint.h5")
    assert found is not None
    assert found.cell is not None
    np.testing.assert_array_equal(found.cell.strain, cell.strain)
    assert (found.cell.step_size, found.cell.n_moves, found.cell.n_accepted) == (1.0 / 3.0, 17, 5)
    write_checkpoint(tmp_path / "checkpoint.h5", Checkpoint("abc", 1, 0.0, state))
    again = read_checkpoint(tmp_path / "checkpoint.h5")
    assert again is not None
    assert again.cell is None


def test_none_where_there_is_none(tmp_path: Path) -> None:
    assert read_checkpoint(tmp_path / "checkpoint.h5") is None


@pytest.mark.parametrize("cut", [0, 100, 2000])
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "checkpoint.h5"
    write_checkpoint(path, Checkpoint("abc", 1, 0.0, MdState(*np.zeros((2, 50, 3)), rng_from_seed(1))))
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError, match=r"checkpoint\.h5 is damaged.*--force"):
        read_checkpoint(path)


def test_another_format_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "basis.h5", "w") as file:
        BASIS_FORMAT.stamp(file)
        file.attrs["version"] = 1
    with pytest.raises(DataError, match="mlff-dyn basis"):
        read_checkpoint(tmp_path / "basis.h5")
