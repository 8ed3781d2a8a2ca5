"""Magnetic moments of the reference structure, and what they mean for its symmetry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from ase.data import chemical_symbols

from mlff_dyn.errors import ConfigError, DataError
from mlff_dyn.lattice.magnetism import collinear_moments
from mlff_dyn.store.structure_pw import SHARES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ase import Atoms
    from numpy.typing import NDArray

    from mlff_dyn.lattice.crystal import Crystal


def reference_moments(
    atoms: Atoms, given: Mapping[str, float] | Sequence[float] | None
) -> NDArray[np.float64] | None:
    """Moments of each atom of a structure, Bohr magnetons: those of the configuration, or else its own.

    Parameters
    ----------
    atoms : Atoms
    given : mapping of str to float, sequence of float, or None
        By element, or of every atom.

    Raises
    ------
    ConfigError
        If an element is not in the structure or the number of moments is not that of the atoms.
    DataError
        If the moments of the structure are not collinear, or no moments but starting magnetizations.
    """
    if given is None and atoms.info.get(SHARES):
        raise DataError(
            "structure.file has starting magnetizations of pw.x, which are shares of the valence electrons",
            fix="give structure.magnetic_moments, in Bohr magnetons, or the pseudopotentials where the input "
            "names them",
        )
    if given is None:
        return (
            collinear_moments(atoms.get_initial_magnetic_moments()) if atoms.has("initial_magmoms") else None
        )
    if isinstance(given, Mapping):
        missing = sorted(set(given) - set(atoms.symbols))
        if missing:
            raise ConfigError(
                f"structure.magnetic_moments: there is no {missing[0]} in the structure",
                fix=f"use {', '.join(sorted(set(atoms.symbols)))}",
            )
        return np.array([given.get(symbol, 0.0) for symbol in atoms.symbols], float)
    if len(given) != len(atoms):
        raise ConfigError(
            f"structure.magnetic_moments: {len(given)} moments for the {len(atoms)} atoms of structure.file",
            fix="give one for each atom, or {element: moment}",
        )
    return np.array(given, float)


def describe_order(crystal: Crystal) -> str | None:
    """Magnetic species and what the operations do to them, for people; None without moments."""
    moments = crystal.magnetic_moments
    if moments is None:
        return None
    pairs = dict.fromkeys(zip(crystal.numbers.tolist(), moments.tolist(), strict=True))
    species = ", ".join(f"{chemical_symbols[number]} {moment:+.2f}" for number, moment in pairs if moment)
    n_reversed = int(np.sum(moments[crystal.site_map] @ moments < 0.0))
    symmetry = f"; {n_reversed} of {crystal.n_operations} operations reverse all" if n_reversed else ""
    return f"{species} Bohr magnetons{symmetry}"
