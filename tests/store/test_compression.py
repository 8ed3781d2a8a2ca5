"""Compressed chunks are what the filters of HDF5 read back, and smaller than those would make them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest

from mlff_dyn.store.compression import FILTERS, append_compressed

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = (7, 3)


def numbers(n_rows: int, dtype: str) -> np.ndarray:
    return np.random.default_rng(n_rows).normal(scale=0.1, size=(n_rows, *SHAPE)).astype(dtype)


def create(file: h5py.File, name: str, dtype: str, length: int) -> h5py.Dataset:
    return file.create_dataset(
        name, (0, *SHAPE), dtype, maxshape=(None, *SHAPE), chunks=(length, *SHAPE), **FILTERS
    )


@pytest.mark.parametrize("dtype", ["<f4", "<f8"])
@pytest.mark.parametrize("length", [1, 4, 5])
def test_hdf5_reads_back_every_bit(tmp_path: Path, dtype: str, length: int) -> None:
    special = numbers(6, dtype)
    special.flat[:8] = [0.0, -0.0, np.inf, -np.inf, 5e-324, 1e-38, 1e300 if dtype == "<f8" else 1e38, 1.0]
    pieces = [numbers(1, dtype), special, numbers(4, dtype), numbers(0, dtype), numbers(13, dtype)]
    with h5py.File(tmp_path / "a.h5", "w", libver="latest") as file:
        dataset = create(file, "x", dtype, length)
        file.swmr_mode = True
        for piece in pieces:
            append_compressed(dataset, piece)
        assert dataset[()].tobytes() == np.concatenate(pieces).tobytes()
    with h5py.File(tmp_path / "a.h5", "r") as file:
        assert file["x"][()].tobytes() == np.concatenate(pieces).tobytes()
        assert file["x"][3:20:2].tobytes() == np.concatenate(pieces)[3:20:2].tobytes()


@pytest.mark.parametrize("dtype", ["<f4", "<f8"])
def test_it_is_smaller_than_what_the_filters_make(tmp_path: Path, dtype: str) -> None:
    values = numbers(2000, dtype)
    with h5py.File(tmp_path / "a.h5", "w", libver="latest") as file:
        own, other = (create(file, name, dtype, 100) for name in ("own", "other"))
        append_compressed(own, values)
        other.resize(len(values), axis=0)
        other[:] = values
        file.flush()
        sizes = [dataset.id.get_storage_size() for dataset in (own, other)]
    assert sizes[0] < sizes[1] < values.nbytes
