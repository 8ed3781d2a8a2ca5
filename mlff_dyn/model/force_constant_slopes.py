"""Slopes, by the parameters of an expansion, of a quantity whose slopes by its force constants are known.

Force constants are linear in the parameters, so one pass over the monomials and the functions of the local
part gives the slopes by all parameters together.
"""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.local.taylor import SiteAtRest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.kernels.local_tables import LocalTables
    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.model.expansion import Expansion


def force_constant_slopes(
    expansion: Expansion, weights: NDArray[np.float64], torus: Torus
) -> NDArray[np.float64]:
    """Slopes by the parameters from slopes by the force constants of one order.

    Parameters
    ----------
    expansion : Expansion
    weights : ndarray, shape (n_sites, n_atoms, ..., n_atoms, 3, ..., 3)
        Slope by each element of the force constants of the sites in cell 0, each element on its own.
    torus : Torus
        Supercell of the force constants.

    Returns
    -------
    ndarray, shape (n_parameters,)
    """
    order = weights.ndim // 2
    lattice, local = expansion.lattice_on(torus), expansion.local
    found = np.zeros(expansion.n_parameters)
    basis = lattice.basis
    columns = np.zeros(basis.polynomial.n_parameters)
    if order in basis.orders:
        place = basis.orders.index(order)
        terms = basis.polynomial.orders[place]
        slots, axes = np.divmod(terms.monomials.astype(np.int64), 3)
        atoms = _atoms(basis.polynomial.slots[slots].astype(np.int64), torus)
        gathered = _gather(weights, atoms, torus).reshape(len(atoms), -1)
        of_monomials = gathered[np.arange(len(atoms)), axes @ 3 ** np.arange(order)[::-1]]
        rows = np.repeat(np.arange(terms.n_monomials), np.diff(terms.indptr))
        start = int(basis.polynomial.parameter_offsets[place])
        columns[start : start + terms.n_parameters] = np.bincount(
            terms.indices, weights=terms.data * of_monomials[rows], minlength=terms.n_parameters
        )
    found[lattice.columns] += basis.reduce_columns(columns)
    if local is not None:
        functions = _local_slopes(local.tables, weights, torus, order)
        found[expansion.basis.n_parameters :] += local.reduce_columns(functions)
    return found


def _local_slopes(
    tables: LocalTables, weights: NDArray[np.float64], torus: Torus, order: int
) -> NDArray[np.float64]:
    found = np.zeros(tables.n_functions)
    for site in range(tables.n_sites):
        at_rest = SiteAtRest(tables, site, order)
        slots = np.concatenate([[[site, 0, 0, 0]], tables.slots[at_rest.neighbors]]).astype(np.int64)
        atoms = _atoms(slots, torus)

        def weigh(clusters: NDArray[np.int64], atoms: NDArray[np.int64] = atoms) -> NDArray[np.float64]:
            return _gather(weights, atoms[clusters], torus).reshape(len(clusters), -1)

        found += at_rest.slopes(weigh)
    return found


def _atoms(slots: NDArray[np.int64], torus: Torus) -> NDArray[np.int64]:
    """Atoms of the torus at slots (site, offset), shape (..., 4)."""
    return np.asarray(slots[..., 0] * torus.n_cells + torus.cell_index(slots[..., 1:]))


def _gather(weights: NDArray[np.float64], clusters: NDArray[np.int64], torus: Torus) -> NDArray[np.float64]:
    """Slopes by blocks that are added to the force constants in all orders of their atoms.

    Parameters
    ----------
    weights : ndarray
        As of `force_constant_slopes`.
    clusters : ndarray of int, shape (n, order)
    torus : Torus

    Returns
    -------
    ndarray, shape (n, 3, ..., 3)
    """
    order, n_cells = clusters.shape[1], torus.n_cells
    sites, cells = np.divmod(clusters, n_cells)
    offsets = torus.offsets[cells]
    home = [sites * n_cells + torus.cell_index(offsets - offsets[:, k : k + 1]) for k in range(order)]
    found = np.zeros((len(clusters), *(3,) * order))
    for each in permutations(range(order)):
        atoms = home[each[0]][:, each]
        places = (atoms[:, 0] // n_cells, *atoms[:, 1:].T)
        taken = weights[places]
        found += taken.transpose(0, *(1 + axis for axis in np.argsort(each).tolist()))
    return found
