"""The local part of the energy on a supercell: rows, measured from the crystal at rest."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import BasisError, DataError
from mlff_dyn.kernels import local_rows
from mlff_dyn.kernels.local_tables import LocalPlace, LocalRows, LocalTerms
from mlff_dyn.local.basis import LocalBasis, LocalSettings, build_local_basis

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.lattice.crystal import Crystal
    from mlff_dyn.lattice.torus import Torus

_FARTHEST_OF_BOND = 0.5


def local_basis(crystal: Crystal, settings: LocalSettings) -> LocalBasis:
    """Local part of a crystal for atoms that stay nearer to their own sites than to the next ones.

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
    return build_local_basis(
        crystal.lattice,
        crystal.positions,
        crystal.numbers,
        settings,
        largest_displacement=_FARTHEST_OF_BOND * nearest,
        periodic=crystal.periodic,
    )


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
    def neighbor_atoms(self) -> NDArray[np.int32]:
        """Atom that each neighbor means for each cell, shape (n_neighbors, n_cells)."""
        return self.torus.atom_indices(self.basis.tables.slots)

    @cached_property
    def at_rest(self) -> LocalRows:
        """Rows of the unstrained crystal at rest; forces of one primitive cell, the others of the torus."""
        tables, n_cells = self.basis.tables, self.torus.n_cells
        one_cell = np.ascontiguousarray(tables.slots[:, :1])
        still = np.zeros((tables.n_sites, 3))
        rows = local_rows(tables, one_cell, still, strain=np.zeros((3, 3)))
        return LocalRows(rows.forces, n_cells * rows.energy, n_cells * rows.virial)

    def rows(self, displacements: NDArray[np.float64], strain: NDArray[np.float64]) -> LocalRows:
        """Rows of forces, energy and virial at displacements (Å, shape (n_atoms, 3)).

        Raises
        ------
        DataError
            If an atom is so far from its site that neighbors are missing.
        """
        self._check(displacements)
        found = local_rows(self.basis.tables, self.neighbor_atoms, displacements, strain=strain)
        rest = self.at_rest
        energy = found.energy - rest.energy - np.einsum("abf,ab->f", rest.virial, strain)
        return LocalRows(found.forces, energy, found.virial - rest.virial)

    def place(self, displacements: NDArray[np.float64], strain: NDArray[np.float64]) -> LocalPlace:
        """The functions on the supercell, for displacements within the reach of the tables."""
        self._check(displacements)
        return LocalPlace(self.basis.tables, self.neighbor_atoms, strain)

    def _check(self, displacements: NDArray[np.float64]) -> None:
        """Refuse atoms that may have neighbors which are not in the tables."""
        farthest = float(np.sqrt((displacements**2).sum(axis=1).max(initial=0.0)))
        if farthest > self.basis.largest_displacement:
            raise DataError(
                f"an atom is {farthest:.3g} Å from its site, nearer to another one; the local part of the "
                f"energy ends at {self.basis.largest_displacement:.3g} Å",
                fix="leave such a structure out, or set expansion.local to null",
            )

    def terms(self, values: NDArray[np.float64], strain: NDArray[np.float64]) -> LocalTerms:
        """The local part at given values (eV), as force kernels take it."""
        rest = float(self.at_rest.energy @ values)
        return LocalTerms(self.basis.tables, values, self.neighbor_atoms, strain, rest)
