"""What ASE would take for granted in the text of a structure file: that it names its elements, and how."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ase.data import atomic_masses, atomic_numbers
from ase.formula import Formula
from ase.io import ParseError
from ase.io.espresso import label_to_symbol
from ase.io.vasp import atomtypes_outpot

from mlff_dyn.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_NUMBER_D = re.compile(r"(?<![\w.])([+-]?(?:\d+\.?\d*|\.\d+))[dD]([+-]?\d+)(?![\w.])")
_PW_SPECIES = re.compile(
    r"^\s*atomic_species[^\n]*\n((?:\s*[A-Za-z]\S*\s+[\d.]\S*\s+\S+[^\n]*\n?)+)", re.IGNORECASE | re.MULTILINE
)
_ELEMENTS_OF_TYPES = {
    "lammps-dump-text": "write the elements with it: dump custom ... element x y z, dump_modify element B As",
    "lammps-dump-binary": "give a text dump with a column element",
    "lammps-data": "add a section Masses or Atom Type Labels, or convert the file to extxyz",
    "xyz": "replace the numbers by chemical symbols",
}


def without_fortran_exponents(text: str) -> str:
    """Write numbers such as ``2.39d0`` as ``2.39e0``."""
    return _NUMBER_D.sub(r"\1e\2", text)


def checked_text(path: Path, kind: str, text: str) -> tuple[str, list[str]]:
    """Refuse a file whose atoms have types instead of elements; name the species of an old POSCAR.

    Parameters
    ----------
    path : Path
    kind : str
        Format by the name of ASE.
    text : str

    Returns
    -------
    text : str
        What ASE is to read.
    warnings : list of str

    Raises
    ------
    DataError
        If the file does not name the elements.
    """
    check = _CHECKS.get(kind)
    return (text, []) if check is None else check(path, text)


def pw_masses(text: str) -> dict[str, float]:
    """Masses in an input of pw.x by element, amu, but for those that no isotope comes near."""
    card = _PW_SPECIES.search(text)
    masses: dict[str, float] = {}
    for line in card[1].splitlines() if card else ():
        label, mass = without_fortran_exponents(line).split()[:2]
        symbol = label_to_symbol(label)
        natural = atomic_masses[atomic_numbers[symbol]]
        heaviest = 3.1 if symbol == "H" else 1.15 * natural
        if 0.85 * natural < float(mass) < heaviest:
            masses[symbol] = float(mass)
    return masses


def _poscar(path: Path, text: str) -> tuple[str, list[str]]:
    """Put the species above the counts, where VASP 4 left them to the comment or to POTCAR."""
    lines = text.splitlines()
    counts = lines[5].split("!")[0].split() if len(lines) > 5 else []
    if not counts or not all(word.isdigit() for word in counts):
        return text, []
    species = _species_of_comment(lines[0], [int(word) for word in counts])
    source = f"its first line {lines[0].strip()!r}"
    if species is None:
        try:
            species, source = atomtypes_outpot(str(path), len(counts)), "POTCAR or OUTCAR beside it"
        except (ParseError, OSError, ValueError, IndexError):
            raise DataError(
                f"structure file {path} does not name its elements (its first line {lines[0].strip()!r} is "
                "a comment)",
                fix="add a line with the chemical symbols above the line with the numbers of atoms",
            ) from None
    named = " ".join(f"{symbol}{count}" for symbol, count in zip(species, counts, strict=True))
    lines.insert(5, " ".join(species))
    return "\n".join(lines) + "\n", [f"it names no species; {named} is taken from {source}"]


def _species_of_comment(comment: str, counts: list[int]) -> list[str] | None:
    """Species in a comment that consists of them: one symbol per count, or a formula with these amounts."""
    words = [word.split("_")[0] for word in comment.split()]
    if len(words) == len(counts) and all(word in atomic_numbers for word in words):
        return words
    try:
        amounts = Formula(comment.replace(" ", "")).count()
    except ValueError:
        return None
    total = sum(amounts.values())
    matches = [number * total for number in counts] == [amount * sum(counts) for amount in amounts.values()]
    return list(amounts) if matches else None


def _lammps_dump(path: Path, text: str) -> tuple[str, list[str]]:
    columns = re.search(r"^ITEM: ATOMS(.*)$", text, re.MULTILINE)
    if columns is None or not {"element", "mass"} & set(columns[1].split()):
        raise _types_only(path, "lammps-dump-text")
    return text, []


def _lammps_data(path: Path, text: str) -> tuple[str, list[str]]:
    labels = re.search(r"^\s*Atom Type Labels[^\n]*\n\s*\n((?:\s*\d+\s+\S+[^\n]*\n?)+)", text, re.MULTILINE)
    if labels and all(line.split()[1] in atomic_numbers for line in labels[1].splitlines() if line.strip()):
        return text, []
    masses = re.search(r"^\s*Masses[^\n]*\n\s*\n((?:\s*\d+\s+\S+[^\n]*\n?)+)", text, re.MULTILINE)
    if masses is None or {float(line.split()[1]) for line in masses[1].splitlines() if line.strip()} == {1.0}:
        raise _types_only(path, "lammps-data")
    return text, []


def _xyz(path: Path, text: str) -> tuple[str, list[str]]:
    lines = text.splitlines()
    count = int(lines[0]) if lines and lines[0].strip().isdigit() else 0
    first = {line.split()[0] for line in lines[2 : 2 + count] if line.split()}
    if first and all(word.isdigit() for word in first) and "Properties=" not in lines[1]:
        raise _types_only(path, "xyz")
    return text, []


def _binary_dump(path: Path, _text: str) -> tuple[str, list[str]]:
    raise _types_only(path, "lammps-dump-binary")


def _types_only(path: Path, kind: str) -> DataError:
    return DataError(
        f"structure file {path} has numbers of atom types, which name no chemical elements",
        fix=_ELEMENTS_OF_TYPES[kind],
    )


_CHECKS: dict[str, Callable[[Path, str], tuple[str, list[str]]]] = {
    "vasp": _poscar,
    "lammps-dump-text": _lammps_dump,
    "lammps-dump-binary": _binary_dump,
    "lammps-data": _lammps_data,
    "xyz": _xyz,
    "extxyz": _xyz,
}
CHECKED_FORMATS = frozenset(_CHECKS)
