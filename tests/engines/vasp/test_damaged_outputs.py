"""Outputs that are cut, lost lines or hold wrong bytes: what is accepted has the numbers of the sound one."""

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mlff_dyn.engines.vasp.outcar import OUTCAR
from mlff_dyn.errors import DataError
from mlff_dyn.store.dataset import Snapshot
from mlff_dyn.store.source import Source
from tests.engines.vasp.vasp_outputs import REAL_OUTPUTS, RealOutput, read_all

Damage = Callable[[bytes, random.Random], bytes]

NAMES = (
    "vasprun.bad.xml.gz",
    "vasprun.charged.xml.gz",
    "vasprun.etest2.xml.gz",
    "vasprun.md.xml.gz",
    "vasprun.ml_md.xml.gz",
    "vasprun.xml-001",
    "OUTCAR.Al",
    "OUTCAR.BaTiO3.polar",
    "OUTCAR.etest1.gz",
    "OUTCAR_merged_numbers",
    "OUTCAR_vasp_6.3.gz",
)
OUTPUTS = tuple(output for output in REAL_OUTPUTS if output.path.split("/")[-1] in NAMES)


def cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content))]


def without_lines(content: bytes, rng: random.Random) -> bytes:
    lines = content.splitlines(keepends=True)
    lost = set(rng.sample(range(len(lines)), rng.choice([1, 1, 2, 3, 10, 100])))
    return b"".join(line for number, line in enumerate(lines) if number not in lost)


def without_a_block(content: bytes, rng: random.Random) -> bytes:
    lines = content.splitlines(keepends=True)
    begin = rng.randrange(len(lines))
    return b"".join(lines[:begin] + lines[begin + rng.choice([2, 5, 10, 30, 100, 300]) :])


def with_wrong_bytes(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice([1, 3, 30])):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def is_one_of(snapshot: Snapshot, sound: list[Snapshot], position_tolerance: float) -> bool:
    """Whether a step of the sound file has the same numbers."""
    return any(
        snapshot.energy_ev == each.energy_ev
        and snapshot.numbers.tolist() == each.numbers.tolist()
        and np.array_equal(snapshot.forces_ev_per_angstrom, each.forces_ev_per_angstrom)
        and np.array_equal(snapshot.cell, each.cell)
        and np.allclose(snapshot.positions, each.positions, rtol=0.0, atol=position_tolerance)
        and (
            snapshot.stress_ev_per_angstrom3 is None
            or np.array_equal(snapshot.stress_ev_per_angstrom3, each.stress_ev_per_angstrom3)
        )
        for each in sound
    )


def check_damaged(
    output: RealOutput, folder: Path, damaged: Path, damage: Damage, n_times: int, *, compare: bool
) -> None:
    """Damage a file again and again; whatever is accepted is one of the steps of the sound file."""
    source = Source(folder / output.path)
    sound, _ = read_all(output.kind, source)
    with source.open() as file:
        content = file.read()
    rng = random.Random(output.path)
    for _ in range(n_times):
        damaged.write_bytes(damage(content, rng))
        try:
            snapshots, _ = read_all(output.kind, damaged)
        except DataError:
            continue
        tolerance = 6e-6 if output.kind is OUTCAR else 0.0
        assert not compare or all(is_one_of(each, sound, tolerance) for each in snapshots)


by_output = pytest.mark.parametrize("output", OUTPUTS, ids=lambda output: output.path.split("/")[-1])
by_damage = pytest.mark.parametrize("damage", [cut, without_lines, without_a_block])


@by_output
def test_what_is_accepted_of_damaged_files_is_right(
    output: RealOutput, shared_data: Path, tmp_path: Path
) -> None:
    for damage in (cut, without_lines, without_a_block):
        check_damaged(output, shared_data, tmp_path / "output", damage, 5, compare=True)


@by_output
def test_wrong_bytes_end_in_a_refusal_or_a_snapshot(
    output: RealOutput, shared_data: Path, tmp_path: Path
) -> None:
    check_damaged(output, shared_data, tmp_path / "output", with_wrong_bytes, 5, compare=False)


@pytest.mark.drill
@by_damage
@by_output
def test_of_a_thousand_damaged_files_none_gives_wrong_numbers(
    output: RealOutput, damage: Damage, shared_data: Path, tmp_path: Path
) -> None:
    check_damaged(output, shared_data, tmp_path / "output", damage, 100, compare=True)


@pytest.mark.drill
@by_output
def test_a_hundred_times_wrong_bytes(output: RealOutput, shared_data: Path, tmp_path: Path) -> None:
    check_damaged(output, shared_data, tmp_path / "output", with_wrong_bytes, 100, compare=False)


def test_an_archive_member_that_is_no_output_is_not_recognized(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("vasprun.xml is elsewhere\n", encoding="utf-8")
    source = Source(tmp_path / "notes")
    assert not any(output.kind.recognizes(source, source.head()) for output in REAL_OUTPUTS)
