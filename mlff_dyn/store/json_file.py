"""JSON files with a format name, a version and a digest of their content, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from mlff_dyn.errors import DataError
from mlff_dyn.store.atomic import atomic_write_text, reading_fix

if TYPE_CHECKING:
    from pathlib import Path

    from _typeshed import DataclassInstance

_SEAL = "content"
_TYPES: dict[str, tuple[str, tuple[type, ...]]] = {
    "str": ("a text", (str,)),
    "int": ("an integer", (int,)),
    "float": ("a number", (int, float)),
}


def write_json(path: Path, content: Mapping[str, Any], *, format_name: str, version: int) -> None:
    """Write a JSON object that opens with its format name and version and ends with its digest.

    Doubles are written so that reading gives back the same bits.

    Parameters
    ----------
    path : Path
    content : mapping
        Plain values, numpy scalars, arrays.
    format_name, version : str, int
        What ``read_json`` will ask for.

    Raises
    ------
    DataError
        If a number is not finite, or the file cannot be written.
    """
    document = {
        "format": format_name,
        "version": version,
        **sealed(content),
    }
    try:
        text = json.dumps(document, indent=1, allow_nan=False)
    except ValueError as error:
        raise DataError(f"cannot write {path}: {error}", fix="give finite numbers") from error
    atomic_write_text(path, text + "\n")


def read_json(path: Path, *, format_name: str, version: int) -> dict[str, Any]:
    """Read a file of ``write_json``.

    Parameters
    ----------
    path : Path
    format_name, version : str, int
        Wanted format name, and the newest version that the caller understands.

    Returns
    -------
    dict
        The content without format, version and digest; files of before have no digest.

    Raises
    ------
    DataError
        If the file is missing, damaged, of another format, or newer than this program.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}", fix=reading_fix(error)) from error
    except ValueError as error:
        raise DataError(f"{path} is damaged: not JSON ({error})", fix="remove the file") from error
    if not isinstance(document, dict) or document.get("format") != format_name:
        found = document.get("format") if isinstance(document, dict) else None
        raise DataError(
            f"{path} has format {found!r}, expected {format_name!r}", fix="remove or rename the file"
        )
    found_version = document.get("version")
    if not isinstance(found_version, int) or found_version > version:
        raise DataError(
            f"{path} has version {found_version!r} of {format_name!r}, this program reads up to {version}",
            fix="use a newer mlff-dyn",
        )
    content = unsealed({key: value for key, value in document.items() if key not in ("format", "version")})
    if content is None:
        raise DataError(f"{path} is damaged: its contents do not have its digest", fix="remove the file")
    return content


def digest(content: object) -> str:
    """Short name of plain content: equal content, equal name."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return content as plain Python, and its digest with it."""
    plain = {str(key): to_plain(value) for key, value in content.items()}
    return {**plain, _SEAL: digest(plain)}


def unsealed(content: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return content of `sealed` without its digest; None if it is of other content.

    What has no digest is returned as it is.
    """
    plain = {key: value for key, value in content.items() if key != _SEAL}
    return plain if content.get(_SEAL, digest(plain)) == digest(plain) else None


def to_plain(value: object) -> object:
    """Return ``value`` as plain Python: dict, list, str, float, int, bool or None.

    Numpy arrays become nested lists, paths and other objects strings.
    """
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (np.ndarray, np.generic)):
        return to_plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    return str(value)


def check_plain_fields(record: DataclassInstance) -> None:
    """Check the fields of a record from a file that are annotated as ``str``, ``int``, ``float`` or None.

    Raises
    ------
    DataError
        If one has another type, or is not finite.
    """
    for item in fields(record):
        value = getattr(record, item.name)
        name, types = _TYPES.get(str(item.type).removesuffix(" | None"), ("", ()))
        if value is None or not types:
            continue
        if isinstance(value, bool) or not isinstance(value, types) or finite_or_null(value) is None:
            raise DataError(f"{item.name} is {value!r}, expected {name}", fix="correct, rename or remove it")


def finite_or_null(value: object) -> object:
    """Return plain ``value`` with None in the place of every number that JSON cannot hold."""
    if isinstance(value, dict):
        return {key: finite_or_null(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finite_or_null(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
