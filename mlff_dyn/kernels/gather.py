"""Derivatives of the cell polynomial, seen from the atom that is differentiated.

For a target (site, axis) in the home cell, dE/du collects every monomial that holds the target, translated
so that the target sits in the home cell. What remains of an order n monomial is a derivative monomial of
degree n - 1. Derivative monomials form a tree: each is its parent times one variable and costs one
multiplication.

The energy follows from Euler's theorem: E_n = (1/n) sum_i u_i dE_n/du_i.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mlff_dyn.errors import DataError, check_shape

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.kernels.polynomial import CellPolynomial, OrderTerms


@dataclass(frozen=True, eq=False)
class GatherTables:
    """Everything that the kernels need besides the torus.

    Attributes
    ----------
    polynomial : CellPolynomial
        What the tables were built from.
    slots : ndarray, shape (n_slots, 4), int32
        (site, offset) of every atom that a target of the home cell sees.
    home_slots : ndarray, shape (n_sites,), int32
        Slot of each site of the home cell itself.
    relative_slots : ndarray, shape (n_polynomial_slots, n_polynomial_slots), int32
        Entry (j, i): the slot that j becomes when i is moved to the home cell; -1 if the two never meet.
    node_parents, node_variables : ndarray, shape (n_nodes,), int32
        Tree of derivative monomials: node = parent * variable, parents first; node 0 is the constant 1.
    degree_starts : ndarray, shape (max_degree + 2,), int64
        Nodes of degree d are degree_starts[d] to degree_starts[d + 1].
    entry_targets, entry_parameters, entry_nodes : ndarray, shape (n_entries,), int32
        Sorted by target, then parameter, then node; target = 3 * site + axis.
    entry_factors : ndarray, shape (n_entries,)
        dE/du(target) = sum of factor * parameter * node.
    """

    polynomial: CellPolynomial
    slots: NDArray[np.int32]
    home_slots: NDArray[np.int32]
    relative_slots: NDArray[np.int32]
    node_parents: NDArray[np.int32]
    node_variables: NDArray[np.int32]
    degree_starts: NDArray[np.int64]
    entry_targets: NDArray[np.int32]
    entry_parameters: NDArray[np.int32]
    entry_nodes: NDArray[np.int32]
    entry_factors: NDArray[np.float64]

    @property
    def n_parameters(self) -> int:
        """Parameters of all orders."""
        return self.polynomial.n_parameters


class _DerivativeTerms(NamedTuple):
    """One order's derivatives: factor * coefficient[source] * rows, seen from the target."""

    targets: NDArray[np.int64]
    rows: NDArray[np.int32]
    sources: NDArray[np.int64]
    factors: NDArray[np.int64]


@lru_cache(maxsize=8)
def build_gather_tables(polynomial: CellPolynomial) -> GatherTables:
    """Differentiate the polynomial with respect to every displacement of the home cell.

    Parameters
    ----------
    polynomial : CellPolynomial

    Returns
    -------
    GatherTables
        Its `slots` are the ones to look up in the torus.
    """
    slots, home_slots, relative = _relative_slots(polynomial)
    derivatives = [_differentiate(polynomial, terms, relative) for terms in polynomial.orders]
    nodes, parents, variables, starts = _build_tree(derivatives)
    targets, parameters, entry_nodes, factors = _collect_entries(polynomial, derivatives, nodes)
    return GatherTables(
        polynomial=polynomial,
        slots=slots,
        home_slots=home_slots,
        relative_slots=relative,
        node_parents=parents,
        node_variables=variables,
        degree_starts=starts,
        entry_targets=targets,
        entry_parameters=parameters,
        entry_nodes=entry_nodes,
        entry_factors=factors,
    )


def energy_row(
    design: NDArray[np.float64], displacements: NDArray[np.float64], parameter_orders: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Row of the design matrix that gives the potential energy, by Euler's theorem.

    Parameters
    ----------
    design : ndarray, shape (3 * n_atoms, n_parameters)
        Design matrix of the forces at these displacements.
    displacements : ndarray, shape (n_atoms, 3), Å
    parameter_orders : ndarray, shape (n_parameters,)

    Returns
    -------
    ndarray, shape (n_parameters,)
        Energy of the whole torus = row @ parameters, eV.
    """
    check_shape("design", design, (displacements.size, len(parameter_orders)))
    row: NDArray[np.float64] = -(displacements.reshape(-1) @ design) / parameter_orders
    return row


def check_precision(precision: str) -> str:
    """Refuse an unknown precision.

    Parameters
    ----------
    precision : str

    Returns
    -------
    str

    Raises
    ------
    DataError
        If it is neither ``double`` nor ``single``.
    """
    if precision not in {"double", "single"}:
        raise DataError(f"precision {precision!r} is not known", fix="use double or single")
    return precision


def unique_rows(rows: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Distinct rows in lexicographic order, and for each row its place among them.

    Parameters
    ----------
    rows : ndarray, shape (n_rows, n_columns)

    Returns
    -------
    tuple of ndarray, shapes (n_unique, n_columns) and (n_rows,)
    """
    if len(rows) == 0 or rows.shape[1] == 0:
        return rows[:1], np.zeros(len(rows), dtype=np.int64)
    order = np.lexsort(rows.T[::-1])
    ordered = rows[order]
    is_new = np.concatenate([[True], (ordered[1:] != ordered[:-1]).any(axis=1)])
    inverse = np.empty(len(rows), dtype=np.int64)
    inverse[order] = np.cumsum(is_new) - 1
    return ordered[is_new], inverse


def _relative_slots(
    polynomial: CellPolynomial,
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Slots seen from the home cell, and the table that translates pairs of slots to them."""
    n_slots = len(polynomial.slots)
    meets = np.zeros((n_slots, n_slots), dtype=bool)
    for terms in polynomial.orders:
        members = terms.monomials // 3
        for i in range(terms.order):
            for j in range(terms.order):
                meets[members[:, j], members[:, i]] = True
    moved, fixed = np.nonzero(meets)
    candidates = polynomial.slots[moved].copy()
    candidates[:, 1:] -= polynomial.slots[fixed, 1:]
    home = np.zeros((polynomial.n_sites, 4), dtype=np.int32)
    home[:, 0] = np.arange(polynomial.n_sites)
    slots, inverse = unique_rows(np.concatenate([home, candidates]))
    relative = np.full((n_slots, n_slots), -1, dtype=np.int32)
    relative[moved, fixed] = inverse[polynomial.n_sites :]
    return slots, inverse[: polynomial.n_sites].astype(np.int32), relative


def _differentiate(
    polynomial: CellPolynomial, terms: OrderTerms, relative: NDArray[np.int32]
) -> _DerivativeTerms:
    """All derivatives of one order; a repeated variable is taken once, its multiplicity being the factor."""
    monomials = terms.monomials
    pieces = []
    for i in range(terms.order):
        is_first = np.ones(len(monomials), dtype=bool) if i == 0 else monomials[:, i] != monomials[:, i - 1]
        sources = np.flatnonzero(is_first)
        rows = monomials[sources]
        variable = rows[:, i]
        slot = variable // 3
        rest = np.delete(rows, i, axis=1)
        moved = 3 * relative[rest // 3, slot[:, None]] + rest % 3
        pieces.append(
            _DerivativeTerms(
                targets=3 * polynomial.slots[slot, 0].astype(np.int64) + variable % 3,
                rows=np.sort(moved, axis=1).astype(np.int32),
                sources=sources,
                factors=(rows == variable[:, None]).sum(axis=1),
            )
        )
    return _DerivativeTerms(*(np.concatenate(column) for column in zip(*pieces, strict=True)))


def _build_tree(
    derivatives: list[_DerivativeTerms],
) -> tuple[list[NDArray[np.int64]], NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]:
    """Number the derivative monomials and their prefixes; returns the node of every derivative by order."""
    rows_of_degree = {piece.rows.shape[1]: piece.rows for piece in derivatives}
    max_degree = max(rows_of_degree, default=0)
    prefixes = np.empty((0, max_degree), dtype=np.int32)
    levels = []
    for degree in range(max_degree, -1, -1):
        own = rows_of_degree.get(degree, np.empty((0, degree), dtype=np.int32))
        nodes, inverse = unique_rows(np.concatenate([own, prefixes]))
        levels.append((nodes, inverse[: len(own)], inverse[len(own) :]))
        prefixes = nodes[:, :-1] if degree else prefixes
    levels.reverse()
    levels[0] = (np.empty((1, 0), dtype=np.int32), *levels[0][1:])
    starts = np.cumsum([0, *(len(nodes) for nodes, _, _ in levels)], dtype=np.int64)
    parents = [np.full(1, -1, dtype=np.int64)]
    variables = [np.full(1, -1, dtype=np.int32)]
    for degree in range(1, max_degree + 1):
        parents.append(starts[degree - 1] + levels[degree - 1][2])
        variables.append(levels[degree][0][:, -1])
    nodes_of_order = [starts[piece.rows.shape[1]] + levels[piece.rows.shape[1]][1] for piece in derivatives]
    return nodes_of_order, np.concatenate(parents).astype(np.int32), np.concatenate(variables), starts


def _collect_entries(
    polynomial: CellPolynomial, derivatives: list[_DerivativeTerms], nodes: list[NDArray[np.int64]]
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]:
    """Sparse table (target, parameter, node) -> factor; equal keys are added."""
    n_nodes = 1 + max((int(node.max(initial=0)) for node in nodes), default=0)
    shape = (3 * polynomial.n_sites, max(1, polynomial.n_parameters), n_nodes)
    keys, values = [np.empty(0, np.int64)], [np.empty(0)]
    offsets = polynomial.parameter_offsets
    for terms, offset, piece, node in zip(polynomial.orders, offsets, derivatives, nodes, strict=False):
        counts = np.diff(terms.indptr)[piece.sources]
        term = np.repeat(np.arange(len(piece.sources)), counts)
        first = np.repeat(terms.indptr[piece.sources] - (np.cumsum(counts) - counts), counts)
        entry = first + np.arange(len(term))
        columns = (piece.targets[term], terms.indices[entry] + offset, node[term])
        keys.append(np.ravel_multi_index(columns, shape))
        values.append(piece.factors[term] * terms.data[entry])
    unique, inverse = np.unique(np.concatenate(keys), return_inverse=True)
    factors = np.bincount(inverse, weights=np.concatenate(values), minlength=len(unique)).astype(np.float64)
    targets, parameters, entry_nodes = (part.astype(np.int32) for part in np.unravel_index(unique, shape))
    return targets, parameters, entry_nodes, factors
