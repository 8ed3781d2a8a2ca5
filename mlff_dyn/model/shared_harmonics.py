"""Order 2 of the local part on other cells than the training supercell, shared among periodic images.

Functions of three bodies join atoms up to twice the cutoff apart. Of the force constants Phi at rest that
this makes, the forces of a training supercell tell the sum over all images of a pair,

    Phi^T_ij = sum_L Phi_(i, j + L),        L the vectors of the supercell,

and nothing about its terms. The energy of any other supercell, or of a strained one, has in their place

    Phi^S_(i, j + L) = Phi^T_ij / m for the m shortest images of the pair, 0 for all others,

as the force constants of ``2: full`` have: E = E_local - 1/2 u Phi u + 1/2 u Phi^S u. Both are the same on
the training supercell and on those that it consists of. The difference is of order 2 and linear in the
parameters of the local part; it is added to the force constants of the basis. The sum over the second atom
is that of Phi, so the acoustic sum rule holds. Rotations then cost a little energy, as they do for
force constants without rotational sum rules; where those are imposed nothing is shared.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import linalg, sparse
from scipy.sparse.linalg import splu

from mlff_dyn.kernels.polynomial import CellPolynomial, OrderTerms
from mlff_dyn.lattice.clusters import canonical, decode, encode
from mlff_dyn.lattice.invariants import OrbitTerms, build_terms
from mlff_dyn.lattice.orbits import InCrystal, RowIndex, close_under_group, find_orbits
from mlff_dyn.lattice.symmetric_powers import symmetric_powers
from mlff_dyn.lattice.wigner_seitz import compatible_operations, shortest_images
from mlff_dyn.local.taylor import SiteAtRest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.lattice.basis import ForceConstantBasis
    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.local.basis import LocalBasis

_ZERO = 1e-9
"""Rounding of sums of shares, which are of the size of one."""


def with_shared_harmonics(
    basis: ForceConstantBasis, local: LocalBasis, training: Torus
) -> ForceConstantBasis | None:
    """Force constants with what the local part gains and loses by sharing.

    Parameters
    ----------
    basis : ForceConstantBasis
    local : LocalBasis
    training : Torus
        Supercell whose shortest images share.

    Returns
    -------
    ForceConstantBasis or None
        Its parameters of order 2 are those of `basis`, then those of the local part; its classes are those
        of `basis`. None if the local part does not reach beyond the training supercell.
    """
    crystal, operations = training.crystal, compatible_operations(training)
    sites = [SiteAtRest(local.tables, site, 2) for site in range(crystal.n_sites)]
    pairs = _ordered_pairs(_terms_of(sites, local), crystal.n_sites)
    change, places = _change(pairs, training)
    if not len(places):
        return None
    clusters = close_under_group(crystal, canonical(places, crystal.n_sites)[0], operations)
    powers = symmetric_powers(crystal.cartesian_rotations, 2)
    orbits = find_orbits(crystal, clusters, InCrystal(crystal.n_sites), operations)
    terms = build_terms(crystal, orbits, powers)
    operator = (
        _monomials_of_pairs(terms, places) @ sparse.kron(change, sparse.identity(9)) @ _both_orders(pairs)
    )
    columns = _per_function(sites, local, operator.tocsc(), terms.table)
    return _extended(basis, terms, local.reduce_columns(columns))


def _terms_of(sites: list[SiteAtRest], local: LocalBasis) -> NDArray[np.int64]:
    """Codes of the two atoms of each derivative of all sites, shape (n_terms, 2)."""
    tables, found = local.tables, []
    for site, at_rest in enumerate(sites):
        slots = np.concatenate([[[site, 0, 0, 0]], tables.slots[at_rest.neighbors]]).astype(np.int64)
        codes = encode(slots[:, 0], slots[:, 1:], tables.n_sites)
        found.append(codes[at_rest.derivatives(np.zeros(tables.n_functions)).clusters])
    return np.concatenate(found)


def _ordered_pairs(codes: NDArray[np.int64], n_sites: int) -> NDArray[np.int64]:
    """Pairs in both orders, first one, then the other, each moved so that its first atom is in cell 0."""
    both = np.concatenate([codes, codes[:, ::-1]])
    return np.asarray(both - (both[:, :1] - both[:, :1] % n_sites))


def _change(pairs: NDArray[np.int64], training: Torus) -> tuple[sparse.csr_matrix, NDArray[np.int64]]:
    """What sharing adds to the force constants of ordered pairs, per force constant of given pairs.

    Returns
    -------
    change : csr_matrix, shape (n_changed, n_pairs)
    places : ndarray of int, shape (n_changed, 2)
        Ordered pairs that change.
    """
    n_atoms, n_sites = training.n_atoms, training.crystal.n_sites
    images = shortest_images(training)
    of_images = np.stack([images.sites, images.codes], axis=1)
    every = RowIndex(np.concatenate([pairs, of_images]))
    sites, offsets = decode(pairs[:, 1], n_sites)
    atoms = sites * training.n_cells + training.cell_index(offsets)
    fold = _matrix(pairs[:, 0] * n_atoms + atoms, np.arange(len(pairs)), (n_sites * n_atoms, len(pairs)))
    on_torus = images.sites * n_atoms + images.atoms
    share = _matrix(every.find(of_images), on_torus, (len(every.rows), n_sites * n_atoms), images.shares)
    stay = _matrix(every.find(pairs), np.arange(len(pairs)), (len(every.rows), len(pairs)))
    change = (share @ fold - stay).tocsr()
    change.data[np.abs(change.data) < _ZERO] = 0.0
    change.eliminate_zeros()
    changed = np.flatnonzero(np.diff(change.indptr))
    return change[changed], every.rows[changed]


def _both_orders(pairs: NDArray[np.int64]) -> sparse.csr_matrix:
    """Blocks of ordered pairs from those of terms: as they are, then with their axes exchanged."""
    n_terms, transposed = len(pairs) // 2, np.arange(9).reshape(3, 3).T.ravel()
    exchanged = 9 * np.arange(n_terms)[:, None] + transposed
    same = sparse.identity(9 * n_terms, format="csr")
    return sparse.csr_matrix(sparse.vstack([same, same[exchanged.ravel()]]))


def _monomials_of_pairs(terms: OrbitTerms, places: NDArray[np.int64]) -> sparse.csr_matrix:
    """Coefficients of the monomials of terms from force constants of ordered pairs."""
    index = RowIndex(np.concatenate([places, terms.codes]))
    rows = np.full(len(index.rows), -1)
    rows[index.find(places)] = np.arange(len(places))
    found = rows[index.find(terms.codes)]
    known = np.flatnonzero(found >= 0)
    is_square = (terms.codes[:, 0] == terms.codes[:, 1]) & (terms.axes[:, 0] == terms.axes[:, 1])
    columns = 9 * found + 3 * terms.axes[:, 0] + terms.axes[:, 1]
    shape = (len(terms.codes), 9 * len(places))
    return _matrix(known, columns[known], shape, np.where(is_square, 0.5, 1.0)[known])


def _per_function(
    sites: list[SiteAtRest], local: LocalBasis, operator: sparse.csc_matrix, table: sparse.csr_matrix
) -> NDArray[np.float64]:
    """Orbit parameters of terms per function, shape (n_orbit_parameters, n_functions).

    ``operator`` gives coefficients of monomials from the derivatives of all sites.
    """
    units = np.eye(local.n_functions)
    moments, first = np.zeros((table.shape[1], local.n_functions)), 0
    for site in sites:
        functions = site.functions
        blocks = np.array([site.derivatives(units[k]).blocks.ravel() for k in functions]).T
        last = first + len(blocks)
        moments[:, functions] += table.T @ (operator[:, first:last] @ blocks)
        first = last
    return np.asarray(splu((table.T @ table).tocsc()).solve(moments))


def _extended(
    basis: ForceConstantBasis, terms: OrbitTerms, columns: NDArray[np.float64]
) -> ForceConstantBasis:
    """Basis with further terms of order 2 and their orbit parameters per further parameter."""
    polynomial, n_sites = basis.polynomial, basis.crystal.n_sites
    known = encode(polynomial.slots[:, 0].astype(np.int64), polynomial.slots[:, 1:].astype(np.int64), n_sites)
    codes = np.unique(np.concatenate([known, terms.codes.ravel()]))
    slots, axes = np.divmod(np.arange(3 * len(known)), 3)
    renumbered = 3 * np.searchsorted(codes, known)[slots] + axes
    orders = {
        each.order: replace(each, monomials=np.sort(renumbered[each.monomials], axis=1))
        for each in polynomial.orders
    }
    nullspaces = dict(zip(basis.orders, basis.nullspaces, strict=True))
    orders[2] = _with_terms(orders.get(2), 3 * np.searchsorted(codes, terms.codes) + terms.axes, terms.table)
    nullspaces[2] = linalg.block_diag(nullspaces.get(2, np.zeros((0, 0))), columns)
    sites, offsets = decode(codes, n_sites)
    found = sorted(orders)
    return replace(
        basis,
        polynomial=CellPolynomial(
            n_sites, np.column_stack([sites, offsets]).astype(np.int32), tuple(orders[n] for n in found)
        ),
        nullspaces=tuple(nullspaces[n] for n in found),
        orders=tuple(found),
    )


def _with_terms(
    known: OrderTerms | None, monomials: NDArray[np.int64], table: sparse.csr_matrix
) -> OrderTerms:
    """Terms of order 2 with further monomials and parameters, each monomial once."""
    if known is not None:
        shape = known.n_monomials, known.n_parameters
        own = sparse.csr_matrix((known.data, known.indices, known.indptr), shape=shape)
        table = sparse.csr_matrix(sparse.block_diag([own, table]))
        monomials = np.concatenate([known.monomials, monomials])
    index = RowIndex(monomials)
    place = _matrix(index.find(monomials), np.arange(len(monomials)), (len(index.rows), len(monomials)))
    table = sparse.csr_matrix(place @ table)
    indptr, rows = table.indptr.astype(np.int64), index.rows.astype(np.int32)
    return OrderTerms(2, rows, indptr, table.indices, table.data, table.shape[1])


def _matrix(
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    shape: tuple[int, int],
    values: NDArray[np.float64] | None = None,
) -> sparse.csr_matrix:
    """Sparse matrix of elements, ones by default."""
    elements = np.ones(len(rows)) if values is None else values
    return sparse.csr_matrix((elements, (rows, columns)), shape=shape)
