"""What an input of pw.x says by species, written by element: keys of &system and the card HUBBARD.

An element has a species for each of its magnetic moments: numbers of species are those of one structure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mlff_dyn.engines.base import check_keys
from mlff_dyn.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

SPECIES_KEYS = (
    "hubbard_u",
    "hubbard_j0",
    "hubbard_alpha",
    "hubbard_beta",
    "starting_charge",
    "london_c6",
    "london_rvdw",
    "angle1",
    "angle2",
)
"""Keys of &system that may be a mapping of elements to numbers."""

_WHERE = "engine.parameters.hubbard"
_LINE = re.compile(r"(U|J|J0|B|E2|E3|ALPHA)\s+([A-Z][a-z]?)-(\d[spdf])\s+([-+]?\d+(?:\.\d*)?)")
_PROJECTORS = ("atomic", "ortho-atomic", "norm-atomic", "pseudo", "wf")


def expanded(system: Mapping[str, Any], elements: Sequence[str]) -> dict[str, Any]:
    """Write each mapping of elements as keys with the number of the species.

    Parameters
    ----------
    system : mapping
        Namelist, keys in lower case.
    elements : sequence of str
        Element of each species, in the order of the input.
    """
    found: dict[str, Any] = {}
    for key, value in system.items():
        if isinstance(value, Mapping):
            numbered = enumerate(elements, start=1)
            found |= {f"{key}({i})": value[element] for i, element in numbered if element in value}
        else:
            found[key] = value
    return found


def checked_by_element(where: str, values: Mapping[str, Any]) -> dict[str, float]:
    """Return numbers by element.

    Raises
    ------
    ConfigError
        If a value is no number.
    """
    for element, value in values.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ConfigError(f"{where}.{element}: a number expected, got {value!r}", fix="correct it")
    return {str(element): float(value) for element, value in values.items()}


def checked_hubbard(given: object) -> tuple[str, tuple[str, ...]] | None:
    """Return projectors and lines of the card HUBBARD of pw.x 7.1 and later; None without one.

    Raises
    ------
    ConfigError
        If a key, the projectors or a line are not known.
    """
    if given is None:
        return None
    content = given if isinstance(given, Mapping) else {"lines": given}
    check_keys(_WHERE, content, ("projectors", "lines"))
    projectors, lines = content.get("projectors", "ortho-atomic"), content.get("lines")
    if projectors not in _PROJECTORS:
        raise ConfigError(
            f"{_WHERE}.projectors: {projectors!r} is unknown", fix=f"use one of {', '.join(_PROJECTORS)}"
        )
    if not isinstance(lines, (list, tuple)) or not lines:
        raise ConfigError(f"{_WHERE}.lines: a list expected", fix="write lines: [U Fe-3d 4.6]")
    for line in lines:
        if not isinstance(line, str) or _LINE.fullmatch(line.strip()) is None:
            raise ConfigError(
                f"{_WHERE}.lines: {line!r} cannot be used; V between atoms names atoms by number, which "
                "other structures have otherwise",
                fix="write U, J, J0, B, E2 or E3 of an element, like U Fe-3d 4.6",
            )
    return str(projectors), tuple(str(line).strip() for line in lines)


def hubbard_card(hubbard: tuple[str, tuple[str, ...]], elements: Sequence[str]) -> str:
    """Write the card with the labels that the species have in an input of ASE: Fe, Fe1, ..."""
    labels = [
        (element, f"{element}{elements[:i].count(element) or ''}") for i, element in enumerate(elements)
    ]
    projectors, lines = hubbard
    rows = []
    for line in lines:
        found = _LINE.fullmatch(line)
        if found is not None:
            kind, element, manifold, value = found.groups()
            rows += [f"{kind} {label}-{manifold} {value}" for e, label in labels if e == element]
    return "\n".join([f"HUBBARD ({projectors})", *rows, ""])
