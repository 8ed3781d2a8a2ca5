"""Trajectories as the XDATCAR file of VASP: cells and fractional positions.

ASE writes 6 decimals of the cell, and the cell again for each frame where it does not change.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mlff_dyn.formats.trajectory_frames import Frame, Outline

_NUMBERS = " %15.10f" * 3 + "\n"


def format_xdatcar(outline: Outline, frames: Iterable[Frame]) -> Iterator[str]:
    """Yield the text of one frame after the other; a cell that changes is there for each, as VASP has it.

    Parameters
    ----------
    outline : Outline
    frames : iterable of Frame
    """
    groups = [(symbol, len(list(group))) for symbol, group in groupby(outline.symbols)]
    symbols = "".join(f"{symbol:>5s}" for symbol, _ in groups)
    counts = "".join(f" {count:4d}" for _, count in groups)
    has_one_cell = outline.has_one_cell
    rows = _NUMBERS * len(outline.numbers)
    for k, frame in enumerate(frames):
        if k == 0 or not has_one_cell:
            cell = _NUMBERS * 3 % tuple(frame.lattice.ravel().tolist())
            yield f"{''.join(outline.elements)}\n{1:12d}\n{cell}{symbols}\n{counts}\n"
        fractional = frame.positions @ np.linalg.inv(frame.lattice)
        yield f"Direct configuration= {k + 1:5d}\n"
        yield rows % tuple(fractional.ravel().tolist())
