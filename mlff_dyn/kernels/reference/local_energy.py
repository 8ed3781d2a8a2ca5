"""The local part of the energy in plain numpy: slow, readable, and the measure of the compiled one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from mlff_dyn.kernels.local_tables import LocalPlace, LocalRows, LocalTables, LocalTerms
from mlff_dyn.kernels.reference.local_functions import harmonics, radial_functions
from mlff_dyn.kernels.reference.local_quadruples import quadruple_products
from mlff_dyn.kernels.slot_atoms import EVERY_CELL

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.kernels.slot_atoms import SlotAtoms


def local_rows(
    tables: LocalTables,
    neighbor_atoms: SlotAtoms | NDArray[np.int32],
    displacements: NDArray[np.float64],
    *,
    strain: NDArray[np.float64],
) -> LocalRows:
    """Forces, energy and virial as linear functions of the values.

    See `mlff_dyn.kernels.compiled.local_design.local_rows`.
    """
    pairs = _Pairs(LocalPlace(tables, neighbor_atoms, strain), displacements)
    energy = np.zeros(tables.n_functions)
    slopes = np.zeros((len(pairs.centers), 3, tables.n_functions))
    for kind in range(tables.n_kinds):
        of_functions = _products_of_functions(tables, kind)
        mine = pairs.kinds_of_centers == kind
        products, slopes_of_products = pairs.products_of_three(kind, mine)
        energy += pairs.products(kind) @ of_functions + products
        slopes[mine] = pairs.slopes_of_products(mine) @ of_functions + slopes_of_products
    forces = pairs.forces(slopes)
    virial = np.einsum("paf,pb->abf", slopes, tables.vectors[pairs.neighbors])
    return LocalRows(
        np.concatenate(forces),
        energy,
        0.5 * (virial + virial.transpose(1, 0, 2)),
    )


def local_force_rows(
    place: LocalPlace, displacements: NDArray[np.float64], atoms: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Forces on some atoms; see `mlff_dyn.kernels.compiled.local_design.local_force_rows`."""
    rows = local_rows(place.tables, place.neighbor_atoms, displacements, strain=place.strain).forces
    chosen = 3 * place.check_atoms(atoms)[:, None] + np.arange(3)
    return np.asarray(rows[chosen.ravel()])


def local_energy_forces(
    terms: LocalTerms, displacements: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    """Energy measured from rest, and forces, shape (n_atoms, 3)."""
    rows = local_rows(terms.tables, terms.neighbor_atoms, displacements, strain=terms.strain)
    forces = (rows.forces @ terms.values).reshape(-1, 3)
    return float(rows.energy @ terms.values) - terms.energy_at_rest, forces


def local_virial(terms: LocalTerms, displacements: NDArray[np.float64]) -> NDArray[np.float64]:
    """Virial; see `mlff_dyn.kernels.compiled.local_energy.local_virial`."""
    rows = local_rows(terms.tables, terms.neighbor_atoms, displacements, strain=terms.strain)
    virial = rows.virial @ terms.values
    return np.asarray(0.5 * (virial + virial.T))


class LocalKernel:
    """See `mlff_dyn.kernels.compiled.local_energy.LocalKernel`."""

    def __init__(self, terms: LocalTerms) -> None:
        self._terms = terms

    def at(self, terms: LocalTerms) -> LocalKernel:
        """Kernel at the strain of other terms."""
        return LocalKernel(terms)

    def energy_forces(self, displacements: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Energy measured from rest, and forces."""
        return local_energy_forces(self._terms, displacements)

    def virial(self, displacements: NDArray[np.float64]) -> NDArray[np.float64]:
        """Derivative with respect to the strain."""
        return local_virial(self._terms, displacements)


def _rows(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """All axes but the first as one, however long the first is."""
    return values.reshape(len(values), int(np.prod(values.shape[1:])))


def _upper(n_channels: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    return np.triu_indices(n_channels)


def _products_of_functions(tables: LocalTables, kind: int) -> NDArray[np.float64]:
    """Which products belong to which function, shape (n_products, n_functions)."""
    first, second = _upper(tables.n_channels)
    of_triples = tables.triple_functions[kind][:, first, second].reshape(-1)
    functions = np.concatenate([tables.pair_functions[kind], of_triples])
    return np.asarray(functions[:, None] == np.arange(tables.n_functions), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Pairs of a central atom and a neighbor inside the cutoff.

    Products are A_c00 of each channel, then those of two channels by l and (c, c'), c <= c'.
    """

    place: LocalPlace
    displacements: NDArray[np.float64]

    def __post_init__(self) -> None:
        self.place.check_displacements(self.displacements)

    @property
    def tables(self) -> LocalTables:
        return self.place.tables

    @property
    def n_cells(self) -> int:
        return self.place.slot_atoms.n_cells

    @property
    def n_atoms(self) -> int:
        return self.place.n_atoms

    @cached_property
    def _inside(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Number of the neighbor in the tables, central atom, neighbor atom and vector of every pair."""
        places = np.repeat(np.arange(len(self.tables.slots)), self.n_cells)
        centers = (self.tables.centers[:, None] * self.n_cells + np.arange(self.n_cells)).reshape(-1)
        ends = self.place.slot_atoms.of_cells(EVERY_CELL).reshape(-1).astype(np.int64)
        moved = self.displacements[ends] - self.displacements[centers]
        vectors = self.place.vectors[places] + moved
        inside = np.linalg.norm(vectors, axis=1) < self.tables.cutoff
        return places[inside], centers[inside], ends[inside], vectors[inside]

    @property
    def neighbors(self) -> NDArray[np.int64]:
        return self._inside[0]

    @property
    def centers(self) -> NDArray[np.int64]:
        return self._inside[1]

    @property
    def kinds_of_centers(self) -> NDArray[np.int32]:
        return self.tables.kinds[self.tables.centers[self.neighbors]]

    @cached_property
    def _channel_functions(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """g_n Y_lm of every pair in each channel, (n_pairs, n_channels, n_lm); its derivative (..., 3)."""
        tables, vectors = self.tables, self._inside[3]
        distances = np.linalg.norm(vectors, axis=1)
        directions = vectors / distances[:, None]
        g, slope = radial_functions(tables.radial, tables.cutoff, distances)
        y, gradient = harmonics(directions, tables.l_max)
        of_kind = np.eye(tables.n_kinds)[tables.kinds[tables.slots[self.neighbors, 0]]]
        g, slope = (np.einsum("pk,pn->pkn", of_kind, f).reshape(-1, tables.n_channels) for f in (g, slope))
        along = np.einsum("pc,pk,pa->pcka", slope, y, directions)
        across = np.einsum("pc,pka->pcka", g / distances[:, None], gradient)
        return np.einsum("pc,pk->pck", g, y), along + across

    @cached_property
    def _sums(self) -> NDArray[np.float64]:
        """A of every atom, shape (n_atoms, n_channels, n_lm)."""
        values = self._channel_functions[0]
        sums = self._incidence(self.centers) @ _rows(values)
        return np.asarray(sums).reshape(self.n_atoms, *values.shape[1:])

    def _incidence(self, atoms: NDArray[np.int64]) -> sparse.csr_matrix:
        count = len(atoms)
        return sparse.csr_matrix((np.ones(count), (atoms, np.arange(count))), (self.n_atoms, count))

    def products(self, kind: int) -> NDArray[np.float64]:
        """Sums of the products over the central atoms of a kind, shape (n_products,)."""
        of_kind = np.repeat(self.tables.kinds == kind, self.n_cells)
        sums = self._sums[of_kind]
        first, second = _upper(self.tables.n_channels)
        triples = [np.einsum("icm,idm->cd", part, part)[first, second] for part in self._by_degree(sums)]
        return np.concatenate([sums[:, :, 0].sum(axis=0), *triples])

    def slopes_of_products(self, chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Derivatives of the products by the vectors of chosen pairs, shape (n_chosen, 3, n_products)."""
        slopes = self._channel_functions[1][chosen]
        sums = self._sums[self.centers[chosen]]
        first, second = _upper(self.tables.n_channels)
        parts = [slopes[:, :, 0].transpose(0, 2, 1)]
        for of_sums, of_slopes in zip(self._by_degree(sums), self._by_degree(slopes), strict=True):
            half = np.einsum("pcma,pdm->pacd", of_slopes, of_sums)
            parts.append(half[:, :, first, second] + half[:, :, second, first])
        return np.concatenate(parts, axis=2)

    def products_of_three(
        self, kind: int, chosen: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Functions of three sums of the central atoms of a kind; derivatives as in slopes_of_products."""
        of_kind = np.repeat(self.tables.kinds == kind, self.n_cells)
        centers = (np.cumsum(of_kind) - 1)[self.centers[chosen]]
        slopes = self._channel_functions[1][chosen]
        return quadruple_products(self.tables, kind, self._sums[of_kind], centers, slopes)

    def _by_degree(self, values: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        """Parts of each l of an array whose third axis is (l, m)."""
        return [values[:, :, n**2 : (n + 1) ** 2] for n in range(self.tables.l_max + 1)]

    def forces(self, slopes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Forces from derivatives of the energy by the vectors, (n_pairs, 3, n): (n_atoms, 3, n)."""
        net = self._incidence(self.centers) - self._incidence(self._inside[2])
        return np.asarray(net @ _rows(slopes)).reshape(self.n_atoms, *slopes.shape[1:])
