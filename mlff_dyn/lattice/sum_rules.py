"""The acoustic sum rule as an exact null space.

A rigid translation changes no energy: sum_a dE/du_{a,alpha} vanishes identically, as a polynomial. For the
part of order n this is a polynomial of degree n - 1, and each of its coefficients, one per monomial of
n - 1 atoms and axis alpha, is a linear constraint on the parameters of that order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from mlff_dyn.errors import BasisError
from mlff_dyn.lattice.orbits import RowIndex, images_under, smallest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from mlff_dyn.lattice.crystal import Crystal
    from mlff_dyn.lattice.invariants import OrbitTerms
    from mlff_dyn.lattice.orbits import Identity

_RANK_TOLERANCE = 1e-6
"""Singular value, over the largest coefficient of the rules, that is zero but for rounding."""


def acoustic_sum_rule(
    crystal: Crystal, terms: OrbitTerms, operations: NDArray[np.int64], identity: Identity
) -> sparse.csr_matrix:
    """Constraint matrix A with A parameters = 0, shape (n_constraints, n_parameters).

    Constraints that a symmetry operation maps onto others are left out.

    Parameters
    ----------
    crystal : Crystal
    terms : OrbitTerms
    operations : ndarray of int
        Operations that the terms are invariant under.
    identity : Identity
        `InCrystal`: no supercell feels a rigid translation; `OnTorus`: the training supercell does not.
    """
    keys, clusters, derivative = _derivatives(terms, identity)
    wanted = _is_representative(crystal, clusters, operations, identity)
    rows = RowIndex(keys[wanted])
    return sparse.csr_matrix(_sum_rows(rows, keys[wanted]) @ derivative[wanted] @ terms.table)


def translation_response(
    terms: OrbitTerms, identity: Identity
) -> tuple[NDArray[np.int64], sparse.csr_matrix]:
    """How the energy of one order changes under a rigid translation, as a polynomial of the order below.

    Returns
    -------
    keys : ndarray of int, shape (n_rows, 2 * order - 1)
        Of each monomial: canonical codes of its atoms, axes of its factors, axis of the translation.
    response : csr_matrix, shape (n_rows, n_parameters)
        Its coefficient per parameter.
    """
    keys, _, derivative = _derivatives(terms, identity)
    rows = RowIndex(keys)
    return rows.rows, sparse.csr_matrix(_sum_rows(rows, keys) @ derivative @ terms.table)


def _derivatives(
    terms: OrbitTerms, identity: Identity
) -> tuple[NDArray[np.int64], NDArray[np.int64], sparse.csr_matrix]:
    """Every derivative of every monomial: its key, its cluster, and its factor in the monomial's column."""
    n_monomials, order = terms.codes.shape
    keys, clusters, monomials, factors = [], [], [], []
    for place in range(order):
        before = np.arange(order) < place
        same = (terms.codes == terms.codes[:, place : place + 1]) & (
            terms.axes == terms.axes[:, place : place + 1]
        )
        first = ~(same & before).any(axis=1)
        rest = np.delete(np.arange(order), place)
        clusters.append(terms.codes[first][:, rest])
        key = _monomial_keys(identity, clusters[-1], terms.axes[first][:, rest])
        keys.append(np.concatenate([key, terms.axes[first][:, place : place + 1]], axis=1))
        monomials.append(np.flatnonzero(first))
        factors.append(same[first].sum(axis=1).astype(float))
    columns = np.concatenate(monomials)
    entries = (np.concatenate(factors), (np.arange(len(columns)), columns))
    derivative = sparse.csr_matrix(entries, shape=(len(columns), n_monomials))
    return np.concatenate(keys), np.concatenate(clusters), derivative


def _sum_rows(index: RowIndex, keys: NDArray[np.int64]) -> sparse.csr_matrix:
    """Matrix that adds up all rows of one key."""
    places = (index.find(keys), np.arange(len(keys)))
    return sparse.csr_matrix((np.ones(len(keys)), places), shape=(len(index.rows), len(keys)))


def _monomial_keys(
    identity: Identity, codes: NDArray[np.int64], axes: NDArray[np.int64]
) -> NDArray[np.int64]:
    """One row per monomial, equal for the same one: canonical codes, then axes; both may be empty."""
    if codes.shape[1] == 0:
        return np.zeros((len(codes), 0), np.int64)
    candidates = []
    for key, positions in identity(codes):
        moved = np.take_along_axis(axes, positions, axis=1)
        order = np.argsort(key * 3 + moved, axis=1, kind="stable")
        sorted_axes = np.take_along_axis(moved, order, axis=1)
        candidates.append((np.concatenate([key, sorted_axes], axis=1), positions))
    return smallest(candidates)[0]


def _is_representative(
    crystal: Crystal, clusters: NDArray[np.int64], operations: NDArray[np.int64], identity: Identity
) -> NDArray[np.bool_]:
    """Whether a cluster belongs to the class that stands for all of its orbit."""
    if clusters.shape[1] == 0:
        return np.ones(len(clusters), bool)
    keys = smallest(identity(clusters))[0]
    index = RowIndex(keys)
    classes = index.find(keys)
    members = clusters[np.unique(classes, return_index=True)[1]]
    root = np.arange(len(members))
    for chosen, images in images_under(crystal, members, operations):
        target = index.find(smallest(identity(images))[0])
        np.minimum(root, target.reshape(len(chosen), len(root)).min(axis=0), out=root)
    return np.asarray((root == np.arange(len(root)))[classes])


def constraint_nullspace(
    terms: OrbitTerms, constraints: sparse.csr_matrix, whitening: sparse.csr_matrix
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Parameters before sum rules as a function of independent ones, parameters = N free.

    The columns are orthonormal in the metric of the force-constant tensor, so that the squared length of the
    free parameters is the squared norm of all force constants of a primitive cell.

    Parameters
    ----------
    terms : OrbitTerms
    constraints : csr_matrix, shape (any, n_parameters)
    whitening : csr_matrix
        See `whitening_matrix`.

    Returns
    -------
    nullspace : ndarray, shape (n_parameters, n_free)
        N.
    whitened : ndarray, shape (n_parameters, n_free)
        The same for parameters that are orthonormal in the metric within each orbit; its columns are
        orthonormal.

    Raises
    ------
    BasisError
        If the null space is not exact to 1e-10.
    """
    scaled = sparse.csr_matrix(constraints @ whitening)
    scaled.data[np.abs(scaled.data) < 1e-14] = 0.0
    scaled.eliminate_zeros()
    null = np.zeros((terms.n_parameters, terms.n_parameters))
    column = 0
    smallest = _RANK_TOLERANCE * float(abs(scaled).max()) if scaled.nnz else 0.0
    for members, block in _independent_blocks(scaled):
        vectors = _null_vectors(block, smallest)
        null[members, column : column + vectors.shape[1]] = vectors
        column += vectors.shape[1]
    null = null[:, :column].copy()
    if scaled.shape[0] and column and np.abs(scaled @ null).max() > 1e-10 * max(1.0, abs(scaled).max()):
        raise BasisError(
            "the sum rules have no exact null space",
            fix="change structure.symprec_angstrom, or give positions with more digits",
        )
    return np.asarray(whitening @ null), null


def whitening_matrix(terms: OrbitTerms) -> sparse.csr_matrix:
    """Parameters from ones that are orthonormal in the metric of the force-constant tensor.

    Block-triangular W with W^T metric W = 1; the metric couples only parameters of one orbit.
    """
    n = terms.n_parameters
    metric = sparse.coo_matrix(terms.table.T @ sparse.diags(terms.metric) @ terms.table)
    sizes = np.bincount(terms.parameter_orbit)
    starts = np.cumsum(sizes) - sizes
    orbit = terms.parameter_orbit[metric.row]
    blocks = []
    for size in np.unique(sizes[sizes > 0]):
        orbits = np.flatnonzero(sizes == size)
        place = np.full(len(sizes), -1)
        place[orbits] = np.arange(len(orbits))
        here = place[orbit] >= 0
        dense = np.zeros((len(orbits), size, size))
        start = starts[orbit[here]]
        dense[place[orbit[here]], metric.row[here] - start, metric.col[here] - start] = metric.data[here]
        inverse = np.linalg.inv(np.linalg.cholesky(dense)).transpose(0, 2, 1)
        kept = np.nonzero(np.triu(np.ones(inverse.shape, bool)))
        blocks.append((inverse[kept], starts[orbits[kept[0]]] + kept[1:]))
    values = np.concatenate([np.zeros(0), *(block[0] for block in blocks)])
    places = np.concatenate([np.zeros((2, 0), np.int64), *(block[1] for block in blocks)], axis=1)
    return sparse.csr_matrix((values, places), shape=(n, n))


def _independent_blocks(
    constraints: sparse.csr_matrix,
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Parameters that constraints connect, each set with its constraints as a dense matrix."""
    n_columns = constraints.shape[1]
    entries = constraints.tocoo()
    size = n_columns + constraints.shape[0]
    links = (np.ones(len(entries.row)), (entries.col, n_columns + entries.row))
    n_labels, found = connected_components(sparse.csr_matrix(links, shape=(size, size)), directed=False)
    label = found.astype(np.int64)
    columns, column_starts, local_column = _sorted_by(label[:n_columns], n_labels)
    _, row_starts, local_row = _sorted_by(label[n_columns:], n_labels)
    order, entry_starts, _ = _sorted_by(label[entries.col], n_labels)
    for k in range(n_labels):
        members = columns[column_starts[k] : column_starts[k + 1]]
        if not len(members):
            continue
        chosen = order[entry_starts[k] : entry_starts[k + 1]]
        block = np.zeros((row_starts[k + 1] - row_starts[k], len(members)))
        block[local_row[entries.row[chosen]], local_column[entries.col[chosen]]] = entries.data[chosen]
        yield members, block


def _sorted_by(
    label: NDArray[np.int64], n_labels: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Items sorted by label, where each label starts among them, and the place of each item in its label."""
    order = np.argsort(label, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(label, minlength=n_labels))])
    place = np.empty(len(label), np.int64)
    place[order] = np.arange(len(label)) - starts[label[order]]
    return order, starts, place


def _null_vectors(matrix: NDArray[np.float64], smallest: float) -> NDArray[np.float64]:
    """Orthonormal null vectors of a matrix, the largest component of each positive.

    Singular values of at most ``smallest`` are zero.
    """
    if not len(matrix):
        return np.eye(matrix.shape[1])
    tall = np.linalg.qr(matrix, mode="r") if len(matrix) > matrix.shape[1] else matrix
    _, values, right = np.linalg.svd(tall)
    rank = int((values > smallest).sum())
    vectors = right[rank:].T
    signs = np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(vectors.shape[1])])
    return np.asarray(vectors * signs)
