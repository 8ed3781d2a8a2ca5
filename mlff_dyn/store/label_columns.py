"""Which columns and values of an extended XYZ frame are its labels.

Besides ``forces``, ``energy``, ``stress`` and ``virial``, names that say whose they are (``REF_forces``,
``dft_energy``, ``forces_qm``) are known; any other is named by the user.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ase import Atoms

QUANTITIES = ("forces", "energy", "stress", "virial")
_QUALIFIERS = {"ref", "reference", "dft", "qm", "target", "true", "label", "abinitio", "vasp", "qe", "pbe"}
_SYNONYMS = {
    "forces": {"force", "forces"},
    "energy": {"energy", "totalenergy", "potentialenergy"},
    "stress": {"stress"},
    "virial": {"virial", "virials"},
}
_SAME = 1e-6
_SAME_STRESS = 0.01
_VOIGT = [0, 4, 8, 5, 2, 1]


def parse_columns(text: str | None) -> dict[str, str]:
    """Read ``forces=REF_forces,energy=REF_energy``.

    Raises
    ------
    UsageError
        If it is something else.
    """
    columns: dict[str, str] = {}
    for part in (text or "").split(",") if text else ():
        quantity, _, name = (word.strip() for word in part.partition("="))
        if quantity not in QUANTITIES or not name or quantity in columns:
            raise UsageError(
                f"--columns {text!r}: {part.strip()!r} does not name a label",
                fix=f"write QUANTITY=NAME, separated by commas; quantities are {', '.join(QUANTITIES)}",
            )
        columns[quantity] = name
    return columns


def labels_of(atoms: Atoms, columns: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Labels of a frame by quantity, whatever their shapes; a virial that is no stress yet becomes one.

    Parameters
    ----------
    atoms : Atoms
    columns : mapping of str to str
        Names that the user gave, by quantity.

    Raises
    ------
    DataError
        If several columns could be meant, or one is no array of numbers.
    """
    found = {q: _value(atoms, q, columns) for q in QUANTITIES}
    labels = {q: value for q, value in found.items() if value is not None}
    for name in {"stress", "virial"} & set(labels):
        labels[name] = _voigt(name, labels[name])
    if "virial" in labels:
        stress = -labels.pop("virial") / abs(float(np.linalg.det(atoms.cell.array)))
        named = {"stress", "virial"} & set(columns)
        gap = np.abs(labels.get("stress", stress) - stress).max()
        if gap > _SAME_STRESS * np.abs(stress).max() and not named:
            raise DataError(
                "stress is not -virial / volume, as it should be",
                fix="say which is right: --columns stress=NAME or --columns virial=NAME",
            )
        if "stress" not in columns:
            labels["stress"] = stress
    return labels


def names_of(atoms: Atoms) -> list[str]:
    """Names of all columns and values of a frame that are not its structure."""
    results = {} if atoms.calc is None else atoms.calc.results
    return sorted((set(atoms.arrays) | set(atoms.info) | set(results)) - {"numbers", "positions"})


def _value(atoms: Atoms, quantity: str, columns: Mapping[str, str]) -> np.ndarray | None:
    """Value of a quantity; None where the frame has none."""
    values = _all_values(atoms, quantity)
    if quantity in columns:
        return _numbers(columns[quantity], values[columns[quantity]]) if columns[quantity] in values else None
    known = [name for name in values if _is_known(name, quantity)]
    if quantity == "energy" and not known and "free_energy" in values:
        known = ["free_energy"]
    if not known:
        return None
    arrays = [_numbers(name, values[name]) for name in known]
    for name, other in zip(known[1:], arrays[1:], strict=True):
        if other.size != arrays[0].size or not np.allclose(other.ravel(), arrays[0].ravel(), rtol=_SAME):
            raise DataError(
                f"{known[0]} and {name} both look like the {quantity} and differ",
                fix=f"say which it is: --columns {quantity}={known[0]} or --columns {quantity}={name}",
            )
    return arrays[0]


def _all_values(atoms: Atoms, quantity: str) -> dict[str, object]:
    """What may hold a quantity, the plain name first: columns of atoms for forces, else of the frame."""
    results = {} if atoms.calc is None else atoms.calc.results
    own = atoms.arrays if quantity == "forces" else atoms.info
    values: dict[str, object] = {**results, **own}
    return {name: values[name] for name in sorted(values, key=lambda name: (name not in results, name))}


def _is_known(name: str, quantity: str) -> bool:
    words = [word for word in re.split(r"[^a-z0-9]+", name.lower()) if word]
    return "".join(word for word in words if word not in _QUALIFIERS) in _SYNONYMS[quantity]


def _numbers(name: str, value: object) -> np.ndarray:
    try:
        return np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise DataError(
            f"{name} is not made of numbers", fix="write numbers, or name another column with --columns"
        ) from None


def _voigt(name: str, value: np.ndarray) -> np.ndarray:
    """Six components xx, yy, zz, yz, xz, xy of a tensor that may be given with nine."""
    if value.size != len(_VOIGT):
        if value.size != 9:
            raise DataError(
                f"{name} has {value.size} numbers, not 6 or 9",
                fix="give xx, yy, zz, yz, xz, xy, or the nine of the tensor",
            )
        square = value.reshape(3, 3)
        value = (0.5 * (square + square.T)).ravel()[_VOIGT]
    return value.ravel()
