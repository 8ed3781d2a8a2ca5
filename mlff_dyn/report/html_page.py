"""One self-contained HTML page: text, tables and pictures, for the screen and for paper."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; color: #222; background: #fff;
       max-width: 60rem; margin: 2rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .25rem; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; padding-top: .6rem; border-top: 1px solid #ddd; }
p { margin: .4rem 0; max-width: 46rem; }
.lead { color: #555; }
table { border-collapse: collapse; margin: .8rem 0; font-size: .9rem; }
th { text-align: left; font-weight: 600; border-bottom: 1.5px solid #222; }
th, td { padding: .25rem .9rem .25rem 0; vertical-align: top; }
td { border-bottom: 1px solid #eee; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
td.number { white-space: nowrap; }
figure { margin: 1rem 0; break-inside: avoid; }
figure svg { max-width: 100%; height: auto; }
figcaption { color: #555; font-size: .85rem; max-width: 46rem; }
pre { font-size: .78rem; line-height: 1.4; background: #f6f6f6; padding: .8rem; white-space: pre-wrap; }
@media print { body { margin: 0; max-width: none; font-size: 10pt; } h2 { break-after: avoid; }
               tr { break-inside: avoid; } pre { background: none; padding: 0; } }
""".strip()


class Block(Protocol):
    """A part of a section."""

    def to_html(self) -> str:
        """Return its elements."""


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str

    def to_html(self) -> str:
        """Return the paragraph."""
        return f"<p>{escape(self.text)}</p>"


@dataclass(frozen=True)
class Listing:
    """Text whose line breaks and spaces matter."""

    text: str

    def to_html(self) -> str:
        """Return the text as it is."""
        return f"<pre>{escape(self.text)}</pre>"


@dataclass(frozen=True)
class Table:
    """Rows of cells under a header; columns of numbers are aligned on the right.

    Attributes
    ----------
    header : sequence of str
        Empty: none.
    rows : sequence of sequence of str
    numbers : sequence of int
        Columns with numbers, counted from 0.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: Sequence[int] = ()

    def to_html(self) -> str:
        """Return the table."""
        head = f"<thead>{self._row(self.header, 'th')}</thead>" if self.header else ""
        return f"<table>{head}<tbody>{''.join(self._row(row, 'td') for row in self.rows)}</tbody></table>"

    def _row(self, cells: Sequence[str], tag: str) -> str:
        marks = (' class="number"' if k in self.numbers else "" for k in range(len(cells)))
        columns = (f"<{tag}{m}>{escape(c)}</{tag}>" for m, c in zip(marks, cells, strict=True))
        return f"<tr>{''.join(columns)}</tr>"


@dataclass(frozen=True)
class Picture:
    """A drawing with what it shows.

    Attributes
    ----------
    svg : str
        A whole SVG file, which becomes part of the page.
    caption : str
    """

    svg: str
    caption: str

    def to_html(self) -> str:
        """Return the figure."""
        drawing = self.svg[self.svg.index("<svg") :]
        return f"<figure>{drawing}<figcaption>{escape(self.caption)}</figcaption></figure>"


Draw = Callable[[str, str, Callable[[Path], None]], Picture]
"""Takes name, caption and plot of a picture."""


@dataclass(frozen=True)
class Part:
    """A section of the page."""

    title: str
    blocks: Sequence[Block]

    def to_html(self) -> str:
        """Return the section."""
        inside = "\n".join(block.to_html() for block in self.blocks)
        return f"<section>\n<h2>{escape(self.title)}</h2>\n{inside}\n</section>"


def html_page(title: str, lead: str, parts: Sequence[Part]) -> str:
    """Return a whole page that needs no other file.

    Parameters
    ----------
    title, lead : str
        Head line, and the sentence below it.
    parts : sequence of Part
    """
    inside = "\n".join(part.to_html() for part in parts)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{_STYLE}\n</style>\n</head>\n<body>\n"
        f'<h1>{escape(title)}</h1>\n<p class="lead">{escape(lead)}</p>\n{inside}\n</body>\n</html>\n'
    )
