"""YAML files of other programs: text that is looked through before anything is built from it."""

from __future__ import annotations

import zlib
from lzma import LZMAError
from typing import TYPE_CHECKING

import yaml
from phonopy.file_IO import get_io_module_to_decompress

from mlff_dyn.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

_PLAIN_TAGS = "tag:yaml.org,2002:"
_CODE_TAGS = f"{_PLAIN_TAGS}python"


def read_plain_yaml(path: Path) -> str:
    """Text of a YAML file without tags that make a loader run code; may be compressed (xz, gzip, bz2).

    Raises
    ------
    DataError
        If the file cannot be read, is no text or no YAML, or has a tag that is not one of plain values.
    """
    try:
        with get_io_module_to_decompress(path).open(path, "rb") as file:
            text = str(file.read(), encoding="utf-8")
    except (OSError, EOFError, UnicodeDecodeError, LZMAError, zlib.error) as error:
        reason = "it is not text" if isinstance(error, UnicodeDecodeError) else str(error)
        reason = getattr(error, "strerror", None) or reason
        raise DataError(
            f"cannot read {path}: {reason}", fix="name a readable YAML file in training.prior"
        ) from None
    check_plain(path, text)
    return text


def check_plain(path: object, text: str) -> None:
    """Refuse the text of a YAML file with tags that are not those of plain values.

    Raises
    ------
    DataError
        If there is such a tag, or the text is no YAML.
    """
    if "!" not in text:
        return
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        for event in yaml.parse(text, Loader=loader):
            tag = getattr(event, "tag", None)
            if tag and (not tag.startswith(_PLAIN_TAGS) or tag.startswith(_CODE_TAGS)):
                line = 0 if event.start_mark is None else event.start_mark.line
                raise DataError(
                    f"{path}, line {line + 1}: the tag {tag!r} can run code and is not read",
                    fix="use a file as phonopy writes it",
                )
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path} is not YAML: {reason}", fix="write it again") from None
