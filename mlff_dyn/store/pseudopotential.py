"""What a file of a pseudopotential tells."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_VALENCE = (
    re.compile(rb"z_valence\s*=\s*[\"']\s*([-+.\deEdD]+)"),
    re.compile(rb"^\s*([-+.\deEdD]+)\s+Z valence", re.MULTILINE),
)


def valence_electrons(path: Path) -> float | None:
    """Number of valence electrons in a file in UPF format; None where it does not tell."""
    content = path.read_bytes()
    for pattern in _VALENCE:
        found = pattern.search(content)
        if found is not None:
            return float(found.group(1).lower().replace(b"d", b"e"))
    return None
