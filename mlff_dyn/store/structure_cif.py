"""Structures of CIF files: sites by the symmetry operations of the file, elements by name or not at all."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import spglib
from ase import Atoms
from ase.cell import Cell
from ase.data import atomic_masses, atomic_numbers
from ase.io.cif import CIFBlock, parse_cif_ase
from ase.spacegroup.spacegroup import parse_sitesym

from mlff_dyn.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from numpy.typing import NDArray

SAME_SITE_ANGSTROM = 0.1
"""Images of a site closer than this are one atom on a special position, up to rounding of its coordinates."""

OCCUPANCY_TOLERANCE = 0.005
FORMULA_TOLERANCE = 0.02
DEUTERIUM_MASS_AMU = 2.01410178

_OPERATIONS = (
    "_space_group_symop_operation_xyz",
    "_space_group_symop.operation_xyz",
    "_symmetry_equiv_pos_as_xyz",
)
_FRACTIONAL, _CARTESIAN = "_atom_site_fract", "_atom_site_cartn"
_GROUP_NAMES = ("_space_group_name_h-m_alt", "_symmetry_space_group_name_h-m")
_TYPE = re.compile(r"([A-Za-z]{1,2})(\d*\.?\d*[+-]|[+-]\d*\.?\d*|\d*)")
_LETTERS = re.compile(r"[A-Za-z]+")
_HYDROGENS = re.compile(r"O-?[HD](?![a-z])|[HD]2O|N[HD]\d|Wat")
_MIXED = re.compile(r"[,/+&|]\s*[\d.]*\s*[A-Z]")
_FORMULA_TERM = re.compile(r"([A-Z][a-z]?)\s*(\d+\.?\d*|\.\d+|)")
_SYMBOLS = {*atomic_numbers, "D"} - {"X"}


def read_cif(path: Path, file: BinaryIO) -> tuple[Atoms, list[str]]:
    """Read the last structure of a CIF file.

    The operations listed in the file count; its space group is looked up only where it lists none.

    Parameters
    ----------
    path : Path
        For messages.
    file : binary file

    Returns
    -------
    atoms : Atoms
        With masses where there is deuterium, which is read as hydrogen.
    warnings : list of str
        Where formula and contents disagree.

    Raises
    ------
    DataError
        If there is no structure, or a site is not one whole atom of a known element.
    """
    blocks = [block for block in parse_cif_ase(file) if _has_sites(block)]
    if not blocks:
        raise DataError(
            f"structure file {path} has no sites with coordinates",
            fix="give a CIF file with _atom_site_fract_x, _y and _z",
        )
    block = blocks[-1]
    rows = [i for i, flag in enumerate(_column(block, "_atom_site_calc_flag") or ()) if flag != "dum"]
    rows = rows or list(range(len(_column(block, f"{_coordinates(block)}_x"))))
    formula = _formula(block.get("_chemical_formula_sum"))
    elements = [_element(path, block, row, formula) for row in rows]
    may_lack_hydrogens = not {"H", "D"} & set(elements) and (not formula or {"H", "D"} & set(formula))
    for row, element in zip(rows, elements, strict=True):
        _check_occupancy(path, block, row, element)
        _check_hydrogens(path, block, row, by_name=bool(may_lack_hydrogens))
    cell = _cell(block)
    axes = [np.array(_column(block, f"{_coordinates(block)}_{axis}"), object)[rows] for axis in "xyz"]
    try:
        coordinates = np.stack(axes, axis=1).astype(float)
    except ValueError as error:
        raise DataError(
            f"structure file {path} has a site without coordinates ({error})",
            fix="give a structure with all its atoms",
        ) from error
    if _coordinates(block) != _FRACTIONAL:
        coordinates = cell.scaled_positions(coordinates)
    sites, positions = _expand(coordinates, _operations(block), cell.array, elements)
    named = [elements[site] for site in sites]
    numbers = [1 if name == "D" else atomic_numbers[name] for name in named]
    atoms = Atoms(numbers=numbers, scaled_positions=positions, cell=cell, pbc=True)
    if "D" in named:
        heavy = [DEUTERIUM_MASS_AMU if name == "D" else atomic_masses[atomic_numbers[name]] for name in named]
        atoms.set_masses(heavy)
    return atoms, _disagreements(Counter(named), formula, block)


def _has_sites(block: CIFBlock) -> bool:
    """Tell a block with a site that has a name and a coordinate; some have a row of question marks."""
    name = f"{_coordinates(block)}_x"
    return any(
        _entry(block, name, row)
        and (_entry(block, "_atom_site_type_symbol", row) or _entry(block, "_atom_site_label", row))
        for row in range(len(_column(block, name)))
    )


def _coordinates(block: CIFBlock) -> str:
    """Columns of the coordinates, without their axis."""
    has_cartesian_only = f"{_FRACTIONAL}_x" not in block and f"{_CARTESIAN}_x" in block
    return _CARTESIAN if has_cartesian_only else _FRACTIONAL


def _cell(block: CIFBlock) -> Cell:
    """Cell vectors; a value may stand in a loop of its own."""
    columns = [_column(block, tag) for tag in block.cell_tags]
    return Cell.new([float(column[0]) for column in columns] if all(columns) else [0.0, 0.0, 0.0])


def _column(block: CIFBlock, name: str) -> list[Any]:
    value = block.get(name)
    return value if isinstance(value, list) else [] if value is None else [value]


def _entry(block: CIFBlock, name: str, row: int) -> str:
    column = _column(block, name)
    text = str(column[row]).strip() if row < len(column) else "?"
    return "" if text in ("?", ".") else text


def _element(path: Path, block: CIFBlock, row: int, formula: Mapping[str, float]) -> str:
    """Element of a site from its type symbol, otherwise from its label with the help of the formula."""
    symbol, label = (_entry(block, f"_atom_site_{name}", row) for name in ("type_symbol", "label"))
    text = symbol or label
    found = _TYPE.fullmatch(symbol)
    if found and found[1].capitalize() in _SYMBOLS:
        element = found[1].capitalize()
        if element == found[1] or element in formula or not formula:
            return element
    letters = _LETTERS.match(text)
    candidates: set[str] = set()
    if letters and not _MIXED.search(text):
        candidates = _named_by(letters[0], formula)
    if len(candidates) != 1:
        raise DataError(
            f"structure file {path}: site {label or row + 1} does not say which one element is there "
            f"({text or 'no symbol'!r})",
            fix="give an ordered structure with one element per site in _atom_site_type_symbol",
        )
    return candidates.pop()


def _named_by(letters: str, formula: Mapping[str, float]) -> set[str]:
    """Elements that the letters of a label may mean: itself, or the first one or two with a suffix."""
    if letters in _SYMBOLS:
        return {letters}
    pair, rest = letters[:2], letters[2:]
    if pair in _SYMBOLS and (rest.istitle() and len(rest) == 2 and rest in _SYMBOLS):
        return set()
    if pair in _SYMBOLS and pair.istitle():
        return {pair}
    candidates = {letters[0], pair.capitalize() if pair.isupper() else ""} & _SYMBOLS
    return candidates & set(formula) if formula or not letters.isupper() else candidates


def _check_occupancy(path: Path, block: CIFBlock, row: int, element: str) -> None:
    occupancy = _entry(block, "_atom_site_occupancy", row)
    if occupancy and abs(float(occupancy) - 1.0) > OCCUPANCY_TOLERANCE:
        name = _entry(block, "_atom_site_label", row) or element
        raise DataError(
            f"structure file {path} has partly occupied sites ({name}: {float(occupancy):g} {element})",
            fix="give an ordered structure",
        )


def _check_hydrogens(path: Path, block: CIFBlock, row: int, *, by_name: bool) -> None:
    attached = _entry(block, "_atom_site_attached_hydrogens", row)
    label = _entry(block, "_atom_site_label", row)
    group = by_name and _HYDROGENS.match(_entry(block, "_atom_site_type_symbol", row) or label)
    if group or (attached and float(attached) > 0):
        raise DataError(
            f"structure file {path} has hydrogen atoms without positions (attached to {label or row + 1})",
            fix="give a structure with all its atoms",
        )


def _operations(block: CIFBlock) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rotations (n, 3, 3) and translations (n, 3) in fractional coordinates."""
    listed = next((column for name in _OPERATIONS if (column := _column(block, name))), [])
    if listed:
        rotations, translations = parse_sitesym([str(each).replace(" ", "").lower() for each in listed])
        return np.array(rotations, float), np.array(translations, float)
    name = next((text for tag in _GROUP_NAMES if (text := _entry(block, tag, 0))), "")
    setting = _setting(name)
    if setting is not None:
        operations = spglib.get_symmetry_from_database(setting)
        return np.array(operations["rotations"], float), np.array(operations["translations"], float)
    pairs = block.get_spacegroup(subtrans_included=True).get_symop()
    return np.array([r for r, _ in pairs], float), np.array([t for _, t in pairs], float)


@cache
def _settings() -> dict[str, int]:
    """Hall numbers of spglib by Hermann-Mauguin symbols that name one setting only."""
    named: dict[str, list[int]] = {}
    for number in range(1, 531):
        kind = spglib.get_spacegroup_type(number)
        symbols = {part.strip() for part in kind.international.split("=")} | {kind.international_full}
        for symbol in symbols:
            named.setdefault(_plain(symbol), []).append(number)
    return {symbol: numbers[0] for symbol, numbers in named.items() if len(numbers) == 1}


def _setting(symbol: str) -> int | None:
    return _settings().get(_plain(symbol))


def _plain(symbol: str) -> str:
    return re.sub(r"[\s_]", "", symbol).lower()


def _expand(
    coordinates: NDArray[np.float64],
    operations: tuple[NDArray[np.float64], NDArray[np.float64]],
    lattice: NDArray[np.float64],
    elements: Sequence[str],
) -> tuple[list[int], NDArray[np.float64]]:
    """Site and fractional coordinates of every atom, averaged over images that coincide."""
    rotations, translations = operations
    sites: list[int] = []
    found: list[NDArray[np.float64]] = []
    for site, position in enumerate(coordinates):
        images = rotations @ position + translations
        while len(images):
            away = images - images[0]
            away -= np.rint(away)
            near = np.linalg.norm(away @ lattice, axis=1) < SAME_SITE_ANGSTROM
            mean = (images[0] + away[near].mean(axis=0)) % 1.0
            images = images[~near]
            listed = [old for s, old in zip(sites, found, strict=True) if elements[s] == elements[site]]
            apart = np.array(listed).reshape(-1, 3) - mean
            apart -= np.rint(apart)
            if not np.any(np.linalg.norm(apart @ lattice, axis=1) < SAME_SITE_ANGSTROM):
                sites.append(site)
                found.append(mean)
    return sites, np.array(found)


def _formula(text: object) -> dict[str, float]:
    """Amount of each element in a formula such as ``Nb0.8 Zr0.2``; empty if there is none."""
    amounts: dict[str, float] = {}
    for symbol, amount in _FORMULA_TERM.findall(text if isinstance(text, str) else ""):
        amounts[symbol] = amounts.get(symbol, 0.0) + float(amount or 1)
    return amounts if set(amounts) <= _SYMBOLS else {}


def _disagreements(contents: Counter[str], formula: Mapping[str, float], block: CIFBlock) -> list[str]:
    total, units = sum(contents.values()), sum(formula.values())
    if not units:
        return []
    fractions = [(contents[name] / total, formula.get(name, 0.0) / units) for name in {*contents, *formula}]
    shown = " ".join(f"{name}{n}" for name, n in contents.items())
    stated = " ".join(f"{name}{n:g}" for name, n in formula.items())
    if any(abs(got - said) > FORMULA_TOLERANCE * max(got, said) for got, said in fractions):
        return [f"its sites make {shown}, its formula says {stated}: atoms are missing or wrong"]
    count = _column(block, "_cell_formula_units_z")
    expected = (
        {round(units), round(units * count[0])} if count and isinstance(count[0], int | float) else {total}
    )
    if total not in expected:
        return [
            f"its sites make {shown}, its formula says {count[0]:g} of {stated}: atoms are missing or doubled"
        ]
    return []
