"""INCAR: what may be set, what every static calculation has, how it is written and read."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from mlff_dyn.engines.base import check_keys
from mlff_dyn.engines.vasp.incar_tags import INCAR_TAGS, PREFIXES
from mlff_dyn.errors import ConfigError

WHERE = "engine.parameters.incar"

FIXED: dict[str, Any] = {"NSW": 0, "IBRION": -1, "ISIF": 2}
"""What makes a calculation of forces and stress of the given structure, and of nothing else."""

DEFAULTS: dict[str, Any] = {
    "PREC": "Accurate",
    "EDIFF": 1.0e-7,
    "ALGO": "Normal",
    "NELM": 120,
    "ISMEAR": 0,
    "SIGMA": 0.05,
    "LREAL": False,
    "ISYM": 0,
    "LWAVE": False,
    "LCHARG": False,
}
"""What may be set to something else."""

LOOSEST_EDIFF_EV = 1.0e-4
"""VASP's own EDIFF, with which forces of small displacements are noise."""

_MACHINE_NAMES = (
    "NCORE NPAR KPAR NSIM LPLANE LSCALU LSCALAPACK NCSHMEM NCORE_IN_IMAGE1 NWRITE LORBIT SYSTEM LWAVE LCHARG "
    "LVTOT LVHAR LELF LAECHG NEDOS EMIN EMAX LASYNC MAXMEM LH5 LCHARGH5 LWAVEH5 "
    "ALGO NELM NELMIN NELMDL TIME AMIX BMIX AMIN AMIX_MAG BMIX_MAG IMIX MAXMIX INIMIX MIXPRE WC LDIAG "
    "LSUBROT NRMM NDAV LMAXMIX"
)
MACHINE_TAGS = frozenset(_MACHINE_NAMES.split())
"""How it is calculated, and what is written: a converged result is the same."""

_HUBBARD_TAGS = ("LDAUL", "LDAUU", "LDAUJ")
SPECIES_TAGS: dict[str, float | None] = {
    "LDAUL": -1,
    "LDAUU": 0.0,
    "LDAUJ": 0.0,
    "MAGMOM": 0.0,
    **dict.fromkeys(("ROPT", "RWIGS", "VDW_C6", "VDW_R0", "VDW_ALPHA")),
}
"""Tags with a value for each species, and the value of those that are not named; None: all are named."""

STATIC_ALGORITHMS = ("Normal", "Fast", "VeryFast", "All", "Conjugate", "Damped")
"""Values of ALGO that lead to a self-consistent ground state; their first letters are enough."""

_DYNAMIC_NAMES = (
    "POTIM EDIFFG NFREE NBLOCK KBLOCK TEBEG TEEND SMASS MDALGO LANGEVIN_GAMMA LANGEVIN_GAMMA_L PMASS PSTRESS "
    "ANDERSEN_PROB NSUBSYS TSUBSYS PSUBSYS LATTICE_CONSTRAINTS IMAGES SPRING LCLIMB ICHAIN IOPT APACO "
    "NPACO"
)
DYNAMIC_TAGS = frozenset(_DYNAMIC_NAMES.split())
"""Tags of relaxations, dynamics and paths, which a static calculation does not read."""

_RELAXED = "it belongs to relaxations, dynamics and paths; here every structure is calculated as it is"
_RESPONSE = "it starts a calculation of response or excitations, which forces do not need"
_DIFFERS = "its value would be one of the cell, which differs from structure to structure"
_REFUSED: dict[str, tuple[str, str]] = {
    **dict.fromkeys(DYNAMIC_TAGS, (_RELAXED, "remove it")),
    **dict.fromkeys(
        ("LEPSILON", "LCALCEPS", "LCHIMAG", "LOPTICS", "LNMR_SYM_RED", "LCALCPOL", "LPEAD"),
        (_RESPONSE, "remove it"),
    ),
    **dict.fromkeys(("KSPACING", "KGAMMA"), ("k-points are set elsewhere", "set engine.parameters.kpoints")),
    **dict.fromkeys(
        ("ISTART", "ICHARG"),
        ("the start is set elsewhere", "set engine.profile.reuse: charge-density or none"),
    ),
    **dict.fromkeys(
        ("POMASS", "ZVAL"),
        ("it is a value of the POTCAR", "remove it; masses are set by structure.masses_amu"),
    ),
    **dict.fromkeys(("M_CONSTR", "LATTICE_CONSTRAINTS"), (_DIFFERS, "remove it")),
    "IALGO": ("ALGO says the same by name", f"set ALGO to one of {', '.join(STATIC_ALGORITHMS)}"),
    "ENMAX": ("ENCUT is its name since VASP 4.4", "set ENCUT"),
    "LSTOP": ("it stops VASP", "remove it"),
    "INTERACTIVE": ("it waits for input", "remove it"),
    "LNONCOLLINEAR": ("magnetic moments are collinear here", "remove it, or set LSORBIT without moments"),
}
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eEdD][-+]?\d+)?")
_TRUE, _FALSE = re.compile(r"\.?T(RUE)?\.?", re.IGNORECASE), re.compile(r"\.?F(ALSE)?\.?", re.IGNORECASE)
_TAG = re.compile(r"\s*([A-Za-z]\w*)\s*=\s*(.*?)\s*$", re.DOTALL)
_LISTS = {"flags": "flag", "integers": "integer", "numbers": "number"}
_MAXIMUM_PER_LINE = 24
_MOST_IN_A_LIST = 1_000_000


@dataclass(frozen=True)
class Incar:
    """Checked tags of the configuration with the defaults.

    Attributes
    ----------
    tags : dict of str to values
        By name in capitals; those of one value or a list.
    by_element : dict of str to dict
        Those with a value for each element.
    """

    tags: dict[str, Any]
    by_element: dict[str, dict[str, Any]]

    def for_species(self, species: tuple[str, ...]) -> dict[str, Any]:
        """Return all tags of a POSCAR with these species, in its order.

        Raises
        ------
        ConfigError
            If a tag that needs a value for each element lacks one, or has one of another element.
        """
        tags = dict(self.tags)
        for tag, values in self.by_element.items():
            others = sorted(set(values) - set(species))
            if others:
                raise ConfigError(
                    f"{WHERE}.{tag}: there is no {others[0]} in the structure",
                    fix=f"use {', '.join(species)}",
                )
            default = SPECIES_TAGS.get(tag)
            missing = [element for element in species if element not in values]
            if missing and default is None:
                raise ConfigError(f"{WHERE}.{tag}: no value for {missing[0]}", fix=f"add {missing[0]}: VALUE")
            tags[tag] = [values.get(element, default) for element in species]
        return tags


def checked_incar(given: Mapping[str, Any]) -> Incar:
    """Check names and values of tags.

    Parameters
    ----------
    given : mapping
        As in the configuration; names in any case.

    Raises
    ------
    ConfigError
        If a tag is unknown, has a value of another kind, or does not belong to a static calculation.
    """
    tags, by_element = dict(DEFAULTS), dict[str, dict[str, Any]]()
    for name, value in given.items():
        tag = str(name).upper()
        refuse_tag(tag, value)
        if tag in SPECIES_TAGS:
            by_element[tag] = _by_element(tag, value)
        elif tag not in FIXED:
            tags[tag] = typed_value(tag, value)
    tags.update(FIXED)
    _check_values(tags)
    if any(tag in by_element for tag in _HUBBARD_TAGS):
        _complete_hubbard(tags, by_element)
    return Incar(tags, by_element)


def _complete_hubbard(tags: dict[str, Any], by_element: dict[str, dict[str, Any]]) -> None:
    """Write all that DFT+U reads, so that nothing depends on defaults of a version."""
    shells = by_element.get("LDAUL", {})
    for tag in _HUBBARD_TAGS[1:]:
        for element, value in by_element.setdefault(tag, {}).items():
            if value and shells.get(element, -1) < 0:
                raise ConfigError(
                    f"{WHERE}.{tag}: {element} has {value:g} eV, but no shell that it acts on",
                    fix=f"add {element} to LDAUL: 1 is p, 2 is d, 3 is f",
                )
    tags.setdefault("LDAU", True)
    tags.setdefault("LMAXMIX", 6 if max(shells.values(), default=2) > 2 else 4)


def refuse_tag(tag: str, value: object) -> None:
    """Refuse a tag that VASP does not know, or that a static calculation must not have."""
    if tag.startswith(PREFIXES):
        raise ConfigError(
            f"{WHERE}.{tag}: forces of VASP's own force fields and of phonon runs are not those of a "
            "self-consistent calculation",
            fix="remove it",
        )
    check_keys(WHERE, {tag: value}, INCAR_TAGS)
    if tag in FIXED and typed_value(tag, value) != FIXED[tag]:
        raise ConfigError(
            f"{WHERE}.{tag}: is always {FIXED[tag]}: every structure is calculated as it is", fix="remove it"
        )
    if tag in _REFUSED:
        reason, fix = _REFUSED[tag]
        raise ConfigError(f"{WHERE}.{tag}: {reason}", fix=fix)


def typed_value(tag: str, value: object) -> Any:  # noqa: ANN401 (flag, number, text, or a list of one kind)
    """Return a value in the kind of its tag.

    Examples
    --------
    >>> typed_value("EDIFF", "1d-8"), typed_value("LASPH", ".TRUE."), typed_value("DIPOL", "0.5 0.5 0")
    (1e-08, True, [0.5, 0.5, 0.0])
    """
    kind = INCAR_TAGS[tag]
    try:
        if kind == "flag or text":
            return str(value) if _flag(value) is None else _flag(value)
        if kind in _LISTS:
            words = value.split() if isinstance(value, str) else value
            words = words if isinstance(words, list | tuple) else [words]
            return [entry for word in words for entry in _repeated(_LISTS[kind], word)]
        return _single(kind, value)
    except ValueError:
        expected = (
            "true or false" if kind == "flag" else f"{kind.rstrip('s')}s" if kind in _LISTS else f"one {kind}"
        )
        raise ConfigError(f"{WHERE}.{tag}: {expected} expected, got {value!r}", fix="correct it") from None


def format_incar(tags: Mapping[str, Any]) -> str:
    """Write an INCAR: of long lists equal values as ``4*0.5``, and then several lines."""
    lines = []
    for tag, value in tags.items():
        words = [_word(entry) for entry in (value if isinstance(value, list | tuple) else [value])]
        short = words
        if len(words) > _MAXIMUM_PER_LINE:
            runs = [(word, len(list(same))) for word, same in groupby(words)]
            short = [f"{count}*{word}" if count > 1 else word for word, count in runs]
        rows = [short[i : i + _MAXIMUM_PER_LINE] for i in range(0, len(short), _MAXIMUM_PER_LINE)]
        lines.append(f"{tag} = " + " \\\n  ".join(" ".join(row) for row in rows))
    return "\n".join(lines) + "\n"


def plain_texts(tags: Mapping[str, Any]) -> dict[str, str]:
    """Values as text, lists with one word an entry."""
    return {
        tag: " ".join(_word(entry) for entry in (value if isinstance(value, list | tuple) else [value]))
        for tag, value in tags.items()
    }


def parse_incar(text: str) -> dict[str, str]:
    r"""Read tags and their text; of a tag that comes twice the first counts, as for VASP.

    Examples
    --------
    >>> parse_incar("ENCUT = 400 ; ISPIN=2 # comment\nMAGMOM = 2*1.0 \\\n 0.5\n! NSW = 5\n")
    {'ENCUT': '400', 'ISPIN': '2', 'MAGMOM': '2*1.0  0.5'}
    """
    tags: dict[str, str] = {}
    joined = re.sub(r"\\[ \t]*\n", " ", re.sub(r"[#!][^\n]*", "", text))
    for entry in re.split(r"[\n;]", joined):
        found = _TAG.match(entry)
        if found is not None:
            tags.setdefault(found[1].upper(), found[2].strip("\"' "))
    return tags


def without_machine(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tags that converged results depend on, names in capitals."""
    named = {str(name).upper(): value for name, value in given.items()}
    return {tag: value for tag, value in named.items() if tag not in MACHINE_TAGS}


def is_static_algorithm(name: str) -> bool:
    """Whether a value of ALGO leads to a self-consistent ground state."""
    return name.lower() in {form.lower() for each in STATIC_ALGORITHMS for form in (each, each[0])}


def _check_values(tags: Mapping[str, Any]) -> None:
    if not is_static_algorithm(tags["ALGO"]):
        raise ConfigError(
            f"{WHERE}.ALGO: {tags['ALGO']} does not lead to a self-consistent ground state",
            fix=f"use one of {', '.join(STATIC_ALGORITHMS)}",
        )
    if tags["NELM"] < 1 or not 0.0 < tags["EDIFF"] <= LOOSEST_EDIFF_EV:
        raise ConfigError(
            f"{WHERE}: NELM = {tags['NELM']} and EDIFF = {tags['EDIFF']:g} give no converged forces",
            fix=f"let NELM be positive and EDIFF at most {LOOSEST_EDIFF_EV:g} eV, better 1e-7",
        )


def _by_element(tag: str, value: object) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        example = "{Ni: 2}" if tag == "LDAUL" else "{Ni: 6.0}"
        reason = "a list depends on the order of atoms in POSCAR"
        fix = f"write it by element, as {tag}: {example}"
        if tag == "MAGMOM":
            fix += ", or set structure.magnetic_moments"
        raise ConfigError(f"{WHERE}.{tag}: {reason}", fix=fix)
    kind = _LISTS[INCAR_TAGS[tag]]
    try:
        return {str(element): _single(kind, entry) for element, entry in value.items()}
    except ValueError:
        raise ConfigError(
            f"{WHERE}.{tag}: one {kind} an element expected, got {value!r}", fix="correct it"
        ) from None


def _repeated(kind: str, word: object) -> list[Any]:
    count, star, entry = str(word).partition("*")
    if star and int(count) > _MOST_IN_A_LIST:
        raise ValueError(word)
    return [_single(kind, entry)] * int(count) if star else [_single(kind, word)]


def _single(kind: str, value: object) -> bool | int | float | str:
    if kind == "flag":
        flag = _flag(value)
        if flag is None:
            raise ValueError(value)
        return flag
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(value)  # noqa: TRY004 (one kind of error for a wrong value)
    if kind == "text":
        return str(value)
    number = float(value) if not isinstance(value, str) else _read_number(value)
    if not math.isfinite(number):
        raise ValueError(value)
    if kind == "integer":
        if number != int(number):
            raise ValueError(value)
        return int(number)
    return number


def _read_number(text: str) -> float:
    if not _NUMBER.fullmatch(text.strip()):
        raise ValueError(text)
    return float(text.lower().replace("d", "e"))


def _flag(value: object) -> bool | None:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and _TRUE.fullmatch(value.strip()):
        return True
    return False if isinstance(value, str) and _FALSE.fullmatch(value.strip()) else None


def _word(value: object) -> str:
    if isinstance(value, bool):
        return ".TRUE." if value else ".FALSE."
    return f"{value:.12g}" if isinstance(value, float) else str(value)
