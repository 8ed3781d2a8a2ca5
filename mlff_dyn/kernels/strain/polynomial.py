"""The polynomial of a homogeneously strained crystal.

A strain e (a symmetric 3 x 3 tensor) moves the sites R to (1 + e) R, so that atoms see each other displaced
by u_j - u_i + e (R_j - R_i). The force constants of the strained crystal are

    Phi(e)_(i1 ... ik) = sum_m 1/m! sum_(j1 ... jm) Phi_(i1 ... ik j1 ... jm) prod_l e (R_jl - R_o)

for k >= 1. By the acoustic sum rule they do not depend on the origin R_o, which may be another one for every
(i1 ... ik); here it is the mean position of those atoms. So a strained crystal is a polynomial of u over the
same clusters and their parts, with other coefficients: exp(D) applied to the old one, where the operator D
takes one displacement of a monomial out and puts e (R - R_o) in its place. Order 1 of the reference crystal,
the forces at rest, is not changed by a strain.

Crystals that lack inversion may have a term (sum_i u_i) . Q e unless the rotational sum rules of order 2 are
imposed: a net force in a strained crystal. It is taken off. What is left, order 0, is the business of
`mlff_dyn.kernels.strain.energy`.

Where the sum rule holds on the training supercell only (one parameter of a full order 3, see
`mlff_dyn.lattice.other_supercells`), what depends on the origin remains: 0.2 % of the strained forces of
silicon with random parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import sparse

from mlff_dyn.errors import check_shape
from mlff_dyn.kernels.gather import GatherTables, build_gather_tables, unique_rows
from mlff_dyn.kernels.polynomial import CellPolynomial, OrderTerms
from mlff_dyn.kernels.strain.numbering import Numbering, Removed, monomial_keys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class Removal(NamedTuple):
    """One displacement of a monomial replaced by a strained arm.

    Coefficient[target] of the order below += factor * (strain @ arm)[axis] * coefficient[source]; sorted by
    target.
    """

    sources: NDArray[np.int64]
    targets: NDArray[np.int64]
    factors: NDArray[np.float64]
    axes: NDArray[np.int64]
    arms: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class StrainTables:
    """Monomials of strained crystals and how a strain feeds the coefficients of the orders below.

    Attributes
    ----------
    polynomial : CellPolynomial
        Of the unstrained crystal.
    strained : CellPolynomial
        Orders 1 to the highest; every monomial has a parameter of its own, its coefficient.
    positions : ndarray, shape (n_slots, 3), Å
        Of the slots of `strained`, the home cell being at the origin.
    places : tuple of ndarray
        For each order of `polynomial`, the monomial of `strained` that each of its monomials is.
    removals : tuple of Removal
        From order n + 1 to order n, for n = 1 on.
    """

    polynomial: CellPolynomial
    strained: CellPolynomial
    positions: NDArray[np.float64]
    places: tuple[NDArray[np.int64], ...]
    removals: tuple[Removal, ...]

    @property
    def max_order(self) -> int:
        """Highest order."""
        return len(self.strained.orders)

    @property
    def n_monomials(self) -> list[int]:
        """Monomials of each order from 1 on."""
        return [terms.n_monomials for terms in self.strained.orders]

    @cached_property
    def gather(self) -> GatherTables:
        """Kernel tables of `strained`."""
        return build_gather_tables(self.strained)

    @cached_property
    def virial_gather(self) -> GatherTables:
        """Kernel tables without the highest order, for derivatives with respect to a strain."""
        return self.gather_up_to(max(1, self.max_order - 1))

    def gather_up_to(self, order: int) -> GatherTables:
        """Kernel tables of the orders up to one."""
        terms = self.strained.orders[:order]
        return build_gather_tables(CellPolynomial(self.strained.n_sites, self.strained.slots, terms))

    def coefficients(self, parameters: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        """Coefficients of the unstrained crystal by order.

        Parameters
        ----------
        parameters : ndarray, shape (n_parameters,)
            Of `polynomial`.

        Returns
        -------
        list of ndarray, shapes (n_monomials,)
            Orders 1 to the highest, eV/Å^order.
        """
        check_shape("parameters", parameters, (self.polynomial.n_parameters,))
        found = [np.zeros(size) for size in self.n_monomials]
        offsets = self.polynomial.parameter_offsets
        for terms, places, first in zip(self.polynomial.orders, self.places, offsets, strict=False):
            own = terms.coefficients(parameters[first : first + terms.n_parameters])
            np.add.at(found[terms.order - 1], places, own)
        return found

    def parameter_matrix(self, order: int) -> tuple[sparse.csr_matrix, int]:
        """Coefficients of an order per parameter of that order, and the first of these parameters.

        The matrix has the shape (n_monomials, n_parameters); no columns if there is no such order.
        """
        offsets = self.polynomial.parameter_offsets
        for terms, places, first in zip(self.polynomial.orders, self.places, offsets, strict=False):
            if terms.order == order:
                rows = np.repeat(places, np.diff(terms.indptr))
                shape = (self.n_monomials[order - 1], terms.n_parameters)
                return sparse.csr_matrix((terms.data, (rows, terms.indices)), shape=shape), int(first)
        n_monomials = self.n_monomials[order - 1] if order <= self.max_order else 0
        return sparse.csr_matrix((n_monomials, 0)), 0

    def removal_matrix(self, order: int, strain: NDArray[np.float64]) -> sparse.csr_matrix:
        """Operator D from an order to the one below, without the correction of `remove`."""
        removal = self.removals[order - 2]
        values = (
            removal.factors
            * np.take_along_axis(removal.arms @ strain.T, removal.axes[:, None], axis=1).ravel()
        )
        shape = (self.n_monomials[order - 2], self.n_monomials[order - 1])
        return sparse.csr_matrix((values, (removal.targets, removal.sources)), shape=shape)

    def remove(
        self, order: int, strain: NDArray[np.float64], coefficients: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Apply D to coefficients of an order.

        Parameters
        ----------
        order : int
            From 2 on.
        strain : ndarray, shape (3, 3)
            Symmetric.
        coefficients : ndarray, shape (n_monomials,)
            Of this order, obeying the acoustic sum rule.

        Returns
        -------
        ndarray, shape (n_monomials,)
            Of the order below; those of order 1 without net force.
        """
        removal = self.removals[order - 2]
        moved = removal.arms @ strain
        weights = removal.factors * moved[np.arange(len(moved)), removal.axes] * coefficients[removal.sources]
        size = self.n_monomials[order - 2]
        below = np.bincount(removal.targets, weights=weights, minlength=size).astype(np.float64)
        return self._without_net_force(below) if order == 2 else below

    def strain_coefficients(
        self, coefficients: Sequence[NDArray[np.float64]], strain: NDArray[np.float64]
    ) -> list[NDArray[np.float64]]:
        """Coefficients of the strained crystal.

        Parameters
        ----------
        coefficients : sequence of ndarray
            See `coefficients`.
        strain : ndarray, shape (3, 3)

        Returns
        -------
        list of ndarray
            Orders 1 to the highest.
        """
        strained = [part.copy() for part in coefficients]
        for order, part in enumerate(coefficients, start=1):
            moved = part
            for below in range(order - 1, 0, -1):
                moved = self.remove(below + 1, strain, moved) / (order - below)
                strained[below - 1] += moved
        return strained

    def _without_net_force(self, first: NDArray[np.float64]) -> NDArray[np.float64]:
        """Order 1 holds every site and axis, in this order."""
        by_site = first.reshape(-1, 3)
        return np.asarray(by_site - by_site.mean(axis=0)).reshape(-1)


def build_strain_tables(
    polynomial: CellPolynomial, lattice: NDArray[np.float64], site_positions: NDArray[np.float64]
) -> StrainTables:
    """Find the clusters that strained crystals have, and the arms.

    Parameters
    ----------
    polynomial : CellPolynomial
    lattice : ndarray, shape (3, 3), Å
        Primitive vectors as rows.
    site_positions : ndarray, shape (n_sites, 3), Å

    Returns
    -------
    StrainTables
    """
    check_shape("lattice", lattice, (3, 3))
    check_shape("site_positions", site_positions, (polynomial.n_sites, 3))
    numbering = Numbering(polynomial.n_sites, lattice, site_positions)
    own = {terms.order: numbering.canonical(monomial_keys(polynomial, terms)) for terms in polynomial.orders}
    max_order = max(own, default=1)
    rows = np.empty((0, max_order), np.int64)
    keys: list[NDArray[np.int64]] = []
    places: list[NDArray[np.int64]] = []
    removals: list[Removal] = []
    pieces: list[Removed] = []
    for order in range(max_order, 0, -1):
        given = own.get(order, np.empty((0, order), np.int64))
        if order == 1:
            rows = np.concatenate([rows, np.arange(3 * polynomial.n_sites)[:, None]])
        found, inverse = unique_rows(np.concatenate([given, rows]))
        keys.insert(0, found.astype(np.int64))
        places.insert(0, inverse[: len(given)])
        if pieces:
            removals.insert(0, _removal(pieces, inverse[len(given) :]))
        if order > 1:
            pieces = numbering.remove_each(keys[0])
            rows = np.concatenate([piece.rows for piece in pieces])
    codes = np.unique(np.concatenate([found.ravel() // 3 for found in keys]))
    sites, offsets = numbering.decode(codes)
    return StrainTables(
        polynomial=polynomial,
        strained=CellPolynomial(
            n_sites=polynomial.n_sites,
            slots=np.column_stack([sites, offsets]).astype(np.int32),
            orders=tuple(_own_terms(found, codes) for found in keys),
        ),
        positions=numbering.positions(codes),
        places=tuple(places[terms.order - 1] for terms in polynomial.orders),
        removals=tuple(removals),
    )


def _removal(pieces: list[Removed], inverse: NDArray[np.int64]) -> Removal:
    joined = Removed(*(np.concatenate(column) for column in zip(*pieces, strict=True)))
    targets = inverse[: len(joined.rows)]
    order = np.argsort(targets, kind="stable")
    return Removal(
        joined.sources[order],
        targets[order],
        joined.factors[order],
        joined.axes[order],
        np.ascontiguousarray(joined.arms[order]),
    )


def _own_terms(keys: NDArray[np.int64], codes: NDArray[np.int64]) -> OrderTerms:
    """Every monomial with a parameter of its own."""
    variables = 3 * np.searchsorted(codes, keys // 3) + keys % 3
    n_monomials = len(keys)
    return OrderTerms(
        order=keys.shape[1],
        monomials=variables.astype(np.int32),
        indptr=np.arange(n_monomials + 1),
        indices=np.arange(n_monomials, dtype=np.int32),
        data=np.ones(n_monomials),
        n_parameters=n_monomials,
    )
