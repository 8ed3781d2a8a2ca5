"""Files with labelled structures in folders, archives and patterns."""

from __future__ import annotations

import re
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING

from mlff_dyn.errors import DataError
from mlff_dyn.formats.label_files.phonopy_sets import yaml_of_forces
from mlff_dyn.formats.label_files.registry import LABEL_FORMATS, label_format, unknown_file
from mlff_dyn.store.calculated_steps import RefusedStep
from mlff_dyn.store.source import Source, is_archive

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mlff_dyn.store.calculated_steps import LabelFormat

_PATTERN = re.compile(r"[*?\[]")
_DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True)
class LabelFile:
    """A file with labelled structures, and its kind.

    Attributes
    ----------
    source : Source
    format : LabelFormat
    is_named : bool
        Whether the user named it, not a folder, an archive or a pattern.
    """

    source: Source
    format: LabelFormat
    is_named: bool

    @property
    def on_disk(self) -> tuple[Path, ...]:
        """All that is read with it."""
        return tuple(each.path for each in (self.source, *self.format.beside(self.source)))


def find_label_files(paths: Sequence[Path]) -> tuple[tuple[LabelFile, ...], tuple[RefusedStep, ...]]:
    """Find the files that are meant.

    Parameters
    ----------
    paths : sequence of Path
        Files, folders (with all in them, but what is hidden), tar archives and members of them
        (``old.tar.xz/disp-1/vasprun.xml``), and patterns (``runs/*/OUTCAR``).

    Returns
    -------
    files : tuple of LabelFile
        In the order of the paths; of a folder, an archive or a pattern by name, numbers in it by their
        value. None is there twice.
    refused : tuple of RefusedStep
        Files that were found and cannot be opened.

    Raises
    ------
    DataError
        If a path does not exist, or there is no file with labelled structures.
    """
    found: dict[Source, LabelFile] = {}
    refused: list[RefusedStep] = []
    for path in paths:
        before = len(found)
        for each in _files_of(path, refused):
            found.setdefault(each.source, each)
        if len(found) == before and not refused and not any(_is_below(each.path, path) for each in found):
            names = ", ".join(each.name for each in LABEL_FORMATS)
            raise DataError(
                f"there is no file with labelled structures in {path}", fix=f"looked for: {names}"
            )
    return tuple(found.values()), tuple(refused)


def natural_order(name: object) -> list[tuple[int, str]]:
    """Key that sorts numbers in names by their value.

    Examples
    --------
    >>> sorted(["disp-10", "disp-9", "a"], key=natural_order)
    ['a', 'disp-9', 'disp-10']
    """
    parts = _DIGITS.split(str(name))
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts if part]


def _is_below(path: Path, folder: Path) -> bool:
    return path == folder or folder in path.parents


def _files_of(path: Path, refused: list[RefusedStep]) -> Iterator[LabelFile]:
    if path.is_dir():
        inside = (each for each in path.rglob("*") if not _is_hidden(each.relative_to(path)))
        yield from _recognized(sorted(inside, key=natural_order), refused)
    elif path.exists():
        yield from _named(path, refused)
    elif member := _member(path):
        yield _known(member, is_named=True)
    elif matches := sorted(glob(str(path), recursive=True), key=natural_order):  # noqa: PTH207 (may be absolute)
        for each in map(Path, matches):
            yield from _files_of(each, refused) if each.is_dir() else _recognized([each], refused)
    elif _PATTERN.search(str(path)):
        raise DataError(f"no file matches {path}", fix="check the pattern")
    else:
        raise DataError(f"dataset {path} does not exist", fix="give the path of an existing dataset")


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _named(path: Path, refused: list[RefusedStep]) -> Iterator[LabelFile]:
    if is_archive(path):
        yield from _recognized([path], refused)
    else:
        yield _known(Source(path), is_named=True)


def _known(source: Source, *, is_named: bool) -> LabelFile:
    found = yaml_of_forces(source) or source
    kind = label_format(found)
    if kind is None:
        raise unknown_file(source)
    return LabelFile(found, kind, is_named=is_named)


def _member(path: Path) -> Source | None:
    """Member of an archive that is one of the parents of a path."""
    for parent in path.parents:
        if parent.is_file() and is_archive(parent):
            return Source(parent, path.relative_to(parent).as_posix())
    return None


def _recognized(paths: Sequence[Path], refused: list[RefusedStep]) -> Iterator[LabelFile]:
    """Those of files, and of the members of archives, that are of a known kind."""
    for path in paths:
        if not path.is_file():
            continue
        try:
            sources = Source(path).members() if is_archive(path) else (Source(path),)
            for each in sorted(sources, key=natural_order):
                kind = label_format(each)
                if kind is not None:
                    yield LabelFile(each, kind, is_named=False)
        except DataError as error:
            refused.append(RefusedStep(Source(path), None, _reason(error, path), error.fix))


def _reason(error: DataError, path: Path) -> str:
    return error.message.removeprefix(f"{path}: ")
