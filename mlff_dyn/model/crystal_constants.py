"""Force constants of the infinite crystal: every cluster with the cells of its atoms.

They come from a supercell in which no two atoms of a cluster are nearer through its boundary: with m the
largest difference of offsets along an axis, 2 m + 1 cells tell all differences from -m to m apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.lattice.torus import Torus
from mlff_dyn.model.force_constants import short_range_constants

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.lattice.crystal import Crystal
    from mlff_dyn.model.expansion import Expansion
    from mlff_dyn.model.force_field import ForceField

_VANISHING = 1e-13
"""Blocks without an element that is larger, as a fraction of the largest of all, are rounding."""


@dataclass(frozen=True, eq=False)
class CrystalConstants:
    """Force constants of one order in the infinite crystal, blocks that vanish left out.

    Attributes
    ----------
    order : int
    crystal : Crystal
    sites : ndarray of int, shape (n_clusters, order)
    offsets : ndarray of int, shape (n_clusters, order, 3)
        Cell of each atom in primitive vectors; the first one is the home cell. Each arrangement of the atoms
        of a cluster has a row of its own.
    blocks : ndarray, shape (n_clusters, 3, ..., 3)
        One Cartesian axis for each atom, eV/Å^order.
    """

    order: int
    crystal: Crystal
    sites: NDArray[np.int64]
    offsets: NDArray[np.int64]
    blocks: NDArray[np.float64]

    @property
    def positions(self) -> NDArray[np.float64]:
        """Atoms of the clusters at rest, shape (n_clusters, order, 3), Å."""
        return np.asarray(self.crystal.positions[self.sites] + self.offsets @ self.crystal.lattice)


def crystal_constants(force_field: ForceField, order: int) -> CrystalConstants:
    """Force constants of a force field at its posterior mean, without the dipole-dipole interaction.

    Parameters
    ----------
    force_field : ForceField
    order : int

    Raises
    ------
    DataError
        If no part of the energy has that order.
    """
    expansion = force_field.expansion
    reach = _reach(expansion, order)
    torus = Torus(force_field.basis.crystal, np.diag(2 * reach + 1))
    found = short_range_constants(expansion, force_field.posterior.mean, order, torus)
    sizes = np.abs(found.blocks.reshape(len(found.blocks), -1)).max(axis=1, initial=0.0)
    kept = sizes > _VANISHING * sizes.max(initial=0.0)
    sites, cells = np.divmod(found.clusters[kept], torus.n_cells)
    offsets = (torus.offsets[cells] + reach) % (2 * reach + 1) - reach
    return CrystalConstants(order, torus.crystal, sites, offsets, found.blocks[kept])


def _reach(expansion: Expansion, order: int) -> NDArray[np.int64]:
    """Largest difference of the offsets of two atoms of a cluster along each axis."""
    basis, reach = expansion.basis, np.zeros(3, np.int64)
    if order in basis.orders:
        slots = basis.polynomial.orders[basis.orders.index(order)].monomials // 3
        offsets = basis.polynomial.slots[:, 1:].astype(np.int64)[slots]
        reach = np.ptp(offsets, axis=1).max(axis=0, initial=0)
    if expansion.local is not None:
        neighbors = np.abs(expansion.local.tables.slots[:, 1:].astype(np.int64))
        reach = np.maximum(reach, 2 * neighbors.max(axis=0, initial=0))
    return np.asarray(reach)
