"""Force-constant tensors on a supercell: derivatives of the whole energy at rest.

A monomial of coefficient c adds c to the element of each of the n! orders of its variables. On a supercell
all images of an atom are one atom, and their elements add up.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import DataError
from mlff_dyn.kernels.polynomial import MAX_ORDER
from mlff_dyn.model.local_force_constants import local_force_constants

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from mlff_dyn.kernels.polynomial import OrderTerms
    from mlff_dyn.lattice.basis import ForceConstantBasis
    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.model.expansion import Expansion
    from mlff_dyn.model.force_field import ForceField


@dataclass(frozen=True, eq=False)
class ForceConstants:
    """Force constants of one order on a supercell, as its distinct non-zero blocks.

    Attributes
    ----------
    order : int
    torus : Torus
    clusters : ndarray of int, shape (n_clusters, order)
        Atoms of the torus; the first one lies in cell 0.
    blocks : ndarray, shape (n_clusters, 3, ..., 3)
        One Cartesian axis for each atom, eV/Å^order.
    """

    order: int
    torus: Torus
    clusters: NDArray[np.int64]
    blocks: NDArray[np.float64]

    def dense(self, first: ArrayLike, atoms: ArrayLike) -> NDArray[np.float64]:
        """Array whose first axis runs over chosen atoms and the others over all.

        Parameters
        ----------
        first : array_like of int, shape (n_first,)
            Torus atoms of the first axis.
        atoms : array_like of int, shape (n_atoms,)
            Torus atoms in the order of the other axes: a permutation of all.

        Returns
        -------
        ndarray, shape (n_first, n_atoms, ..., n_atoms, 3, ..., 3)
            eV/Å^order.
        """
        chosen = np.asarray(first, np.int64)
        n_atoms, n_cells = self.torus.n_atoms, self.torus.n_cells
        places = np.argsort(np.asarray(atoms, np.int64))
        result = np.zeros((len(chosen), *(n_atoms,) * (self.order - 1), *(3,) * self.order))
        for row, atom in enumerate(chosen):
            site, cell = divmod(int(atom), n_cells)
            mine = self.clusters[:, 0] == site * n_cells
            others = places[self.translated(self.clusters[mine, 1:], cell)]
            index = (row, *others.T)
            result[index] = self.blocks[mine]
        return result

    def translated(self, atoms: NDArray[np.int64], cell: int) -> NDArray[np.int64]:
        """Atoms moved by the offset of a cell."""
        offsets = self.torus.offsets
        sites, cells = np.divmod(atoms, self.torus.n_cells)
        return sites * self.torus.n_cells + self.torus.cell_index(offsets[cells] + offsets[cell])


def force_constants(
    basis: ForceConstantBasis, parameters: NDArray[np.float64], order: int, torus: Torus
) -> ForceConstants:
    """Expand the parameters of a basis into the force constants of one order.

    Parameters
    ----------
    basis : ForceConstantBasis
    parameters : ndarray, shape (n_parameters,)
        Independent parameters of all orders.
    order : int
    torus : Torus
        Any supercell of the crystal of the basis.

    Raises
    ------
    DataError
        If the expansion does not have that order.
    """
    if order not in basis.orders:
        raise DataError(
            f"the expansion has no order {order}, only {', '.join(map(str, basis.orders))}",
            fix="train with that order in expansion.cutoffs_angstrom, and where it is there without "
            "training.fit.growing_orders, which leaves out what the data do not support",
        )
    place = basis.orders.index(order)
    terms = basis.polynomial.orders[place]
    start = int(basis.polynomial.parameter_offsets[place])
    coefficients = terms.coefficients(basis.expand(parameters)[start : start + terms.n_parameters])
    clusters, blocks = _accumulate(basis, terms, coefficients, torus)
    return ForceConstants(order, torus, clusters, blocks)


def force_constants_of(force_field: ForceField, order: int, torus: Torus) -> ForceConstants:
    """Force constants of a force field at its posterior mean, all parts of its energy together.

    Parameters
    ----------
    force_field : ForceField
    order : int
    torus : Torus

    Raises
    ------
    DataError
        As `whole_force_constants`.
    """
    return whole_force_constants(force_field.expansion, force_field.posterior.mean, order, torus)


def whole_force_constants(
    expansion: Expansion, parameters: NDArray[np.float64], order: int, torus: Torus
) -> ForceConstants:
    """Force constants of an expansion, its local and its long-range part included.

    Parameters
    ----------
    expansion : Expansion
    parameters : ndarray, shape (n_parameters,)
    order : int
        With a local part also orders that the basis does not have.
    torus : Torus

    Raises
    ------
    DataError
        If no part of the energy has that order.
    """
    constants = short_range_constants(expansion, parameters, order, torus)
    return _with_dipoles(constants, expansion) if order == 2 else constants


def short_range_constants(
    expansion: Expansion, parameters: NDArray[np.float64], order: int, torus: Torus
) -> ForceConstants:
    """Force constants without the long-range part: those of the basis and of the local part.

    Parameters and errors are those of `whole_force_constants`.
    """
    lattice, local = expansion.lattice_on(torus), expansion.local
    parts = []
    if order in lattice.basis.orders or local is None or not 1 <= order <= MAX_ORDER:
        parts.append(force_constants(lattice.basis, parameters[lattice.columns], order, torus))
    if local is not None:
        values = local.values(parameters[expansion.basis.n_parameters :])
        found = local_force_constants(local.tables, values, order, torus)
        parts.append(ForceConstants(order, torus, *found))
    return parts[0] if len(parts) == 1 else _sum(*parts)


def _sum(first: ForceConstants, second: ForceConstants) -> ForceConstants:
    """Sum of force constants of one order on one torus."""
    both = np.concatenate([first.clusters, second.clusters])
    clusters, rows = np.unique(both, axis=0, return_inverse=True)
    blocks = np.zeros((len(clusters), *first.blocks.shape[1:]))
    here, there = np.split(rows.reshape(-1), [len(first.clusters)])
    blocks[here] = first.blocks
    blocks[there] += second.blocks
    return ForceConstants(first.order, first.torus, clusters, blocks)


def _with_dipoles(constants: ForceConstants, expansion: Expansion) -> ForceConstants:
    """Order 2 with the long-range part."""
    torus = constants.torus
    dipoles = expansion.on(torus).dipole_dipole
    if dipoles is None:
        return constants
    n_sites, n_cells = torus.crystal.n_sites, torus.n_cells
    blocks = dipoles.blocks.reshape(n_sites, 3, n_sites, 3, n_cells).transpose(0, 2, 4, 1, 3)
    blocks = np.ascontiguousarray(blocks).reshape(n_sites, torus.n_atoms, 3, 3)
    blocks[constants.clusters[:, 0] // n_cells, constants.clusters[:, 1]] += constants.blocks
    clusters = np.stack(
        np.broadcast_arrays(n_cells * np.arange(n_sites)[:, None], np.arange(torus.n_atoms)), axis=-1
    )
    return ForceConstants(2, torus, clusters.reshape(-1, 2), blocks.reshape(-1, 3, 3))


def _accumulate(
    basis: ForceConstantBasis, terms: OrderTerms, coefficients: NDArray[np.float64], torus: Torus
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Distinct clusters on the torus and their blocks."""
    order, n_cells = terms.order, torus.n_cells
    slots, axes = np.divmod(terms.monomials.astype(np.int64), 3)
    sites = basis.polynomial.slots[slots, 0].astype(np.int64)
    offsets = basis.polynomial.slots[slots, 1:].astype(np.int64)
    home = sites * n_cells + torus.cell_index(offsets[:, None] - offsets[:, :, None]).transpose(1, 0, 2)
    keys, columns = [], []
    for arrangement in permutations(range(order)):
        keys.append(home[arrangement[0]][:, arrangement])
        columns.append(axes[:, arrangement] @ 3 ** np.arange(order)[::-1])
    clusters, rows = np.unique(np.concatenate(keys), axis=0, return_inverse=True)
    blocks = np.zeros((len(clusters), 3**order))
    values = np.tile(coefficients, len(keys))
    np.add.at(blocks, (rows.reshape(-1), np.concatenate(columns)), values)
    return clusters, blocks.reshape(-1, *(3,) * order)
