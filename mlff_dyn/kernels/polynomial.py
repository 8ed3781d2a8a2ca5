"""The energy of a crystal as a polynomial of the displacements, stored once per primitive cell.

E(u) = sum over primitive cells c and monomials m of
       coefficient_m * prod_i u[site(slot_i), c + offset(slot_i), axis_i]

where the coefficients are linear in the parameters: coefficient_m = sum_p data[m, p] parameter_p. The
parameters of all orders are concatenated, lowest order first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import DataError, check_shape

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_ORDER = 6


@dataclass(frozen=True, eq=False)
class OrderTerms:
    """The monomials of one order and how the parameters enter their coefficients.

    Parameters
    ----------
    order : int
        Number of displacement components in each monomial, 1 to 6.
    monomials : ndarray, shape (n_monomials, order), int32
        Variables 3 * slot + axis, ascending within a row; a variable may be repeated.
    indptr, indices, data : ndarray
        Compressed sparse rows of the matrix (n_monomials, n_parameters); data in eV/Å^order per parameter.
    n_parameters : int
        Parameters of this order.
    """

    order: int
    monomials: NDArray[np.int32]
    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    data: NDArray[np.float64]
    n_parameters: int

    def __post_init__(self) -> None:
        """Check shapes and index ranges, and store contiguous arrays."""
        if not 1 <= self.order <= MAX_ORDER:
            raise DataError(
                f"order {self.order} of an expansion is not between 1 and {MAX_ORDER}",
                fix=f"leave out orders above {MAX_ORDER}",
            )
        for name, kind in (
            ("monomials", np.int32),
            ("indptr", np.int64),
            ("indices", np.int32),
            ("data", np.float64),
        ):
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), dtype=kind))
        name = f"order {self.order}"
        check_shape(f"monomials of {name}", self.monomials, (None, self.order))
        check_shape(f"indptr of {name}", self.indptr, (self.n_monomials + 1,))
        check_shape(f"data of {name}", self.data, self.indices.shape)
        if (np.diff(self.monomials, axis=1) < 0).any():
            raise DataError(
                f"monomials of {name} are not ascending within a row",
                fix="sort the variables of each monomial",
            )
        is_ascending = (np.diff(self.indptr) >= 0).all()
        if not (is_ascending and self.indptr[0] == 0 and self.indptr[-1] == len(self.data)):
            raise DataError(
                f"indptr of {name} does not partition the {len(self.data)} entries",
                fix="let indptr ascend from 0 to the number of entries",
            )
        if len(self.indices) and (self.indices.min() < 0 or self.indices.max() >= self.n_parameters):
            raise DataError(
                f"a parameter index of {name} is outside 0..{self.n_parameters - 1}",
                fix="raise n_parameters, or number the parameters from 0",
            )

    @property
    def n_monomials(self) -> int:
        """Number of monomials of one primitive cell."""
        return len(self.monomials)

    def coefficients(self, parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        """Coefficient of every monomial.

        Parameters
        ----------
        parameters : ndarray, shape (n_parameters,)
            Parameters of this order.

        Returns
        -------
        ndarray, shape (n_monomials,), eV/Å^order
        """
        rows = np.repeat(np.arange(self.n_monomials), np.diff(self.indptr))
        weights = self.data * parameters[self.indices]
        return np.bincount(rows, weights=weights, minlength=self.n_monomials).astype(np.float64)


@dataclass(frozen=True, eq=False)
class CellPolynomial:
    """Energy of one primitive cell.

    Parameters
    ----------
    n_sites : int
        Atoms of the primitive cell.
    slots : ndarray, shape (n_slots, 4), int32
        (site, offset along the three lattice vectors): an atom relative to the home cell.
    orders : tuple of OrderTerms
        Ascending orders.
    """

    n_sites: int
    slots: NDArray[np.int32]
    orders: tuple[OrderTerms, ...]

    def __post_init__(self) -> None:
        """Check that every variable and site exists and that orders ascend."""
        object.__setattr__(self, "slots", np.ascontiguousarray(self.slots, dtype=np.int32).reshape(-1, 4))
        orders = [terms.order for terms in self.orders]
        if orders != sorted(set(orders)):
            raise DataError(
                f"orders {orders} of an expansion are not ascending",
                fix="give each order once, the lowest first",
            )
        sites = self.slots[:, 0]
        if len(sites) and (sites.min() < 0 or sites.max() >= self.n_sites):
            raise DataError(
                f"a slot names a site outside 0..{self.n_sites - 1}",
                fix="raise n_sites, or number the sites from 0",
            )
        for terms in self.orders:
            variables = terms.monomials
            if variables.size and (variables.min() < 0 or variables.max() >= 3 * len(self.slots)):
                raise DataError(
                    f"a monomial of order {terms.order} names a slot outside 0..{len(self.slots) - 1}",
                    fix="number the variables from 0, three for each slot",
                )

    def first_orders(self, n_orders: int) -> CellPolynomial:
        """Return the polynomial of the first orders, with the slots that they need."""
        orders = self.orders[:n_orders]
        variables = [terms.monomials.ravel() for terms in orders]
        slots = np.unique(np.concatenate([np.empty(0, np.int32), *variables]) // 3)
        places = np.zeros(len(self.slots), np.int32)
        places[slots] = np.arange(len(slots))
        return CellPolynomial(
            self.n_sites,
            self.slots[slots],
            tuple(replace(t, monomials=3 * places[t.monomials // 3] + t.monomials % 3) for t in orders),
        )

    @property
    def n_parameters(self) -> int:
        """Parameters of all orders."""
        return sum(terms.n_parameters for terms in self.orders)

    @property
    def parameter_offsets(self) -> NDArray[np.int64]:
        """Index of the first parameter of each order, and the total; shape (n_orders + 1,)."""
        return np.cumsum([0, *(terms.n_parameters for terms in self.orders)], dtype=np.int64)

    @property
    def parameter_orders(self) -> NDArray[np.int64]:
        """Order of every parameter; shape (n_parameters,)."""
        orders = np.array([terms.order for terms in self.orders], dtype=np.int64)
        return np.repeat(orders, [terms.n_parameters for terms in self.orders])
