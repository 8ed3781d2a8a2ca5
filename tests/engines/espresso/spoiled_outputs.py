"""Outputs with lines or ends missing, or with other bytes in them, and what may be read of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.store.calculated_steps import ReadOptions, RefusedStep
from mlff_dyn.store.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from mlff_dyn.store.calculated_steps import LabelFormat
    from mlff_dyn.store.dataset import Snapshot

_SAME_ANGSTROM = 3e-6  # the beginning and the cards of an output print with different digits


def read_steps(form: LabelFormat, path: Path) -> list[Snapshot | RefusedStep]:
    """All steps of a file."""
    return list(form.read(Source(path), ReadOptions()))


def accepted(steps: Sequence[Snapshot | RefusedStep]) -> list[Snapshot]:
    """The steps that are not refused."""
    return [step for step in steps if not isinstance(step, RefusedStep)]


def cut_or_thinned(content: bytes, count: int, seed: int) -> Iterator[bytes]:
    """The content cut at random places, and with random lines or a run of lines missing."""
    random = np.random.default_rng(seed)
    lines = content.splitlines(keepends=True)
    for number in range(count):
        kind = number % 5
        if kind == 0:
            yield content[: random.integers(len(content))]
        elif kind == 1:
            gone = random.integers(len(lines))
            yield b"".join(lines[:gone] + lines[gone + 1 :])
        elif kind == 2:
            start = random.integers(len(lines))
            yield b"".join(lines[:start] + lines[start + random.integers(1, 60) :])
        else:
            kept = random.random(len(lines)) > (0.03 if kind == 3 else 0.2)
            yield b"".join(line for line, is_kept in zip(lines, kept, strict=True) if is_kept)


def with_other_bytes(content: bytes, count: int, seed: int) -> Iterator[bytes]:
    """The content with 1 to 500 bytes changed."""
    random = np.random.default_rng(seed)
    for number in range(count):
        changed = bytearray(content)
        for place in random.integers(len(content), size=(1, 5, 50, 500)[number % 4]):
            changed[place] = random.integers(256)
        yield bytes(changed)


def is_one_of(step: Snapshot, right: Sequence[Snapshot]) -> bool:
    """Whether a step has the numbers of one of the right ones; a stress may be missing."""
    return any(_is_same(step, each) for each in right)


def _is_same(step: Snapshot, other: Snapshot) -> bool:
    if step.n_atoms != other.n_atoms or step.energy_ev != other.energy_ev:
        return False
    given, right = step.stress_ev_per_angstrom3, other.stress_ev_per_angstrom3
    return (
        np.array_equal(step.numbers, other.numbers)
        and np.array_equal(step.forces_ev_per_angstrom, other.forces_ev_per_angstrom)
        and np.abs(step.cell - other.cell).max() < _SAME_ANGSTROM
        and np.abs(step.positions - other.positions).max() < _SAME_ANGSTROM
        and (given is None or (right is not None and np.array_equal(given, right)))
    )
