"""Tables of two columns for people."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Sequence


def print_table(rows: Sequence[tuple[str, str]], stream: TextIO | None = None) -> None:
    """Write rows of (label, value): styled on a terminal, aligned plain text anywhere else.

    Parameters
    ----------
    rows : sequence of (str, str)
    stream : TextIO, optional
        Standard output if left out.
    """
    stream = stream or sys.stdout
    if stream.isatty():
        _print_styled(rows, stream)
        return
    width = max((len(label) for label, _ in rows), default=0)
    for label, value in rows:
        stream.write(f"{label:<{width}}  {value}".rstrip() + "\n")
    stream.flush()


def _print_styled(rows: Sequence[tuple[str, str]], stream: TextIO) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for label, value in rows:
        table.add_row(Text(label), Text(value))
    Console(file=stream).print(table)
