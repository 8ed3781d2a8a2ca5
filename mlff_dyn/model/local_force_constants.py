"""Force constants of the local part of the energy on a supercell."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.local.taylor import SiteAtRest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.kernels.local_tables import LocalTables
    from mlff_dyn.lattice.torus import Torus


def local_force_constants(
    tables: LocalTables, values: NDArray[np.float64], order: int, torus: Torus
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Clusters and blocks of `mlff_dyn.model.force_constants.ForceConstants`.

    Parameters
    ----------
    tables : LocalTables
        Of the crystal of the torus.
    values : ndarray, shape (n_functions,), eV
    order : int
    torus : Torus
        Any supercell, also one in which an atom has several images of another, or of itself, as neighbors.
    """
    found = []
    for site in range(tables.n_sites):
        terms = SiteAtRest(tables, site, order).derivatives(values)
        slots = np.concatenate([[[site, 0, 0, 0]], tables.slots[terms.neighbors]]).astype(np.int64)
        atoms = slots[:, 0] * torus.n_cells + torus.cell_index(slots[:, 1:])
        found.append(_collected(atoms[terms.clusters], terms.blocks, torus))
    clusters, blocks = (np.concatenate(each) for each in zip(*found, strict=True))
    return _in_all_orders(*_collected(clusters, blocks, torus), torus)


def _numbers_in_all_orders(clusters: NDArray[np.int64], torus: Torus) -> NDArray[np.int64]:
    """Number of every cluster in every order, moved so that its first atom is in cell 0: (n_orders, n)."""
    order, n_cells = clusters.shape[1], torus.n_cells
    sites, cells = np.divmod(clusters, n_cells)
    offsets = torus.offsets[cells]
    home = [sites * n_cells + torus.cell_index(offsets - offsets[:, k : k + 1]) for k in range(order)]
    return np.stack(
        [_number(home[each[0]][:, each], order, torus) for each in permutations(range(order))],
    )


def _number(clusters: NDArray[np.int64], order: int, torus: Torus) -> NDArray[np.int64]:
    """One number for each cluster whose first atom is in cell 0."""
    places = (clusters[:, 0] // torus.n_cells, *clusters[:, 1:].T)
    return np.asarray(np.ravel_multi_index(places, _extents(order, torus)))


def _clusters(numbers: NDArray[np.int64], order: int, torus: Torus) -> NDArray[np.int64]:
    """Clusters by their numbers."""
    clusters = np.stack(np.unravel_index(numbers, _extents(order, torus)), axis=1).astype(np.int64)
    clusters[:, 0] *= torus.n_cells
    return clusters


def _extents(order: int, torus: Torus) -> tuple[int, ...]:
    return (torus.crystal.n_sites, *(torus.n_atoms,) * (order - 1))


def _axes(order: int) -> list[tuple[int, ...]]:
    """Axes of blocks in the orders of `_numbers_in_all_orders`."""
    return [(0, *(axis + 1 for axis in each)) for each in permutations(range(order))]


def _collected(
    clusters: NDArray[np.int64], blocks: NDArray[np.float64], torus: Torus
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Sum of the blocks of the same atoms, whatever their order and cell."""
    order = clusters.shape[1]
    numbers = _numbers_in_all_orders(clusters, torus)
    lowest, rows = np.unique(numbers.min(axis=0), return_inverse=True)
    result = np.zeros((len(lowest), *blocks.shape[1:]))
    arrangements = numbers.argmin(axis=0)
    for arrangement, axes in enumerate(_axes(order)):
        mine = arrangements == arrangement
        np.add.at(result, rows[mine], blocks[mine].transpose(axes))
    return _clusters(lowest, order, torus), result


def _in_all_orders(
    clusters: NDArray[np.int64], blocks: NDArray[np.float64], torus: Torus
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Sum over all orders of the atoms of clusters that `_collected` has told apart."""
    order = clusters.shape[1]
    numbers, rows = np.unique(_numbers_in_all_orders(clusters, torus), return_inverse=True)
    result = np.zeros((len(numbers), *blocks.shape[1:]))
    for of_order, axes in zip(rows.reshape(-1, len(clusters)), _axes(order), strict=True):
        result[of_order] += blocks.transpose(axes)
    return _clusters(numbers, order, torus), result
