"""Rotational sum rules of order 2: a rotated crystal feels no force, and its elastic tensor is symmetric.

With r_ij the vector from atom i to atom j at rest, the rule of Born and Huang reads

    sum_j (Phi_{ia,jb} r_ij,c - Phi_{ia,jc} r_ij,b) = 0    for every atom i,

and that of Huang

    sum_ij (Phi_{ia,jb} r_ij,c r_ij,d - Phi_{ic,jd} r_ij,a r_ij,b) = 0    over a primitive cell.

Both hold for a crystal that is at rest without forces and without stress.

References
----------
Born and Huang, Dynamical Theory of Crystal Lattices (1954), sections 23 and 27.
"""

from __future__ import annotations

from itertools import combinations, combinations_with_replacement
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from mlff_dyn.errors import BasisError
from mlff_dyn.lattice.clusters import decode
from mlff_dyn.lattice.ideal_cell import average_separations

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from numpy.typing import NDArray

    from mlff_dyn.lattice.crystal import Crystal
    from mlff_dyn.lattice.invariants import OrbitTerms

    Bonds = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]

_PAIRS = list(combinations_with_replacement(range(3), 2))


def rotational_constraints(crystal: Crystal, terms: OrbitTerms, names: Collection[str]) -> sparse.csr_matrix:
    """Build the constraint matrix A with A parameters = 0, shape (n_constraints, n_parameters).

    Parameters
    ----------
    crystal : Crystal
    terms : OrbitTerms
        Of order 2.
    names : collection of str
        Keys of `ROTATIONAL_SUM_RULES`.

    Raises
    ------
    BasisError
        If a rule is not known.
    """
    unknown = set(names) - set(ROTATIONAL_SUM_RULES)
    if unknown:
        raise BasisError(
            f"rotational sum rule {min(unknown)!r} is not known", fix=f"use {', '.join(ROTATIONAL_SUM_RULES)}"
        )
    bonds = _bonds(crystal, terms)
    n_monomials = len(terms.codes)
    rules = [ROTATIONAL_SUM_RULES[name](crystal.n_sites, n_monomials, bonds) for name in sorted(set(names))]
    return sparse.csr_matrix(sparse.vstack(rules) @ terms.table)


def _bonds(crystal: Crystal, terms: OrbitTerms) -> Bonds:
    """Monomials between two atoms, seen from either: monomial, site i, axes (a, b), r_ij in bond lengths."""
    between = np.flatnonzero(terms.codes[:, 0] != terms.codes[:, 1])
    sites, offsets = decode(terms.codes[between], crystal.n_sites)
    axes = terms.axes[between]
    lattice, separations = _symmetric_geometry(crystal)
    vectors = separations[sites[:, 0], sites[:, 1]] + offsets[:, 1] - offsets[:, 0]
    vectors = vectors @ lattice / crystal.nearest_neighbor_distance
    return (
        np.concatenate([between, between]),
        np.concatenate([sites[:, 0], sites[:, 1]]),
        np.concatenate([axes, axes[:, ::-1]]),
        np.concatenate([vectors, -vectors]),
    )


def _symmetric_geometry(crystal: Crystal) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lattice (3, 3) and fractional separations (n_sites, n_sites, 3) with the space group exact.

    Rounding of the positions would otherwise add constraints that are none.
    """
    rotations = crystal.rotations.astype(float)
    turned = np.einsum("gba,cb,gcd->ad", crystal.cartesian_rotations, crystal.lattice, rotations)
    fractional = crystal.positions @ np.linalg.inv(crystal.lattice)
    separations = average_separations(fractional, crystal.rotations, crystal.site_map, crystal.site_shift)
    return turned.T / len(rotations), separations


def _born_huang(n_sites: int, n_monomials: int, bonds: Bonds) -> sparse.csr_matrix:
    monomials, sites, axes, vectors = bonds
    rows, columns, values = [], [], []
    for place, (b, c) in enumerate(combinations(range(3), 2)):
        for axis, other, sign in ((b, c, 1.0), (c, b, -1.0)):
            chosen = np.flatnonzero(axes[:, 1] == axis)
            rows.append((3 * sites[chosen] + axes[chosen, 0]) * 3 + place)
            columns.append(monomials[chosen])
            values.append(sign * vectors[chosen, other])
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return sparse.csr_matrix(entries, shape=(9 * n_sites, n_monomials))


def _huang(_n_sites: int, n_monomials: int, bonds: Bonds) -> sparse.csr_matrix:
    monomials, _, axes, vectors = bonds
    rows, columns, values = [], [], []
    for row, (first, second) in enumerate(combinations(_PAIRS, 2)):
        for (a, b), (c, d), sign in ((first, second, 1.0), (second, first, -1.0)):
            chosen = np.flatnonzero((np.sort(axes, axis=1) == (a, b)).all(axis=1))
            weight = 0.5 if a != b else 1.0
            rows.append(np.full(len(chosen), row))
            columns.append(monomials[chosen])
            values.append(sign * weight * vectors[chosen, c] * vectors[chosen, d])
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return sparse.csr_matrix(entries, shape=(15, n_monomials))


ROTATIONAL_SUM_RULES: dict[str, Callable[[int, int, Bonds], sparse.csr_matrix]] = {
    "huang": _huang,
    "born-huang": _born_huang,
}
