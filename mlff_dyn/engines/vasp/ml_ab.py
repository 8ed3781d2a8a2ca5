"""Read ML_AB: the ab initio structures that VASP's machine-learned force fields are trained on.

They are converged calculations that VASP took itself; the file tells no settings.
"""

from __future__ import annotations

import re
from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.engines.vasp.numbers import (
    DAMAGED_FIX,
    read_rows,
    split_numbers,
    stress_of_kilobar,
)
from mlff_dyn.engines.vasp.settings import RunOrigin
from mlff_dyn.engines.vasp.vasprun_head import atomic_number
from mlff_dyn.errors import DataError
from mlff_dyn.store.calculated_steps import LabelFormat, RefusedStep
from mlff_dyn.store.cut_sources import keeps_steps_before_damage
from mlff_dyn.store.dataset import Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlff_dyn.store.calculated_steps import ReadOptions
    from mlff_dyn.store.source import Source

_RECOGNIZED = re.compile(rb"^\s*\d+(\.\d+)?\s+Version.*The number of configurations", re.DOTALL)
_CONFIGURATION = re.compile(r"^\s*Configuration num\.\s*(\d+)")
_TITLES = (
    "System name",
    "The number of",
    "Atom types and atom numbers",
    "CTIFOR",
    "Primitive lattice vectors",
    "Atomic positions",
    "Total energy",
    "Forces",
    "Stress",
    "XX YY ZZ",
    "XY YZ ZX",
)
_RULE = re.compile(r"^\s*[-=*]{10,}\s*$")


@keeps_steps_before_damage
def read_ml_ab(source: Source, options: ReadOptions) -> Iterator[Snapshot | RefusedStep]:
    """Yield the chosen configurations.

    Raises
    ------
    DataError
        If there is none; the message has the name of the file.
    """
    n_stated, n_found = None, 0
    with source.open() as file:
        blocks = _blocks(line.decode("latin-1") for line in file if line.endswith(b"\n"))
        n_stated = _n_stated(next(blocks, []))
        for number, lines in options.steps.of(zip(count(1), blocks)):
            n_found = number
            try:
                yield _snapshot(source, number, lines)
            except DataError as error:
                yield RefusedStep(source, number, error.message, fix=error.fix or DAMAGED_FIX)
        n_found = max(n_found, 0) + sum(1 for _ in blocks)
    if n_found == 0:
        raise DataError(f"{source}: there is no configuration in it", fix="give the file that VASP wrote")
    if n_stated is not None and options.steps.stop is None and n_found < n_stated:
        yield RefusedStep(
            source,
            n_found + 1,
            f"the file ends after {n_found} of {n_stated} configurations",
            fix=DAMAGED_FIX,
        )


def _blocks(lines: Iterator[str]) -> Iterator[list[str]]:
    """Yield the head, and then the lines of one configuration after the other."""
    block: list[str] = []
    for line in lines:
        if _CONFIGURATION.match(line):
            yield block
            block = []
        elif not _RULE.match(line):
            block.append(line.rstrip("\n"))
        elif block and block[-1] != "":
            block.append("")
    yield block


def _n_stated(head: list[str]) -> int | None:
    for title, *following in zip(head, head[1:], head[2:]):  # noqa: B905 (of different length)
        if title.strip() == "The number of configurations":
            value = next((line for line in following if line.strip()), "").strip()
            return int(value) if value.isdecimal() else None
    return None


def _sections(lines: list[str]) -> dict[str, list[str]]:
    """Give every title the lines below it, up to the next title."""
    parts = [part.split("\n") for part in "\n".join(lines).strip("\n").split("\n\n")]
    rows = [[line for line in part if line.strip()] for part in parts]
    rows = [part for part in rows if part]
    found: dict[str, list[str]] = {}
    titled = ""
    for part in rows:
        line = " ".join(part[0].split())
        if len(part) == 1 and titled != "System name" and line.startswith(_TITLES):
            titled = line
        elif titled:
            found.setdefault(titled, part)
            titled = ""
    return found


def _snapshot(source: Source, number: int, lines: list[str]) -> Snapshot:
    sections = _sections(lines)

    def table(title: str, shape: tuple[int, int]) -> np.ndarray:
        rows = next((values for name, values in sections.items() if name.startswith(title)), [])
        return read_rows([split_numbers(row) for row in rows], title, shape)

    kinds = [row.split() for row in sections.get("Atom types and atom numbers", [])]
    if not kinds or any(len(row) != 2 or not row[1].isdecimal() for row in kinds):
        raise DataError("the list of atoms is missing or damaged", fix=DAMAGED_FIX)
    numbers = np.repeat([atomic_number(row[0], "") for row in kinds], [int(row[1]) for row in kinds])
    n_atoms = int(table("The number of atoms", (1, 1))[0, 0])
    if n_atoms != len(numbers):
        raise DataError("the numbers of atoms contradict each other", fix=DAMAGED_FIX)
    cell = table("Primitive lattice vectors", (3, 3))
    return Snapshot(
        numbers=numbers.astype(np.int64),
        positions=table("Atomic positions", (n_atoms, 3)),
        cell=cell,
        energy_ev=float(table("Total energy", (1, 1))[0, 0]),
        forces_ev_per_angstrom=table("Forces", (n_atoms, 3)),
        stress_ev_per_angstrom3=_stress(sections),
        provenance=RunOrigin(program="VASP").provenance(source, number),
    )


def _stress(sections: dict[str, list[str]]) -> np.ndarray | None:
    diagonal, others = sections.get("XX YY ZZ"), sections.get("XY YZ ZX")
    if diagonal is None and others is None:
        return None
    if diagonal is None or others is None or len(diagonal) != 1 or len(others) != 1:
        raise DataError("the stress is damaged", fix=DAMAGED_FIX)
    words = split_numbers(diagonal[0]) + split_numbers(others[0])
    xx, yy, zz, xy, yz, zx = read_rows([words], "stress", (1, 6))[0]
    return stress_of_kilobar(np.array([[xx, xy, zx], [xy, yy, yz], [zx, yz, zz]]))


ML_AB = LabelFormat(
    name="VASP ML_AB",
    recognizes=lambda _, head: _RECOGNIZED.match(head) is not None,
    read=read_ml_ab,
)
"""Files called ``ML_AB`` or ``ML_ABN``."""
