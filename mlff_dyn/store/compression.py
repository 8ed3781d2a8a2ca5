"""Floats in compressed chunks that every HDF5 library reads: its filters shuffle and gzip.

After the shuffle, the bytes of a chunk stand in planes: the last bytes of all numbers, ..., the first bytes
of all numbers. Only sign, exponent and leading digits repeat among positions or velocities, so only their
planes are compressed, each with a Huffman code of its own; the others are taken as they are. The filters of
the library would look for repetitions everywhere, and make larger files in three to ten times the time.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import h5py

FILTERS = {"shuffle": True, "compression": "gzip", "compression_opts": 1}
_COMPRESSED_PLANES = {4: 1, 8: 2}
"""First bytes of a number that hold its sign and exponent, by its size."""
_HEADER = b"\x78\x01"


def append_compressed(dataset: h5py.Dataset, values: np.ndarray) -> None:
    """Add rows to a data set that was made with `FILTERS`.

    Parameters
    ----------
    dataset : Dataset, shape (n, ...)
        Little-endian floats; a chunk holds whole rows.
    values : ndarray, shape (n_rows, ...)
        Of the same type.
    """
    n_before, length = dataset.shape[0], dataset.chunks[0]
    first = n_before - n_before % length
    if first < n_before:
        values = np.concatenate([dataset[first:], values])
    dataset.resize(first + len(values), axis=0)
    rest = (0,) * (dataset.ndim - 1)
    for start in range(0, len(values), length):
        rows = values[start : start + length]
        if len(rows) < length:
            rows = np.concatenate([rows, np.zeros((length - len(rows), *rows.shape[1:]), rows.dtype)])
        dataset.id.write_direct_chunk((first + start, *rest), shuffle_and_deflate(rows))


def shuffle_and_deflate(values: np.ndarray) -> bytes:
    """Return what the filters shuffle and gzip make of little-endian floats, in a form that is fast to make.

    Examples
    --------
    >>> packed = shuffle_and_deflate(np.linspace(1.0, 2.0, 999))
    >>> planes = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(8, 999)
    >>> bool((np.ascontiguousarray(planes.T).view(float)[:, 0] == np.linspace(1.0, 2.0, 999)).all())
    True
    """
    size = values.dtype.itemsize
    planes = np.ascontiguousarray(np.ascontiguousarray(values).view(np.uint8).reshape(-1, size).T)
    n_plain = size - _COMPRESSED_PLANES[size]
    parts = [_deflate(planes[:n_plain].data, level=0)]
    parts += [_deflate(plane.data, level=1) for plane in planes[n_plain:]]
    end = _deflate(b"", level=1, is_last=True)
    return b"".join([_HEADER, *parts, end, zlib.adler32(planes.data).to_bytes(4, "big")])


def _deflate(content: memoryview | bytes, *, level: int, is_last: bool = False) -> bytes:
    """Part of a deflate stream; the next one begins at a new byte."""
    stream = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS, strategy=zlib.Z_HUFFMAN_ONLY)
    return stream.compress(content) + stream.flush(zlib.Z_FINISH if is_last else zlib.Z_FULL_FLUSH)
