"""The local part of the energy on a supercell: rows, measured from the crystal at rest."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import BasisError, DataError
from mlff_dyn.kernels import local_force_rows, local_rows
from mlff_dyn.kernels.local_tables import LocalPlace, LocalRows, LocalTerms
from mlff_dyn.kernels.strain.stress_at_rest import second_order_strain, strained_virial
from mlff_dyn.lattice.torus import Torus
from mlff_dyn.local.basis import LocalBasis, LocalSettings, build_local_basis
from mlff_dyn.local.function_limits import FUNCTION_LIMITS, FunctionLimits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.kernels.slot_atoms import TorusSlots
    from mlff_dyn.lattice.crystal import Crystal

_NO_RULE = 1e-10
"""Singular value of a rule, over the largest, that is zero but for rounding."""


def local_basis(
    crystal: Crystal,
    settings: LocalSettings,
    *,
    training: Torus | None = None,
    is_at_rest: bool = False,
    limits: FunctionLimits = FUNCTION_LIMITS,
) -> LocalBasis:
    """Local part of a crystal for atoms that stay nearer to their own sites than to the next ones.

    Parameters
    ----------
    crystal : Crystal
    settings : LocalSettings
    training : Torus, optional
        Training supercell, whose periodic images share the harmonic part.
    is_at_rest : bool
        Whether the local part by itself has neither forces nor stress at rest, as rotational sum rules of the
        force constants beside it assume. Its harmonic part then obeys these rules and is not shared.
    limits : FunctionLimits

    Raises
    ------
    BasisError
        If no atom is within the cutoff of another, or there are too many functions.
    """
    nearest = crystal.nearest_neighbor_distance
    if settings.cutoff_angstrom <= nearest:
        raise BasisError(
            f"the cutoff of the local part, {settings.cutoff_angstrom:g} Å, reaches no neighbor: the nearest "
            f"ones are {nearest:.3g} Å apart",
            fix=f"raise expansion.local.cutoff_angstrom to about {2.0 * nearest:.1f}, or set expansion.local "
            "to null",
        )
    basis = build_local_basis(
        crystal.lattice,
        crystal.positions,
        crystal.numbers,
        settings,
        largest_displacement=limits.farthest_of_bond * nearest,
        sites=crystal.site_map.min(axis=0) if settings.kinds == "sites" else None,
        periodic=crystal.periodic,
        limits=limits,
    )
    if not is_at_rest:
        return basis if training is None else replace(basis, shared_on=training.matrix)
    at_rest = LocalExpansion(basis, Torus(crystal, np.eye(3, dtype=np.int64))).at_rest
    rules = np.concatenate([at_rest.forces, at_rest.virial.reshape(9, -1)])
    _, sizes, directions = np.linalg.svd(rules)
    rank = int(np.count_nonzero(sizes > _NO_RULE * sizes.max(initial=0.0)))
    return replace(basis, structure=np.ascontiguousarray(directions[rank:].T)) if rank else basis


@dataclass(frozen=True, eq=False)
class LocalExpansion:
    """The local part on one supercell.

    Energies are measured from the unstrained crystal at rest, without the work that a strain does against the
    stress at rest: what the crystal at rest is like belongs to neither part.

    Attributes
    ----------
    basis : LocalBasis
    torus : Torus
    """

    basis: LocalBasis
    torus: Torus

    @cached_property
    def neighbor_atoms(self) -> TorusSlots:
        """Atom that each neighbor means for each cell."""
        return self.torus.slot_atoms(self.basis.tables.slots)

    @cached_property
    def at_rest(self) -> LocalRows:
        """Rows per function of the crystal at rest; forces of one primitive cell, the others of the torus."""
        tables, n_cells = self.basis.tables, self.torus.n_cells
        still = np.zeros((tables.n_sites, 3))
        rows = local_rows(tables, tables.atoms_of_one_cell, still, strain=np.zeros((3, 3)))
        return LocalRows(rows.forces, n_cells * rows.energy, n_cells * rows.virial)

    def rows(self, displacements: NDArray[np.float64], strain: NDArray[np.float64]) -> LocalRows:
        """Rows per parameter of forces, energy and virial at displacements (Å, shape (n_atoms, 3)).

        Raises
        ------
        DataError
            If an atom is so far from its site that neighbors are missing.
        """
        self.check_displacements(displacements)
        found = local_rows(self.basis.tables, self.neighbor_atoms, displacements, strain=strain)
        rest = self.at_rest
        energy = found.energy - rest.energy - np.einsum("abf,ab->f", rest.virial, second_order_strain(strain))
        virial = found.virial - strained_virial(rest.virial, strain)
        return LocalRows(*map(self.basis.reduce_columns, (found.forces, energy, virial)))

    def force_rows(
        self,
        displacements: NDArray[np.float64],
        strain: NDArray[np.float64],
        atoms: NDArray[np.int64],
    ) -> NDArray[np.float64]:
        """Rows per parameter of the forces on some atoms, shape (3 * len(atoms), n_parameters)."""
        rows = local_force_rows(self.place(displacements, strain), displacements, atoms)
        return self.basis.reduce_columns(rows)

    def place(self, displacements: NDArray[np.float64], strain: NDArray[np.float64]) -> LocalPlace:
        """The functions on the supercell, for displacements within the reach of the tables."""
        self.check_displacements(displacements)
        return LocalPlace(self.basis.tables, self.neighbor_atoms, strain)

    def check_displacements(self, displacements: NDArray[np.float64]) -> None:
        """Refuse atoms that may have neighbors which are not in the tables.

        Raises
        ------
        DataError
            If there are any.
        """
        farthest = float(np.sqrt((displacements**2).sum(axis=1).max(initial=0.0)))
        if farthest > self.basis.largest_displacement:
            raise DataError(
                f"an atom is {farthest:.3g} Å from its site, nearer to another one; the local part of the "
                f"energy ends at {self.basis.largest_displacement:.3g} Å",
                fix="leave such a structure out, or set expansion.local to null",
            )

    def terms(self, parameters: NDArray[np.float64], strain: NDArray[np.float64]) -> LocalTerms:
        """The local part at given parameters (eV), as force kernels take it."""
        values = self.basis.values(parameters)
        rest = float(self.at_rest.energy @ values)
        return LocalTerms(self.basis.tables, values, self.neighbor_atoms, strain, rest)
