"""Symmetry that a structure has but for noise in its coordinates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlff_dyn.errors import DataError
from mlff_dyn.workflows.setup.workspace import Workspace

if TYPE_CHECKING:
    from mlff_dyn.config.schema import Config
    from mlff_dyn.lattice.crystal import Crystal

LOOSER_SYMPREC_ANGSTROM = (1e-4, 1e-3, 1e-2)


@dataclass(frozen=True)
class LooserSymmetry:
    """A larger space group, and the tolerance at which it is found.

    Attributes
    ----------
    space_group : str
    symprec_angstrom : float
    n_operations : int            per primitive cell
    n_atoms_primitive : int
    """

    space_group: str
    symprec_angstrom: float
    n_operations: int
    n_atoms_primitive: int


def looser_symmetry(config: Config) -> LooserSymmetry | None:
    """Largest space group within 0.01 Å, at the least tolerance; None if the configuration has it."""
    found: LooserSymmetry | None = None
    most = _n_operations(Workspace(config).crystal)
    for symprec in LOOSER_SYMPREC_ANGSTROM:
        if symprec <= config.structure.symprec_angstrom:
            continue
        structure = config.structure.model_copy(update={"symprec_angstrom": symprec})
        crystal = _crystal(config.model_copy(update={"structure": structure}))
        if crystal is not None and _n_operations(crystal) > most:
            most = _n_operations(crystal)
            found = LooserSymmetry(crystal.space_group, symprec, crystal.n_operations, crystal.n_sites)
    return found


def _crystal(config: Config) -> Crystal | None:
    try:
        return Workspace(config).crystal
    except DataError:
        return None


def _n_operations(crystal: Crystal) -> float:
    """Operations of the input cell, translations included."""
    return crystal.n_operations * len(crystal.input_numbers) / crystal.n_sites
