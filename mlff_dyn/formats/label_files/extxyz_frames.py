"""Labelled frames in extended XYZ, of this program, ASE, GPUMD and hiPhive."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import DataError
from mlff_dyn.store.calculated_steps import LabelFormat, ReadOptions, RefusedStep
from mlff_dyn.store.dataset import Snapshot, parse_snapshots

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlff_dyn.store.source import Source

_COUNT = re.compile(rb"\s*\d+\s*\r?\n[^\n]*=")
_SUFFIX = re.compile(r"\.(ext)?xyz(\.(gz|xz|bz2|lzma))?$", re.IGNORECASE)
_KEYS = {key.lower(): key for key in ("Lattice", "Properties")}
_HEADER_KEY = re.compile(r"\b(lattice|properties)(?=\s*=)", re.IGNORECASE)
_HEADER = re.compile(r"lattice\s*=", re.IGNORECASE)
_DISPLACEMENTS = re.compile(r":displacements:R:3\b")
_STILL = 1e-6


def _recognizes(source: Source, head: bytes) -> bool:
    return bool(_SUFFIX.search(source.name) or _COUNT.match(head))


def _read(source: Source, options: ReadOptions) -> Iterator[Snapshot | RefusedStep]:
    text = _plain_keys(source.read_text())
    frames = parse_snapshots(source, text, options.columns)
    if _DISPLACEMENTS.search(text):
        frames = _displaced(source, text, frames, options)
    numbered = [
        frame
        if frame.provenance.file is not None
        else replace(frame, provenance=replace(frame.provenance, file=str(source), step=step))
        for step, frame in enumerate(frames, start=1)
    ]
    yield from options.steps.of(numbered)


def _plain_keys(text: str) -> str:
    """Write the keys of headers as ASE reads them; GPUMD takes them in any case."""
    lines = text.split("\n")
    for k, line in enumerate(lines):
        if _HEADER.search(line):
            lines[k] = _HEADER_KEY.sub(lambda found: _KEYS[found.group().lower()], line)
    return "\n".join(lines)


def _displaced(
    source: Source, text: str, frames: tuple[Snapshot, ...], options: ReadOptions
) -> tuple[Snapshot, ...]:
    """Frames where the positions are those of the ideal crystal and displacements stand beside them.

    hiPhive writes them so; others write displacements beside positions that have them already. Ideal
    positions are the same in all frames.
    """
    moved = parse_snapshots(source, text, options.columns, with_displacements=True)
    first = frames[0].positions
    same = [len(frame.positions) == len(first) for frame in frames]
    if len(frames) > 1 and all(same):
        spread = max(float(np.abs(frame.positions - first).max()) for frame in frames)
        if spread < _STILL:
            return moved
        return frames
    raise DataError(
        f"{source} has a column displacements, and one cannot tell whether the positions hold them",
        fix="drop the column where they do, else add it to the positions",
    )


EXTXYZ = LabelFormat("extended XYZ", _recognizes, _read)
