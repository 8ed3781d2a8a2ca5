"""The structure of an input of pw.x, with its masses and its magnetic order."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ase.data import atomic_masses

from mlff_dyn.errors import located
from mlff_dyn.store.pseudopotential import valence_electrons
from mlff_dyn.store.pw_input import read_pw_input, symbol_of
from mlff_dyn.store.structure_text import pw_masses

if TYPE_CHECKING:
    from ase import Atoms

    from mlff_dyn.store.pw_input import PwInput

SHARES = "moments are shares of the valence electrons"
"""Info key of a structure whose moments are starting magnetizations of pw.x."""

_logger = logging.getLogger(__name__)


def read_pw_structure(path: Path) -> Atoms:
    """Read cell, atoms, masses and magnetic moments, whatever the lattice; a sheet where images are cut off.

    Starting magnetizations become moments, Bohr magnetons, where the pseudopotentials that the input names
    can be found; shares of the valence electrons otherwise.

    Raises
    ------
    DataError
        If the structure cannot be read; the message has the file.
    """
    given = read_pw_input(path)
    with located(f"structure file {path}"):
        atoms, labels = given.atoms()
        if str(given.system.get("assume_isolated", "")).lower() == "2d":
            atoms.pbc = (True, True, False)
        masses = pw_masses(path.read_text(encoding="utf-8", errors="replace"))
        natural = zip(atoms.get_chemical_symbols(), atoms.numbers, strict=True)
        atoms.set_masses([masses.get(symbol, atomic_masses[number]) for symbol, number in natural])
        shares = starting_magnetizations(given)
        if any(shares.values()) and given.system.get("noncolin") is True:
            _logger.warning("%s: its moments are not collinear; they are not taken", path)
        elif any(shares.values()):
            electrons = {label: _valence(path, given, label) for label in shares}
            is_known = None not in electrons.values()
            moments = {
                label: share * ((electrons[label] or 1.0) if is_known else 1.0)
                for label, share in shares.items()
            }
            atoms.set_initial_magnetic_moments([round(moments[label], 6) for label in labels])
            if not is_known:
                atoms.info[SHARES] = True
    return atoms


def starting_magnetizations(given: PwInput) -> dict[str, float]:
    """Share of its valence electrons by label."""
    found = {}
    for number, label in enumerate(given.species, start=1):
        share = given.system.get(f"starting_magnetization({number})", 0.0)
        found[label] = float(share) if isinstance(share, (int, float)) else 0.0
    return found


def pseudopotential_folder(path: Path, given: PwInput) -> Path | None:
    """Folder that holds all pseudopotentials of an input; None if there is none.

    pw.x starts ``pseudo_dir`` in the folder that it runs in: here it may be that of the input.
    """
    named = given.namelists.get("control", {}).get("pseudo_dir")
    places = [os.environ.get("ESPRESSO_PSEUDO")] if named is None else [str(named)]
    folder = path.absolute().parent
    candidates = [folder / Path(place).expanduser() for place in places if place]
    candidates += [Path(place).expanduser().absolute() for place in places if place]
    for candidate in [*candidates, folder / "pseudo", folder]:
        if all((candidate / Path(name).name).is_file() for name in given.species.values()):
            return candidate
    return None


def _valence(path: Path, given: PwInput, label: str) -> float | None:
    symbol_of(label)
    folder = pseudopotential_folder(path, given)
    return None if folder is None else valence_electrons(folder / Path(given.species[label]).name)
