"""The primitive cell as other programs want it: sites inside it, supercells that repeat its vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mlff_dyn.lattice.torus import Torus

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.lattice.crystal import Crystal
    from mlff_dyn.model.crystal_constants import CrystalConstants

_ROUNDING = 1e-9


class FoldedSites(NamedTuple):
    """Sites inside the primitive cell.

    Attributes
    ----------
    fractional : ndarray, shape (n_sites, 3)     from 0 to below 1
    shifts : ndarray of int, shape (n_sites, 3)
        Cell in which the crystal has its site, as seen from the one inside.
    """

    fractional: NDArray[np.float64]
    shifts: NDArray[np.int64]


def folded_sites(crystal: Crystal) -> FoldedSites:
    """Sites of a crystal inside its primitive cell."""
    given = crystal.positions @ np.linalg.inv(crystal.lattice)
    shifts = np.floor(given + _ROUNDING).astype(np.int64)
    fractional = given - shifts
    return FoldedSites(np.where(np.abs(fractional) < _ROUNDING, 0.0, fractional), shifts)


def folded_offsets(constants: CrystalConstants) -> NDArray[np.int64]:
    """Offsets of clusters of `folded_sites`, the first atom in the home cell; (n_clusters, order, 3)."""
    shifts = folded_sites(constants.crystal).shifts[constants.sites]
    return np.asarray(constants.offsets + shifts - shifts[:, :1])


def atoms_by_cell(torus: Torus) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Atoms of a repetition of the primitive cell, site by site and cell by cell.

    Parameters
    ----------
    torus : Torus
        Its matrix is diagonal.

    Returns
    -------
    atoms : ndarray of int, shape (n_sites, n_cells)
        The one of `folded_sites` in each cell.
    cells : ndarray of int, shape (n_cells, 3)
        The first vector fastest.
    """
    extents = np.diag(torus.matrix)
    cells = np.stack([axis.ravel() for axis in np.indices(extents[::-1].tolist(), np.int64)[::-1]], axis=1)
    shifts = folded_sites(torus.crystal).shifts
    first = torus.n_cells * np.arange(torus.crystal.n_sites)
    return first[:, None] + torus.cell_index(cells - shifts[:, None]), cells


def primitive_supercell(torus: Torus) -> Torus:
    """Smallest repetition (n1, n2, n3) of the primitive cell that copies of a supercell fill.

    Force constants on it are those of the force field, whose range the given supercell does not cut.

    Examples
    --------
    >>> from ase.build import bulk
    >>> from mlff_dyn.lattice.crystal import build_crystal
    >>> from mlff_dyn.lattice.torus import input_supercell
    >>> cell = bulk("Cu", "fcc", a=3.6, cubic=True)
    >>> torus = input_supercell(build_crystal(cell.cell.array, cell.positions, cell.numbers), (2, 2, 2))
    >>> primitive_supercell(torus).matrix.tolist()
    [[4, 0, 0], [0, 4, 0], [0, 0, 4]]
    """
    determinant = round(abs(float(np.linalg.det(torus.matrix))))
    parts = np.rint(determinant * np.linalg.inv(torus.matrix)).astype(np.int64)
    extents = determinant // np.gcd(determinant, np.gcd.reduce(parts, axis=1))
    return Torus(torus.crystal, np.diag(extents))
