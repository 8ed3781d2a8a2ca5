"""Cut a vasprun.xml into its run and its calculated steps, while it streams by.

Eigenvalues, densities of states and projections are most of the bytes; they are dropped unread. What is
kept of a step is the text of its ``<calculation>``, which may be damaged. Steps that are not in a
``<calculation>`` were predicted by a machine-learned force field.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from mlff_dyn.engines.vasp.convergence import ANOTHER_RUN
from mlff_dyn.engines.vasp.run_reader import RunEnd

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHUNK_BYTES = 1 << 21
_LONGEST_MARK_BYTES = 256
_LONGEST_HEAD_BYTES = 1 << 26
_HEAVY = rb"(?:eigenvalues|dos|projected|dynmat|dielectricfunction|opticaltransitions|electronvelocities)\w*"
_MARK = re.compile(
    rb"<(/?)(calculation|modeling|" + _HEAVY + rb')\b([^<>]*)>|<(varray) name="forces" *>|<(structure) '
    rb'name="initialpos" *>'
)
_CONTROL = bytes(code for code in range(32) if code not in b"\t\n\r")
_BLANKS = bytes.maketrans(_CONTROL, b" " * len(_CONTROL))


@dataclass(frozen=True)
class RunHead:
    """The text before the first step."""

    text: str


@dataclass(frozen=True)
class RawStep:
    """A calculated step.

    Attributes
    ----------
    number : int
        Among all steps of the file, predicted ones too, counted from 1.
    text : str
        Inside of ``<calculation>``, without what is dropped.
    damage : str or None
        Why it is not whole.
    """

    number: int
    text: str
    damage: str | None = None


class _Scan:
    def __init__(self) -> None:
        self.kept: list[bytes] = []
        self.n_head_bytes = 0
        self.in_head = True
        self.in_step = False
        self.dropped: bytes | None = None
        self.n_calculated = 0
        self.n_predicted = 0
        self.is_whole = False
        self.is_another_run = False

    def add(self, text: bytes) -> None:
        if self.dropped is not None or not (self.in_step or self.in_head):
            return
        self.kept.append(text)
        self.n_head_bytes += len(text)
        if self.in_head and self.n_head_bytes > _LONGEST_HEAD_BYTES:
            self.in_head, self.kept = False, []

    def taken(self) -> str:
        text = b"".join(self.kept).translate(_BLANKS).decode("latin-1")
        self.kept = []
        return text

    def step(self, damage: str | None = None) -> RawStep:
        self.in_step, self.dropped = False, None
        self.n_calculated += 1
        if self.is_another_run:
            damage = ANOTHER_RUN
        return RawStep(self.n_calculated + self.n_predicted, self.taken(), damage)

    def mark(self, found: re.Match[bytes]) -> Iterator[RunHead | RawStep]:
        closes, name, attributes = found[1] == b"/", found[2] or found[4] or found[5], found[3] or b""
        if name == b"calculation":
            yield from self._calculation(closes=closes)
        elif name == b"modeling":
            self.is_whole = closes
            self.is_another_run |= not closes and not self.in_head
        elif name == b"varray":
            if not self.in_step and self.dropped is None:
                self.n_predicted += 1
            self.add(found[0])
        elif name == b"structure":
            if self.in_head:
                self.in_head = False
                yield RunHead(self.taken())
        elif self.dropped is not None:
            if closes and name == self.dropped:
                self.dropped = None
        elif not closes and self.in_step and not attributes.endswith(b"/"):
            self.dropped = name

    def _calculation(self, *, closes: bool) -> Iterator[RunHead | RawStep]:
        if self.in_head:
            self.in_head = False
            yield RunHead(self.taken())
        if closes and self.in_step:
            open_part = self.dropped
            yield self.step(None if open_part is None else f"its <{open_part.decode()}> has no end")
        elif closes:
            self.n_predicted = max(0, self.n_predicted - 1)
            yield self.step("its begin is missing")
        else:
            if self.in_step:
                yield self.step("its end is missing")
            self.in_step = True


def scan_vasprun(file: IO[bytes]) -> Iterator[RunHead | RawStep | RunEnd]:
    """Yield the run, its calculated steps in their order, and the end.

    Parameters
    ----------
    file : binary file
        Read once, in pieces.
    """
    scan = _Scan()
    for text, found in _marked(file):
        scan.add(text)
        if found is not None:
            yield from scan.mark(found)
    if scan.in_head:
        yield RunHead(scan.taken())
    is_cut = not scan.is_whole and not scan.in_step
    if scan.in_step:
        yield scan.step("the file ends inside of it")
    yield RunEnd(is_cut, scan.n_calculated + scan.n_predicted, scan.n_predicted)


def _marked(file: IO[bytes]) -> Iterator[tuple[bytes, re.Match[bytes] | None]]:
    """Cut a stream after each mark; a mark that spans two pieces is found too."""
    rest = b""
    while chunk := file.read(_CHUNK_BYTES):
        text = rest + chunk
        position = 0
        for found in _MARK.finditer(text):
            yield text[position : found.start()], found
            position = found.end()
        open_tag = text.rfind(b"<", max(position, len(text) - _LONGEST_MARK_BYTES))
        cut = open_tag if open_tag >= 0 else len(text)
        yield text[position:cut], None
        rest = text[cut:]
    yield rest, None
