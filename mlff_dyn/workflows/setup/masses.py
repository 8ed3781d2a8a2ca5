"""Masses of the atoms: those of the structure file, or others where the configuration says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from ase.data import chemical_symbols

from mlff_dyn.errors import ConfigError, DataError
from mlff_dyn.lattice.torus import input_supercell

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ase import Atoms
    from numpy.typing import NDArray

    from mlff_dyn.lattice.crystal import Crystal

SAME_MASS_AMU = 1e-3


def masses_of(atoms: Atoms, masses_amu: Mapping[str, float]) -> NDArray[np.float64]:
    """Mass of every atom, amu, shape (n_atoms,).

    Parameters
    ----------
    atoms : Atoms
    masses_amu : mapping
        Element to the mass that replaces its own, amu.

    Raises
    ------
    ConfigError
        If there is no atom of an element.
    """
    symbols = np.array(atoms.get_chemical_symbols())
    masses = np.array(atoms.get_masses(), float)
    for symbol, mass in masses_amu.items():
        if symbol not in symbols:
            raise ConfigError(
                f"structure.masses_amu: there is no {symbol} in the structure",
                fix=f"its elements are {', '.join(dict.fromkeys(symbols.tolist()))}",
            )
        masses[symbols == symbol] = mass
    return masses


def check_masses(crystal: Crystal) -> None:
    """Refuse atoms that the symmetry makes one site but that have different masses.

    Raises
    ------
    DataError
        If there are some.
    """
    torus = input_supercell(crystal, (1, 1, 1))
    atoms, _ = torus.match(crystal.input_positions)
    wrong = np.flatnonzero(np.abs(torus.masses[atoms] - crystal.input_masses) > SAME_MASS_AMU)
    if len(wrong):
        atom = int(wrong[0])
        symbol = chemical_symbols[crystal.input_numbers[atom]]
        mean = crystal.input_masses[crystal.input_numbers == crystal.input_numbers[atom]].mean()
        raise DataError(
            f"atoms of {symbol} on one site of the crystal have masses {torus.masses[atoms[atom]]:g} and "
            f"{crystal.input_masses[atom]:g} amu",
            fix=f"give their average: structure.masses_amu: {{{symbol}: {mean:.6g}}}",
        )
