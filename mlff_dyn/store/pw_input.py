"""Input files of pw.x: namelists, cards, and the structure that they describe, whatever the lattice."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from ase.io.espresso import infix_float, label_to_symbol

from mlff_dyn.errors import DataError, located
from mlff_dyn.store.pw_lattice import celldm_of, lattice_of
from mlff_dyn.units import BOHR_ANGSTROM

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Value = bool | int | float | str

_CARDS = (
    "ATOMIC_SPECIES",
    "ATOMIC_POSITIONS",
    "K_POINTS",
    "ADDITIONAL_K_POINTS",
    "CELL_PARAMETERS",
    "CONSTRAINTS",
    "OCCUPATIONS",
    "ATOMIC_VELOCITIES",
    "ATOMIC_FORCES",
    "SOLVENTS",
    "HUBBARD",
)
_TOKEN = re.compile(
    r"(?P<text>'(?:[^']|'')*'|\"[^\"]*\")|(?P<comment>[!#][^\n]*)|(?P<end>/)"
    r"|(?P<key>[A-Za-z_]\w*)\s*(?P<index>\([\s\d,]+\))?\s*=|(?P<value>[^\s,/!='\"]+)|[\s,='\"]"
)
_NAMELIST = re.compile(r"&\s*(\w+)")
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][-+]?\d+)?")
_LOGICAL = re.compile(r"\.?([tf])\w*\.?", re.IGNORECASE)


@dataclass(frozen=True)
class Card:
    """A card of an input.

    Attributes
    ----------
    option : str
        First word after its name, in lower case; may be empty.
    rows : tuple of tuple of str
        Words of each line.
    """

    option: str
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class PwInput:
    """What an input of pw.x says.

    Attributes
    ----------
    namelists : mapping
        By name, then by key, all in lower case; indexed keys like ``celldm(1)``.
    cards : mapping of str to Card
        By name in upper case.
    """

    namelists: Mapping[str, Mapping[str, Value]]
    cards: Mapping[str, Card] = field(default_factory=dict)

    @property
    def system(self) -> Mapping[str, Value]:
        """Namelist &system."""
        return self.namelists.get("system", {})

    @property
    def species(self) -> dict[str, str]:
        """File of the pseudopotential of each label, in their order."""
        return {row[0]: row[2] for row in self._rows("ATOMIC_SPECIES", self.system.get("ntyp"), 3)}

    def _rows(self, name: str, count: Value | None, width: int) -> tuple[tuple[str, ...], ...]:
        card = self.cards.get(name)
        if card is None:
            raise DataError(f"there is no card {name}", fix="give a complete input of pw.x")
        rows = card.rows[: count if isinstance(count, int) else len(card.rows)]
        if (isinstance(count, int) and len(rows) != count) or any(len(row) < width for row in rows):
            raise DataError(f"card {name} is cut: {len(rows)} of {count} lines", fix="complete it")
        return rows

    def cell(self) -> tuple[np.ndarray, float]:
        """Cell vectors as rows, Å, shape (3, 3), and the lattice parameter, Å.

        Raises
        ------
        DataError
            If they are missing or contradict each other.
        """
        ibrav = self.system.get("ibrav")
        if not isinstance(ibrav, int):
            raise DataError("&system has no ibrav", fix="write ibrav = 0 with CELL_PARAMETERS, or a lattice")
        celldm = celldm_of(ibrav, self.system)
        if ibrav:
            if celldm is None:
                raise DataError(f"ibrav = {ibrav} needs celldm(1) or A", fix="complete namelist &system")
            return lattice_of(ibrav, celldm), celldm[0] * BOHR_ANGSTROM
        rows = np.array([[_evaluated(x) for x in row[:3]] for row in self._rows("CELL_PARAMETERS", 3, 3)])
        option = self.cards["CELL_PARAMETERS"].option
        alat = celldm[0] * BOHR_ANGSTROM if celldm and celldm[0] else 0.0
        unit = {"bohr": BOHR_ANGSTROM, "angstrom": 1.0, "alat": alat}.get(option, alat or BOHR_ANGSTROM)
        if not unit:
            raise DataError("CELL_PARAMETERS alat needs celldm(1) or A", fix="complete namelist &system")
        return unit * rows, alat or float(np.linalg.norm(unit * rows[0]))

    def atoms(self) -> tuple[Atoms, list[str]]:
        """Structure, and the label of each of its atoms.

        Raises
        ------
        DataError
            If cell or positions cannot be read.
        """
        cell, alat = self.cell()
        rows = self._rows("ATOMIC_POSITIONS", self.system.get("nat"), 4)
        option = self.cards["ATOMIC_POSITIONS"].option or "alat"
        units = {"alat": alat, "bohr": BOHR_ANGSTROM, "angstrom": 1.0, "crystal": 1.0}
        if option not in units:
            raise DataError(
                f"ATOMIC_POSITIONS {option} cannot be read",
                fix="write all atoms with crystal; pw.x prints them at the beginning of its output",
            )
        values = np.array([[_evaluated(x) for x in row[1:4]] for row in rows])
        positions = values @ cell if option == "crystal" else units[option] * values
        labels = [row[0] for row in rows]
        return Atoms([symbol_of(label) for label in labels], positions=positions, cell=cell, pbc=True), labels


def symbol_of(label: str) -> str:
    """Chemical symbol of a label such as Fe1.

    Raises
    ------
    DataError
        If it begins with none.
    """
    try:
        symbol = str(label_to_symbol(label))
    except KeyError:
        symbol = ""
    if not atomic_numbers.get(symbol):
        raise DataError(f"species {label} does not begin with a chemical symbol", fix="rename it, like Fe1")
    return symbol


def read_pw_input(path: Path) -> PwInput:
    """Read an input file.

    Raises
    ------
    DataError
        If a namelist is not closed or a value has no key; the message has the file.
    """
    with located(f"structure file {path}"):
        return parse_pw_input(path.read_text(encoding="utf-8", errors="replace"))


def parse_pw_input(text: str) -> PwInput:
    """Read the text of an input; see `read_pw_input`."""
    namelists: dict[str, dict[str, Value]] = {}
    place = 0
    while (begin := _NAMELIST.search(text, place)) is not None:
        if text.rfind("\n", 0, begin.start()) < text.rfind("!", 0, begin.start()):
            place = begin.end()
            continue
        values, place = _namelist(text, begin.end(), begin[1])
        namelists.setdefault(begin[1].lower(), {}).update(values)
    return PwInput(namelists, _cards(text[place:]))


def _namelist(text: str, place: int, name: str) -> tuple[dict[str, Value], int]:
    values: dict[str, Value] = {}
    key, index = "", 0
    while place < len(text):
        token = _TOKEN.match(text, place)
        if token is None:
            break
        place = token.end()
        if token["end"]:
            return values, place
        if token["key"]:
            key = token["key"].lower() + re.sub(r"\s", "", token["index"] or "")
            index = 0
        elif token["text"] or token["value"]:
            if not key:
                raise DataError(f"&{name}: {token[0]!r} stands without a key", fix="write key = value")
            values[key if index == 0 else _indexed(key, index)] = _value(token)
            if index == 1:
                values[_indexed(key, 0)] = values.pop(key)
            index += 1
    raise DataError(f"namelist &{name} does not end with /", fix="complete the input")


def _indexed(key: str, offset: int) -> str:
    """Key of the next of several values: a list is given to key(1), key(2), ..."""
    bare, _, given = key.partition("(")
    first = int(given.rstrip(")").split(",")[0]) if given else 1
    return f"{bare}({first + offset})"


def _value(token: re.Match[str]) -> Value:
    if token["text"]:
        return token["text"][1:-1].strip()
    word = token["value"]
    if _NUMBER.fullmatch(word):
        number = float(word.lower().replace("d", "e"))
        return int(word) if re.fullmatch(r"[-+]?\d+", word) else number
    logical = _LOGICAL.fullmatch(word)
    return word if logical is None else logical[1].lower() == "t"


def _cards(text: str) -> dict[str, Card]:
    cards: dict[str, Card] = {}
    name, option = "", ""
    rows: list[tuple[str, ...]] = []
    for line in text.splitlines():
        words = re.split(r"[!#]", line)[0].replace(",", " ").split()
        head = re.split(r"[({]", words[0])[0].upper() if words else ""
        if head in _CARDS:
            if name:
                cards[name] = Card(option, tuple(rows))
            rest = re.sub(r"[(){}]", " ", " ".join(words)[len(head) :]).split()
            name, option, rows = head, rest[0].lower() if rest else "", []
        elif words and name:
            rows.append(tuple(words))
    if name:
        cards[name] = Card(option, tuple(rows))
    return cards


def _evaluated(word: str) -> float:
    """Return a number, or an expression such as 1/3."""
    try:
        return float(infix_float(re.sub(r"[dD](?=[-+]?\d)", "e", word)))
    except (ValueError, TypeError, IndexError, ZeroDivisionError, OverflowError):
        raise DataError(f"{word!r} is no number", fix="write a number or an expression such as 1/3") from None
