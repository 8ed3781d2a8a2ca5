"""Formats by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlff_dyn.errors import UsageError
from mlff_dyn.formats.phono3py_files import write_phono3py
from mlff_dyn.formats.phonopy_files import write_phonopy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.model.force_field import ForceField

    Writer = Callable[[ForceField, Torus, Path], tuple[str, ...]]

FORMATS: dict[str, Writer] = {"phonopy": write_phonopy, "phono3py": write_phono3py}
"""Writers: each puts its files into an empty directory and returns their names, the main one last."""


def find_format(name: str) -> Writer:
    """Return the writer of a format.

    Raises
    ------
    UsageError
        If the name is unknown; with all names.
    """
    if name not in FORMATS:
        raise UsageError(f"format {name!r} is unknown", fix=f"use one of {', '.join(FORMATS)}")
    return FORMATS[name]
