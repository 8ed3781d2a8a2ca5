"""Magnetic moments as pw.x takes them: a species for each moment, which is a share of its electrons."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mlff_dyn.errors import ConfigError, EngineError
from mlff_dyn.store.pseudopotential import valence_electrons

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ase import Atoms

_OF_SPECIES = re.compile(r"(hubbard_\w+|london_\w+|starting_charge)\((\d+)\)")
_WHERE = "engine.parameters.input_data.system"


def starting_shares(
    atoms: Atoms, system: Mapping[str, Any], pseudopotentials: Mapping[str, Path]
) -> list[float]:
    """Starting magnetization of each atom, a share of its valence electrons, for collinear spins.

    Parameters
    ----------
    atoms : Atoms
        With moments, Bohr magnetons.
    system : mapping
        Namelist of the configuration, keys in lower case.
    pseudopotentials : mapping of str to Path
        File of each element.

    Raises
    ------
    ConfigError
        If the namelist says something else of the spins, or gives a key to some species of an element only.
    EngineError
        If a pseudopotential does not tell its number of valence electrons.
    """
    if system.get("nspin", 2) != 2:
        raise ConfigError(
            f"{_WHERE}.nspin: is {system['nspin']}, but the structure has magnetic moments",
            fix="set it to 2, or structure.magnetic_moments to {} for none",
        )
    for key in ("noncolin", "lspinorb"):
        if system.get(key):
            raise ConfigError(
                f"{_WHERE}.{key}: the magnetic moments of the structure are collinear, without spin-orbit "
                "coupling",
                fix="remove it",
            )
    if str(system.get("occupations", "fixed")) == "fixed" and "tot_magnetization" not in system:
        raise ConfigError(
            f"{_WHERE}: pw.x does not occupy bands of two spins by itself",
            fix="set occupations: smearing with degauss, or tot_magnetization for an insulator",
        )
    moments = atoms.get_initial_magnetic_moments().tolist()
    valence = {symbol: _valence(pseudopotentials[symbol]) for symbol in sorted(set(atoms.symbols))}
    shares = [
        max(-1.0, min(1.0, moment / valence[symbol]))
        for symbol, moment in zip(atoms.symbols, moments, strict=True)
    ]
    _check_species_keys(system, list(dict.fromkeys(zip(atoms.symbols, shares, strict=True))))
    return shares


def _valence(path: Path) -> float:
    found = valence_electrons(path)
    if found is not None:
        return found
    raise EngineError(
        f"pseudopotential {path} does not tell its number of valence electrons, which the starting "
        "magnetization is a share of",
        fix="use a file in UPF format",
    )


def _check_species_keys(system: Mapping[str, Any], species: list[tuple[str, float]]) -> None:
    """Refuse a key that only some species of an element have: their atoms would differ in more than spin."""
    given = {found.groups() for key in system if (found := _OF_SPECIES.fullmatch(key))}
    for name, index in sorted(given):
        here = int(index) - 1
        symbol = species[here][0] if here < len(species) else None
        for other, (element, share) in enumerate(species):
            if element == symbol and (name, str(other + 1)) not in given:
                names = ", ".join(f"{i + 1} {e} ({s:+.3f})" for i, (e, s) in enumerate(species))
                raise ConfigError(
                    f"{_WHERE}.{name}({index}): {symbol} is also species {other + 1}, with the starting "
                    f"magnetization {share:+.3f}; species are {names}",
                    fix=f"give {name}({other + 1}), too",
                )
