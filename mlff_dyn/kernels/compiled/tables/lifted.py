"""Tables of the compiled force kernel for orders 3 and higher.

Each cluster is the product of a row factor and a column factor (`splits`). All clusters with the same row
factor form a dense block, cut into tiles of at most ten rows, which the kernel keeps in registers (half of
them at a time where the registers are few). Blocks are collected into chunks whose factors fit into the
cache. Orders of pairs may be formed from differences of displacements instead (`bonds`). The tables do not
depend on the parameters: `LiftedChunk.fill` puts the coefficients of given parameters in place.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.kernels.compiled.tables.splits import Factor, choose_splits, factor_components, factor_width
from mlff_dyn.kernels.compiled.tables.tiles import FactorizedTerms, LiftedChunk, build_chunk, with_parents
from mlff_dyn.kernels.gather import GatherTables, unique_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mlff_dyn.kernels.pair_terms import BondTerms

CHUNK_COMPONENTS = 4096
"""Components of a chunk: with their adjoints 512 kB for eight cells."""


def build_lifted_chunks(
    tables: GatherTables, differences: Mapping[int, BondTerms] | None = None
) -> tuple[LiftedChunk, ...]:
    """Arrange the orders 3 and higher for the compiled kernel.

    Parameters
    ----------
    tables : GatherTables
    differences : mapping of order to BondTerms, optional
        Orders that are formed from differences of displacements.

    Returns
    -------
    tuple of LiftedChunk
        At least one, which may be empty.
    """
    terms = _factorize(tables, differences or {})
    blocks: defaultdict[Factor, list[int]] = defaultdict(list)
    for cluster, row in enumerate(terms.rows):
        blocks[row].append(cluster)
    order = np.argsort(terms.clusters, kind="stable")
    starts = np.searchsorted(terms.clusters[order], np.arange(len(terms.rows) + 1))
    chunks = []
    for rows in _group_blocks(blocks, terms):
        chosen = {row: blocks[row] for row in rows}
        members = [order[starts[k] : starts[k + 1]] for clusters in chosen.values() for k in clusters]
        chunks.append(build_chunk(terms, chosen, np.concatenate(members)))
    return tuple(chunks) or (build_chunk(terms, {}, np.empty(0, dtype=np.int64)),)


class _Collector:
    """Factors and terms as orders are added."""

    def __init__(self) -> None:
        self.rows: list[Factor] = []
        self.columns: list[Factor] = []
        self.differences: dict[int, tuple[int, int]] = {}
        self._pieces: list[tuple[NDArray[np.int64], ...]] = []
        self._weights: list[NDArray[np.float64]] = []

    def add_clusters(self, factors: list[tuple[Factor, Factor]]) -> int:
        """Add clusters; returns the number of the first."""
        first = len(self.rows)
        self.rows += [row for row, _ in factors]
        self.columns += [column for _, column in factors]
        return first

    def add_terms(
        self,
        clusters: NDArray[np.int64],
        variables: tuple[NDArray[np.int32], NDArray[np.int32]],
        monomials: NDArray[np.int64],
        weights: NDArray[np.float64],
    ) -> None:
        """Add terms by the variables of their rows and columns."""
        rows, columns = (factor_components(each) for each in variables)
        self._pieces.append((clusters, rows, columns, monomials))
        self._weights.append(weights)

    def finish(self) -> FactorizedTerms:
        """All of them."""
        empty = (np.empty(0, dtype=np.int64),) * 4
        clusters, rows, columns, monomials = (
            np.concatenate(column) for column in zip(empty, *self._pieces, strict=True)
        )
        return FactorizedTerms(
            self.rows,
            self.columns,
            clusters,
            rows,
            columns,
            monomials,
            np.concatenate([np.empty(0), *self._weights]),
            self.differences,
        )


def _factorize(tables: GatherTables, differences: Mapping[int, BondTerms]) -> FactorizedTerms:
    """Split every cluster, seen from its most central atom, into two factors."""
    collector = _Collector()
    firsts: dict[int, int] = {}
    n_monomials = 0
    for terms in tables.polynomial.orders:
        if terms.order >= 3:
            firsts[terms.order] = n_monomials
            n_monomials += terms.n_monomials
    plain = {
        terms.order: _translate(tables, terms.monomials)
        for terms in tables.polynomial.orders
        if terms.order >= 3 and terms.order not in differences
    }
    _add_plain(collector, plain, firsts)
    for order, bond_terms in differences.items():
        _add_differences(collector, bond_terms, len(tables.slots), firsts[order])
    return collector.finish()


def _add_plain(
    collector: _Collector, variables: dict[int, NDArray[np.int32]], firsts: dict[int, int]
) -> None:
    unique = {order: unique_rows(rows // 3) for order, rows in variables.items()}
    splits = choose_splits({order: slots for order, (slots, _) in unique.items()})
    for order, (slots, inverse) in unique.items():
        chosen = splits[order]
        places = np.array([split.places for split in chosen], dtype=np.int64).reshape(-1, order)
        n_rows = np.array([split.n_rows for split in chosen], dtype=np.int64)
        factors = [split.factors(members) for split, members in zip(chosen, slots.tolist(), strict=True)]
        first = collector.add_clusters(factors)
        arranged = np.take_along_axis(variables[order], places[inverse], axis=1)
        for size in np.unique(n_rows).tolist():
            own = np.flatnonzero(n_rows[inverse] == size)
            split_variables = (arranged[own, :size], arranged[own, size:])
            collector.add_terms(first + inverse[own], split_variables, firsts[order] + own, np.ones(len(own)))


def _add_differences(collector: _Collector, terms: BondTerms, n_slots: int, first_monomial: int) -> None:
    """Each difference is a slot of its own, numbered after the others."""
    known = {bond: slot for slot, bond in collector.differences.items()}
    for bond in terms.bonds:
        known.setdefault(bond, n_slots + len(known))
    collector.differences.update({slot: bond for bond, slot in known.items()})
    slots = np.array([known[bond] for bond in terms.bonds], dtype=np.int64)
    order = terms.axes.shape[1]
    n_rows = min(3, order - 1)
    unique, inverse = np.unique(slots, return_inverse=True)
    first = collector.add_clusters(
        [((slot,) * n_rows, (slot,) * (order - n_rows)) for slot in unique.tolist()]
    )
    variables = (3 * slots[:, None] + terms.axes).astype(np.int32)
    split_variables = (variables[:, :n_rows], variables[:, n_rows:])
    collector.add_terms(first + inverse, split_variables, first_monomial + terms.sources, terms.weights)


def _translate(tables: GatherTables, monomials: NDArray[np.int32]) -> NDArray[np.int32]:
    """Monomials over the gather slots, ascending within a row."""
    members, axes = np.divmod(monomials, 3)
    offsets = tables.polynomial.slots[members, 1:].astype(np.int64)
    spreads = ((offsets[:, :, None] - offsets[:, None]) ** 2).sum(axis=(2, 3))
    center = np.take_along_axis(members, np.argmin(spreads, axis=1)[:, None], axis=1)
    return np.sort(3 * tables.relative_slots[members, center] + axes, axis=1)


def _group_blocks(blocks: dict[Factor, list[int]], terms: FactorizedTerms) -> list[list[Factor]]:
    """Row factors in groups whose factors fit into a chunk."""
    groups: list[list[Factor]] = []
    present: set[Factor] = set()
    n_components = CHUNK_COMPONENTS
    for row in sorted(blocks):
        needed = with_parents({row, *(terms.columns[cluster] for cluster in blocks[row])}, terms.differences)
        added = sum(factor_width(factor) for factor in needed - present)
        if n_components + added > CHUNK_COMPONENTS:
            groups.append([])
            present = set()
            n_components = 0
            added = sum(factor_width(factor) for factor in needed)
        groups[-1].append(row)
        present |= needed
        n_components += added
    return groups
