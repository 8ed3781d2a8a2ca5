"""The settings of a VASP run that its energies and forces depend on, as one digest.

Two runs with the same digest may be mixed in one data set. What only changes the way to the result (ALGO,
NCORE, NELM, EDIFF, mixing), the motion of the atoms (NSW, IBRION, ISIF, POTIM), or names is left out, and
so is a tag with its default value, because older versions do not write all of them.

Of the k-points their density counts, as number of points of the whole mesh times number of atoms: a
2 x 2 x 2 mesh of 64 atoms is as dense as one point for 512 atoms, and strain does not change it. Shifts of
the mesh are left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlff_dyn.engines.base import identity_of
from mlff_dyn.engines.vasp.convergence import tag_number
from mlff_dyn.engines.vasp.numbers import split_numbers
from mlff_dyn.store.provenance import Provenance

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlff_dyn.store.source import Source

KIND = "vasp"

_DEFAULTS: dict[str, str] = {
    "ADDGRID": "f",
    "EFIELD": "0",
    "GGA_COMPAT": "t",
    "IDIPOL": "0",
    "ISMEAR": "1",
    "ISPIN": "1",
    "IVDW": "0",
    "LASPH": "f",
    "LDAU": "f",
    "LDIPOL": "f",
    "LHFCALC": "f",
    "LNONCOLLINEAR": "f",
    "LREAL": "f",
    "LSOL": "f",
    "LSORBIT": "f",
    "LUSE_VDW": "f",
    "LVDW": "f",
    "METAGGA": "--",
    "NUPDOWN": "-1",
    "PREC": "n",
    "SIGMA": "0.2",
}
"""Tags that results depend on, and the values that are left out."""

_WHERE_SWITCHED_ON: dict[str, tuple[str, ...]] = {
    "LDAU": ("LDAUTYPE",),
    "LHFCALC": ("AEXX", "HFSCREEN", "AGGAX", "ALDAC"),
    "LUSE_VDW": ("ZAB_VDW", "PARAM1", "PARAM2", "PARAM3"),
}
"""Tags that results depend on only where another one is true."""

HUBBARD_TAGS = ("LDAUL", "LDAUU", "LDAUJ")
"""Angular momentum, U and J, a value for each species."""

_TETRAHEDRA = "-5"
_VERSION = re.compile(r"\d+\.\d+(\.\d+)?")


@dataclass(frozen=True)
class RunOrigin:
    """What a file says of its run, for the provenance of its steps.

    Attributes
    ----------
    program : str or None
    titles : tuple of str
        Of the pseudopotentials.
    date : str or None
        ISO 8601.
    digest : str or None
        Of the settings; None where the file does not tell them.
    """

    program: str | None = None
    titles: tuple[str, ...] = ()
    date: str | None = None
    digest: str | None = None

    def provenance(self, source: Source, step: int) -> Provenance:
        """Return the record of a step of a file."""
        return Provenance(
            label_engine=self.digest,
            label_engine_kind=KIND,
            program=self.program,
            pseudopotentials=", ".join(self.titles) or None,
            file=str(source),
            step=step,
            date=self.date,
        )


def program_name(version: str) -> str | None:
    """Name of the program with what is a version in a text.

    Examples
    --------
    >>> program_name("5.4.4.18Apr17-6-g9f103f2a35")
    'VASP 5.4.4'
    """
    found = _VERSION.search(version)
    return None if found is None else f"VASP {found[0]}"


def settings_digest(
    tags: Mapping[str, str],
    titles: Sequence[str],
    *,
    kpoints_times_atoms: int | None,
    charge: float | None,
) -> str:
    """Return the digest of the settings of a run.

    Parameters
    ----------
    tags : mapping of str to str
        Upper-case names and values, as they are written in a file.
    titles : sequence of str
        Of the pseudopotentials.
    kpoints_times_atoms : int or None
    charge : float or None
        Electrons that a neutral cell has more.
    """
    canonical = {name: _canonical(name, value) for name, value in tags.items()}
    if canonical.get("ISMEAR") == _TETRAHEDRA:
        canonical.pop("SIGMA", None)
    kept = {name: canonical.get(name, default) for name, default in _DEFAULTS.items()}
    kept = {name: value for name, value in kept.items() if value != _DEFAULTS[name]}
    for switch, names in _WHERE_SWITCHED_ON.items():
        if canonical.get(switch) == "t":
            kept.update({name: canonical[name] for name in names if name in canonical})
    cutoff = tag_number(tags, "ENCUT") or tag_number(tags, "ENMAX")
    settings: dict[str, object] = {
        "tags": kept,
        "cutoff": None if cutoff is None else round(cutoff, 1),
        "functional": _functional(canonical.get("GGA", "--"), titles),
        "titles": sorted(set(titles)),
        "kpoints_times_atoms": kpoints_times_atoms,
    }
    if canonical.get("LDAU") == "t":
        settings["hubbard"] = _hubbard(tags, titles)
    if charge is not None and abs(charge) > 1e-4:
        settings["charge"] = round(charge, 3)
    return identity_of(KIND, settings)


def is_true(value: str) -> bool:
    """Whether a logical tag is set, in any of the ways that VASP reads and writes it."""
    return _canonical_word(value.strip().lower()) == "t"


def adds_energy(tags: Mapping[str, str]) -> bool:
    """Whether the energy of a step has a part that its electronic steps have not, such as dispersion."""
    return any(
        _canonical(name, tags.get(name, _DEFAULTS[name])) != _DEFAULTS[name]
        for name in ("IVDW", "LVDW", "LSOL", "EFIELD")
    )


def _canonical(name: str, value: str) -> str:
    word = value.strip().lower()
    if name == "PREC":
        return word[:1]
    if name == "LREAL":
        return "t" if word.strip(".")[:1] in {"a", "o", "t"} else "f"
    if name == "METAGGA" and word in {"none", "f", ""}:
        return _DEFAULTS[name]
    return _canonical_word(word)


def _canonical_word(word: str) -> str:
    bare = word.strip(".")
    if bare[:1] in {"t", "f"} and bare in {"t", "f", "true", "false"}:
        return bare[0]
    try:
        return f"{float(split_numbers(word)[0]):.8g}"
    except (ValueError, IndexError):
        return word


def _hubbard(tags: Mapping[str, str], titles: Sequence[str]) -> list[str]:
    """List angular momentum, U and J of the species that have some, whatever the order of species."""
    columns = [[_canonical_word(word) for word in tags.get(name, "").split()] for name in HUBBARD_TAGS]
    rows = list(zip(*columns, strict=False))
    if len(rows) != len(titles):
        return [" ".join(row) for row in rows]
    return sorted(
        f"{title}: {' '.join(row)}" for title, row in zip(titles, rows, strict=True) if row[1:] != ("0", "0")
    )


def _functional(gga: str, titles: Sequence[str]) -> str:
    """Name the functional; without the tag, it is that of the pseudopotentials."""
    if gga.strip("-"):
        return gga
    return "pe" if any("PBE" in title for title in titles) else "of the pseudopotentials"
