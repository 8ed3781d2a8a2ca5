"""Kinds of files with labelled structures: the first one that recognizes a file reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlff_dyn.engines.espresso.pw_text import PW_TEXT
from mlff_dyn.engines.espresso.pw_xml import PW_XML
from mlff_dyn.engines.vasp.ml_ab import ML_AB
from mlff_dyn.engines.vasp.outcar import OUTCAR
from mlff_dyn.engines.vasp.vaspout import VASPOUT_H5
from mlff_dyn.engines.vasp.vasprun import VASPRUN
from mlff_dyn.errors import DataError
from mlff_dyn.formats.label_files.aims import AIMS
from mlff_dyn.formats.label_files.alamode import DFSET
from mlff_dyn.formats.label_files.cp2k import CP2K
from mlff_dyn.formats.label_files.extxyz_frames import EXTXYZ
from mlff_dyn.formats.label_files.phonopy_sets import PHONOPY
from mlff_dyn.formats.label_files.tdep import TDEP

if TYPE_CHECKING:
    from mlff_dyn.store.calculated_steps import LabelFormat
    from mlff_dyn.store.source import Source

LABEL_FORMATS: tuple[LabelFormat, ...] = (
    VASPRUN,
    VASPOUT_H5,
    OUTCAR,
    ML_AB,
    PW_XML,
    PW_TEXT,
    AIMS,
    CP2K,
    PHONOPY,
    DFSET,
    TDEP,
    EXTXYZ,
)
"""Kinds of files, those that say most about a calculation first."""


def label_format(source: Source) -> LabelFormat | None:
    """Kind of a file; None where it is of none."""
    head = source.head()
    return next((each for each in LABEL_FORMATS if each.recognizes(source, head)), None)


def unknown_file(source: object) -> DataError:
    """Return the error about a file of no kind, with the kinds that there are."""
    names = ", ".join(each.name for each in LABEL_FORMATS)
    return DataError(
        f"{source} is no file with labelled structures that is known", fix=f"give one of: {names}"
    )
