"""Force constants of pairs along their bond, apart from those across it.

With the unit vector e from one atom of a pair to the other, the force constant of order n along the bond is
the contraction of Phi with e in all n places: the n-th derivative of a pair potential, and in most crystals
far larger than what is across the bond. It is one direction among the parameters of an orbit of pairs.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.lattice.clusters import decode

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy import sparse

    from mlff_dyn.lattice.crystal import Crystal
    from mlff_dyn.lattice.invariants import OrbitTerms

_PAIR = 2
_SMALLEST_LENGTH = 1e-10
"""Of a vector of the size of one that rounding alone makes."""


def part_longitudinal(
    crystal: Crystal, terms: OrbitTerms, whitening: sparse.csr_matrix, whitened: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Turn the parameters of each orbit of pairs so that the first one is the force constant along the bond.

    Parameters
    ----------
    crystal : Crystal
    terms : OrbitTerms
        Of one order.
    whitening : csr_matrix, shape (n_orbit_parameters, n_orbit_parameters)
        Orbit parameters from orthonormal ones.
    whitened : ndarray, shape (n_orbit_parameters, any)
        Rows are orthonormal parameters.

    Returns
    -------
    turned : ndarray
        As ``whitened``, after an orthogonal transformation within each orbit.
    is_longitudinal : ndarray of bool, shape (n_orbit_parameters,)
    """
    turned = whitened.copy()
    flags = np.zeros(terms.n_parameters, bool)
    order = terms.codes.shape[1]
    if order == 1:
        return turned, flags
    by_parameter = terms.table.tocsc()
    starts = np.unique(terms.parameter_orbit, return_index=True)[1]
    for first, last in itertools.pairwise([*starts.tolist(), terms.n_parameters]):
        if terms.n_bodies[first] != _PAIR:
            continue
        members = slice(first, last)
        lengths = _lengths_along(crystal, terms, by_parameter[:, members])
        direction = whitening[members, members].T @ lengths
        norm = float(np.linalg.norm(direction))
        if norm > _SMALLEST_LENGTH:
            turned[members] = _reflect(direction / norm, turned[members])
            flags[first] = True
    return turned, flags


def _lengths_along(crystal: Crystal, terms: OrbitTerms, columns: sparse.csc_matrix) -> NDArray[np.float64]:
    """Contraction with the bond of one pair, per parameter of its orbit; zeros where images stand for it."""
    rows = np.unique(columns.indices)
    same = rows[(terms.codes[rows] == terms.codes[rows[0]]).all(axis=1)]
    atoms = np.unique(terms.codes[rows[0]])
    if len(atoms) != _PAIR:
        return np.zeros(columns.shape[1])
    sites, offsets = decode(atoms, crystal.n_sites)
    one, other = crystal.positions[sites] + offsets @ crystal.lattice
    bond = (other - one) / np.linalg.norm(other - one)
    return np.asarray(columns[same].T @ bond[terms.axes[same]].prod(axis=1))


def _reflect(direction: NDArray[np.float64], rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Householder reflection that takes a unit vector to the first axis."""
    mirror = direction.copy()
    mirror[0] -= 1.0
    square = float(mirror @ mirror)
    if square < _SMALLEST_LENGTH**2:
        return rows
    return np.asarray(rows - np.outer(2.0 / square * mirror, mirror @ rows))
