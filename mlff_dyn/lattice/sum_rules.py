"""The acoustic sum rule as an exact null space.

A rigid translation changes no energy: sum_a dE/du_{a,alpha} vanishes identically, as a polynomial. For the
part of order n this is a polynomial of degree n - 1, and each of its coefficients, one per monomial of
n - 1 atoms and axis alpha, is a linear constraint on the parameters of that order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse
from scipy.linalg import block_diag, cholesky, solve_triangular
from scipy.sparse.csgraph import connected_components

from mlff_dyn.errors import BasisError
from mlff_dyn.lattice.clusters import canonical
from mlff_dyn.lattice.orbits import RowIndex, apply_operation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.lattice.crystal import Crystal
    from mlff_dyn.lattice.invariants import OrbitTerms

_RANK_TOLERANCE = 1e-6


def acoustic_sum_rule(
    crystal: Crystal, terms: OrbitTerms, operations: NDArray[np.int64]
) -> sparse.csr_matrix:
    """Constraint matrix A with A parameters = 0, shape (n_constraints, n_parameters).

    Constraints that a symmetry operation maps onto others are left out.
    """
    n_monomials, order = terms.codes.shape
    keys, monomials, factors = [], [], []
    for place in range(order):
        before = np.arange(order) < place
        same = (terms.codes == terms.codes[:, place : place + 1]) & (
            terms.axes == terms.axes[:, place : place + 1]
        )
        first = ~(same & before).any(axis=1)
        rest = np.delete(np.arange(order), place)
        codes, positions = canonical(terms.codes[first][:, rest], crystal.n_sites)
        axes = np.take_along_axis(terms.axes[first][:, rest], positions, axis=1)
        codes, axes = _sort_axes_of_equal_atoms(codes, axes)
        keys.append(np.concatenate([codes, axes, terms.axes[first][:, place : place + 1]], axis=1))
        monomials.append(np.flatnonzero(first))
        factors.append(same[first].sum(axis=1).astype(float))
    all_keys = np.concatenate(keys)
    wanted = _is_representative(crystal, all_keys[:, : order - 1], operations)
    rows = RowIndex(all_keys[wanted])
    picked = sparse.csr_matrix(
        (np.concatenate(factors)[wanted], (rows.find(all_keys[wanted]), np.concatenate(monomials)[wanted])),
        shape=(len(rows.rows), n_monomials),
    )
    return sparse.csr_matrix(picked @ terms.table)


def _sort_axes_of_equal_atoms(
    codes: NDArray[np.int64], axes: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Make monomials unique: axes ascend among repetitions of an atom."""
    order = np.argsort(codes * 3 + axes, axis=1, kind="stable")
    return np.take_along_axis(codes, order, axis=1), np.take_along_axis(axes, order, axis=1)


def _is_representative(
    crystal: Crystal, clusters: NDArray[np.int64], operations: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Whether a canonical cluster is the one of its orbit that stands for all."""
    if clusters.shape[1] == 0:
        return np.ones(len(clusters), bool)
    index = RowIndex(clusters)
    root = np.arange(len(index.rows))
    for g in operations:
        image, _ = canonical(apply_operation(crystal, index.rows, int(g)), crystal.n_sites)
        np.minimum(root, index.find(image), out=root)
    return np.asarray((root == np.arange(len(root)))[index.find(clusters)])


def constraint_nullspace(
    terms: OrbitTerms, constraints: sparse.csr_matrix
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Parameters before sum rules as a function of independent ones, parameters = N free.

    The columns are orthonormal in the metric of the force-constant tensor, so that the squared length of the
    free parameters is the squared norm of all force constants of a primitive cell.

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
    metric = (terms.table.T @ sparse.diags(terms.metric) @ terms.table).toarray()
    whitening = _inverse_factor(metric, terms.parameter_orbit)
    scaled = sparse.csr_matrix(constraints @ whitening)
    scaled.data[np.abs(scaled.data) < 1e-14] = 0.0
    scaled.eliminate_zeros()
    _, label = connected_components(abs(scaled).T @ abs(scaled), directed=False)
    null = np.zeros((terms.n_parameters, terms.n_parameters))
    column = 0
    for component in range(label.max(initial=-1) + 1):
        members = np.flatnonzero(label == component)
        block = scaled[:, members]
        vectors = _null_vectors(block[np.unique(block.nonzero()[0])].toarray())
        null[members, column : column + vectors.shape[1]] = vectors
        column += vectors.shape[1]
    null = null[:, :column]
    if scaled.shape[0] and column and np.abs(scaled @ null).max() > 1e-10 * max(1.0, abs(scaled).max()):
        raise BasisError(
            "the acoustic sum rule has no exact null space", fix="check structure.symprec_angstrom"
        )
    return np.asarray(whitening @ null), null


def _inverse_factor(metric: NDArray[np.float64], orbit: NDArray[np.int64]) -> NDArray[np.float64]:
    """Block-triangular W with W^T metric W = 1; the metric couples only parameters of one orbit."""
    blocks = []
    for chosen in np.split(np.arange(len(orbit)), np.flatnonzero(np.diff(orbit)) + 1):
        if len(chosen):
            lower = cholesky(metric[np.ix_(chosen, chosen)], lower=True)
            blocks.append(solve_triangular(lower, np.eye(len(chosen)), lower=True).T)
    return np.asarray(block_diag(*blocks)) if blocks else np.zeros((0, 0))


def _null_vectors(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Orthonormal null vectors of a matrix, the largest component of each positive."""
    if not len(matrix):
        return np.eye(matrix.shape[1])
    tall = np.linalg.qr(matrix, mode="r") if len(matrix) > matrix.shape[1] else matrix
    _, values, right = np.linalg.svd(tall)
    rank = int((values > _RANK_TOLERANCE * values.max(initial=1e-300)).sum())
    vectors = right[rank:].T
    signs = np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(vectors.shape[1])])
    return np.asarray(vectors * signs)
