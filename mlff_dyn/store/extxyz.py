"""Text of extended XYZ frames in full precision.

ASE writes 8 decimals; here every double is written with as many digits as it takes to read back the same
bits. Info values that ASE's reader would take for something else (the string "0001", a list of one number)
are written as JSON.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.data import chemical_symbols
from ase.io.extxyz import key_val_str_to_dict, per_config_properties

from mlff_dyn.errors import DataError
from mlff_dyn.store.json_file import to_plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

RESERVED_KEYS = frozenset({"Lattice", "Properties", "pbc", "virial", *per_config_properties})
"""Names that an info value cannot have: the reader gives them a meaning of their own."""


def format_frame(
    numbers: np.ndarray,
    cell: np.ndarray,
    columns: Mapping[str, np.ndarray],
    *,
    energy_ev: float | None = None,
    stress_ev_per_angstrom3: np.ndarray | None = None,
    info: Mapping[str, Any] | None = None,
    periodic: Sequence[bool] = (True, True, True),
) -> str:
    """Format one periodic frame.

    Parameters
    ----------
    numbers : ndarray, shape (n_atoms,)
        Atomic numbers.
    cell : ndarray, shape (3, 3), Å
        Cell vectors as rows.
    columns : mapping of str to ndarray, shape (n_atoms,) or (n_atoms, k)
        Per-atom numbers by ASE column name; ``pos`` comes first.
    energy_ev : float, optional
    stress_ev_per_angstrom3 : ndarray, shape (6,), optional
        Voigt order xx, yy, zz, yz, xz, xy.
    info : mapping, optional
        Further values of the frame.
    periodic : sequence of 3 bool
        False along vectors with vacuum.

    Raises
    ------
    DataError
        If an info value has a reserved name or cannot be stored.
    """
    tables = {name: np.asarray(values).reshape(len(numbers), -1) for name, values in columns.items()}
    properties = "species:S:1" + "".join(f":{name}:R:{table.shape[1]}" for name, table in tables.items())
    header = [f'Lattice="{_join(cell)}"', f"Properties={properties}"]
    if energy_ev is not None:
        header.append(f"energy={float(energy_ev)!r}")
    if stress_ev_per_angstrom3 is not None:
        header.append(f'stress="{_join(np.asarray(stress_ev_per_angstrom3)[[0, 5, 4, 5, 1, 3, 4, 3, 2]])}"')
    header += [format_info(key, value) for key, value in (info or {}).items()]
    header.append(f'pbc="{" ".join("FT"[bool(each)] for each in periodic)}"')
    lines = [str(len(numbers)), " ".join(header)]
    rows = np.hstack(list(tables.values())).astype(float).tolist()
    for number, row in zip(np.asarray(numbers).tolist(), rows, strict=True):
        lines.append(f"{chemical_symbols[number]:<2s} " + " ".join(f"{value!r:>24s}" for value in row))
    return "\n".join(lines) + "\n"


def format_info(key: str, value: object) -> str:
    """Format ``key=value`` so that ASE's reader returns an equal value.

    Raises
    ------
    DataError
        If the key has a meaning of its own in the file, or no text gives the value back.
    """
    value = to_plain(value)
    if key in RESERVED_KEYS:
        raise DataError(f"info key {key!r} is reserved in extended XYZ files", fix="use another name")
    for text in (_plain_text(value), "_JSON " + json.dumps(value)):
        if text is None or "\n" in text:
            continue
        entry = f"{key}={_quote(text)}"
        if _reads_back(entry, key, value):
            return entry
    raise DataError(
        f"info key {key!r} with value {value!r} cannot be stored in an extended XYZ file",
        fix="use finite numbers and texts without line breaks",
    )


def _plain_text(value: object) -> str | None:
    """Return the readable form of a scalar or a flat list of numbers, None for anything else."""
    if isinstance(value, bool):
        return "T" if value else "F"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(type(item) in (int, float) for item in value):
        return " ".join(repr(item) for item in value)
    return None


def _reads_back(entry: str, key: str, value: object) -> bool:
    try:
        parsed = to_plain(key_val_str_to_dict(entry))
    except ValueError:
        return False
    return json.dumps(parsed) == json.dumps({key: value})


def _quote(text: str) -> str:
    if text and not any(character in text for character in " \t\"'{}[]=\\,"):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _join(values: np.ndarray) -> str:
    return " ".join(repr(value) for value in np.asarray(values, dtype=float).ravel().tolist())
