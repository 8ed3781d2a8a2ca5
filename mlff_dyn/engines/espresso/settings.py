"""Settings that results of pw.x depend on, as its outputs name them; the same from text and from XML."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import PurePath
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.engines.base import identity_of
from mlff_dyn.store.provenance import Provenance

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlff_dyn.store.source import Source

_FUNCTIONALS = {
    "SLA PW PBX PBC": "PBE",
    "SLA PW PSX PSC": "PBESOL",
    "SLA PW NOGX NOGC": "PW",
    "SLA PW": "PW",
    "SLA PZ NOGX NOGC": "PZ",
    "SLA PZ": "PZ",
    "SLA+PZ": "PZ",
    "B88 LYP BLYP": "BLYP",
}
"""What versions print for a functional to its short name."""

_SMEARINGS = {
    "marzari": "mv",
    "m-v": "mv",
    "mv": "mv",
    "cold": "mv",
    "methfessel": "mp",
    "m-p": "mp",
    "mp": "mp",
    "fermi": "fd",
    "f-d": "fd",
    "fd": "fd",
    "gauss": "gaussian",
}
_DISPERSIONS = {"d3": "d3", "d2": "d2", "dft-d": "d2", "xdm": "xdm", "mbd": "mbd", "many": "mbd"}
SAWTOOTH_FIELD = "sawtooth electric field"
_LARGEST_MESH = 20_000
_DATE_FORMATS = ("%d%b%Y %H:%M:%S", "%d%b%Y")


@dataclass(frozen=True)
class PwSettings:
    """Physics and origin of a pw.x calculation.

    Attributes
    ----------
    functional : str
    wave_function_cutoff_rydberg, density_cutoff_rydberg : float or None
    kpoints_times_atoms : int or None
        Points of the whole mesh times atoms: the same in all supercells of a crystal; None where the output
        does not list them.
    smearing : str or None
        Short name and width, Ry.
    spin : str
    hubbard_ev : mapping of str to float
        By species.
    charge : float
        Electrons less than neutral.
    others : tuple of str
        Dispersion corrections, fields and the like.
    pseudopotentials : mapping of str to str
        File by species.
    checksums : mapping of str to str
        MD5 by species, where printed; no part of the identity.
    version, date : str or None
    """

    functional: str = "unknown"
    wave_function_cutoff_rydberg: float | None = None
    density_cutoff_rydberg: float | None = None
    kpoints_times_atoms: int | None = None
    smearing: str | None = None
    spin: str = "none"
    hubbard_ev: Mapping[str, float] = field(default_factory=dict)
    charge: float = 0.0
    others: tuple[str, ...] = ()
    pseudopotentials: Mapping[str, str] = field(default_factory=dict)
    checksums: Mapping[str, str] = field(default_factory=dict)
    version: str | None = None
    date: str | None = None

    @cached_property
    def identity(self) -> str:
        """Digest of what results depend on."""
        physics = asdict(replace(self, checksums={}, version=None, date=None))
        return identity_of("espresso", physics)

    def origin(self) -> dict[str, str]:
        """Program, pseudopotentials and date, as far as they are known."""
        files = [
            f"{name} (MD5 {self.checksums[species]})" if species in self.checksums else name
            for species, name in self.pseudopotentials.items()
        ]
        known = {
            "program": f"Quantum ESPRESSO {self.version}" if self.version else None,
            "pseudopotentials": ", ".join(dict.fromkeys(files)) or None,
            "date": self.date,
        }
        return {name: text for name, text in known.items() if text is not None}

    def provenance(self, source: Source, step: int) -> Provenance:
        """Return where a step comes from."""
        origin = self.origin()
        return Provenance(
            label_engine=self.identity,
            label_engine_kind="espresso",
            program=origin.get("program"),
            pseudopotentials=origin.get("pseudopotentials"),
            file=str(source),
            step=step,
            date=origin.get("date"),
        )


def plain_version(text: str) -> str | None:
    """Return the number of a version such as 6.7MaX."""
    found = re.match(r"\d+(?:\.\d+)*", text.strip())
    return found[0] if found else None


def short_functional(printed: str) -> str:
    """Return the short name of a functional, whichever way a version writes it."""
    words = " ".join(printed.upper().replace("'", " ").split())
    return _FUNCTIONALS.get(words, words)


def short_smearing(name: str, width_rydberg: float) -> str:
    """Return kind and width of a smearing in one form."""
    lowered = name.lower()
    kind = next((short for word, short in _SMEARINGS.items() if word in lowered), lowered.strip())
    return f"{kind} {width_rydberg:.5g}"


def short_dispersion(name: str) -> str:
    """Return a dispersion correction in one form."""
    lowered = name.lower()
    return f"dispersion {next((s for word, s in _DISPERSIONS.items() if word in lowered), 'ts')}"


def uniform_field(components: Sequence[float]) -> str:
    """Return a uniform electric field in one form, Rydberg atomic units."""
    return f"electric field {' '.join(f'{x:g}' for x in components)}"


def mesh_of_weights(weights: Sequence[float]) -> int | None:
    """Return the number of equal points that weights of irreducible points are multiples of."""
    shares = np.array(weights) / max(sum(weights), 1e-12)
    for n in range(1, _LARGEST_MESH):
        if np.all(np.abs(n * shares - np.round(n * shares)) < min(0.1, 1e-3 + 1e-6 * n)):
            return n
    return None


def file_name(path: str) -> str:
    """Return the last part of the path of a pseudopotential."""
    return PurePath(path.strip()).name


def iso_date(day: str, time: str = "") -> str | None:
    """Return a date such as 9Mar2022 and 19: 6:34 in ISO 8601; None if it is none."""
    text = f"{day.replace(' ', '')} {time.replace(' ', '')}".strip()
    for form in _DATE_FORMATS:
        try:
            return datetime.strptime(text, form).isoformat()  # noqa: DTZ007 (outputs name no time zone)
        except ValueError:  # noqa: PERF203 (two forms)
            continue
    return None
