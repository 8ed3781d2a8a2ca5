"""Clusters of atoms of a supercell, in every one of its cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.model.force_constants import force_constants_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.model.force_constants import ForceConstants
    from mlff_dyn.model.force_field import ForceField

LARGEST_LOCAL_ORDER = 4
"""Highest order of a series of the local part, which has all; those that the basis has may be higher."""


def constants_by_order(force_field: ForceField, torus: Torus) -> dict[int, ForceConstants]:
    """Force constants of all orders of a force field from 2 on, on a supercell, by order."""
    orders = {order for order in force_field.basis.orders if order > 1}
    if force_field.local is not None:
        orders |= set(range(2, LARGEST_LOCAL_ORDER + 1))
    return {order: force_constants_of(force_field, order, torus) for order in sorted(orders)}


def clusters_by_cell(
    constants: ForceConstants, *, ascending: bool
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Clusters whose first atom is in one cell, cell after cell.

    Parameters
    ----------
    constants : ForceConstants
    ascending : bool
        Only the arrangement of the atoms of each cluster in which their numbers ascend.

    Yields
    ------
    clusters : ndarray of int, shape (n_clusters, order)
    rows : ndarray of int, shape (n_clusters,)
        Block of each.
    """
    n_cells = constants.torus.n_cells
    all_rows = np.arange(len(constants.clusters))
    for cell in range(n_cells):
        clusters = constants.translated(constants.clusters, cell)
        kept = (np.diff(clusters, axis=1) >= 0).all(axis=1) if ascending else np.ones(len(clusters), bool)
        yield clusters[kept], all_rows[kept]
