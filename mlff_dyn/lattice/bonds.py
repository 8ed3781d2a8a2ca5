"""Bonds of a supercell: how far neighbors move against each other.

Rigid translations cost nothing, so what an expansion leaves out depends on relative displacements. Their
amplitude tells a thermal crystal, whose neighbors move together, from a rattled one of the same mean square
displacement, whose bonds are strained more.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mlff_dyn.lattice.clusters import decode, neighbors
from mlff_dyn.lattice.lattice_limits import LATTICE_LIMITS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from mlff_dyn.kernels.slot_atoms import TorusSlots
    from mlff_dyn.lattice.crystal import Crystal
    from mlff_dyn.lattice.torus import Torus

_NORMAL_SIXTHS = 21.0
"""Mean of l^6 + t^6 of `neighborhood_amplitudes` for independent normal displacements of sd 1: 15 + 6."""
_MOST_PAIRS = 1 << 17
"""Pairs that are looked at together."""


@dataclass(frozen=True, eq=False)
class Bonds:
    """Bonds of the atoms of a cell, from which those of all cells follow.

    Attributes
    ----------
    torus : Torus
    sites : ndarray of int, shape (n_bonds,)       site of the first atom, ascending
    partners : TorusSlots                          the second atom
    vectors : ndarray, shape (n_bonds, 3), Å       from the first to the second
    """

    torus: Torus
    sites: NDArray[np.int64]
    partners: TorusSlots
    vectors: NDArray[np.float64]

    def pieces(self) -> Iterator[BondPairs]:
        """Bonds of some cells after the other, so that memory does not grow with the torus."""
        n_cells = self.torus.n_cells
        length = max(1, _MOST_PAIRS // len(self.sites))
        if n_cells <= length:
            yield self._all_pairs
            return
        for start in range(0, n_cells, length):
            yield self._pairs(np.arange(start, min(start + length, n_cells)))

    @cached_property
    def _all_pairs(self) -> BondPairs:
        return self._pairs(np.arange(self.torus.n_cells))

    def _pairs(self, cells: NDArray[np.int64]) -> BondPairs:
        return BondPairs(
            cells=cells,
            local=(self.sites[:, None] * len(cells) + np.arange(len(cells))).ravel(),
            first=(self.sites[:, None] * self.torus.n_cells + cells).ravel(),
            second=self.partners.of_cells(cells).ravel(),
            vectors=np.repeat(self.vectors, len(cells), axis=0),
        )


class BondPairs(NamedTuple):
    """Pairs of atoms of some cells.

    ``first`` and ``second`` are atoms, shape (n_pairs,); ``local`` numbers the first ones site by site among
    the ``cells``; ``vectors``, (n_pairs, 3), lead from the first to the second, Å.
    """

    cells: NDArray[np.int64]
    local: NDArray[np.int64]
    first: NDArray[np.int64]
    second: NDArray[np.int32]
    vectors: NDArray[np.float64]


def bonded_atoms(torus: Torus, bond_factor: float = LATTICE_LIMITS.bond_factor) -> Bonds:
    """Pairs of atoms closer than a multiple of the shortest bond of the first one, see `LatticeLimits`."""
    crystal = torus.crystal
    sites, slots, vectors = [], [], []
    for site in range(crystal.n_sites):
        reach = max(2.0, bond_factor) * crystal.nearest_neighbor_distance
        codes, positions, distances = _around(crystal, site, reach)
        while len(distances) < 2 or bond_factor * np.partition(distances, 1)[1] > reach:
            reach *= 1.5
            codes, positions, distances = _around(crystal, site, reach)
        shortest = np.partition(distances, 1)[1]
        is_bonded = (distances > 0.5 * shortest) & (distances <= bond_factor * shortest)
        slots.append(np.column_stack(decode(codes[is_bonded], crystal.n_sites)))
        sites.append(np.full(len(slots[-1]), site))
        vectors.append(positions[is_bonded] - crystal.positions[site])
    partners = torus.slot_atoms(np.concatenate(slots))
    return Bonds(torus, np.concatenate(sites), partners, np.concatenate(vectors))


def _around(
    crystal: Crystal, site: int, reach: float
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Codes, positions and distances of the atoms around a site, itself among them."""
    codes, positions = neighbors(crystal, site, reach)
    return codes, positions, np.linalg.norm(positions - crystal.positions[site], axis=1)


def relative_amplitude(
    bonds: Bonds, displacements: NDArray[np.float64], strain: NDArray[np.float64]
) -> float:
    """Root mean square of (u_i - u_j) / sqrt 2 over bonds and components, Å.

    Equal to the root mean square displacement where neighbors move independently. A strain moves neighbors
    against each other as well.

    Parameters
    ----------
    bonds : Bonds
    displacements : ndarray, shape (n_atoms, 3)     Å
    strain : ndarray, shape (3, 3)
    """
    mean = 0.0
    n_cells = bonds.torus.n_cells
    for pairs in bonds.pieces():
        squares = _stretches(pairs, displacements, strain) ** 2
        mean += float(np.mean(squares)) * (len(pairs.cells) / n_cells)
    return float(np.sqrt(0.5 * mean))


def neighborhood_amplitudes(
    bonds: Bonds, displacements: NDArray[np.float64], strain: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Amplitude around each atom, to which the most strained bonds contribute most, shape (n_atoms,), Å.

    With the parts l along a bond and t across it of (u_i - u_j) / sqrt 2 per component, it is

        b^6 = <l^6 + t^6> / 21

    over the bonds of the atom: what is left out grows with a high power of a stretch or of a bend, whichever
    is larger. Equal to the root mean square displacement where displacements are normal and independent.

    Parameters
    ----------
    bonds : Bonds
    displacements : ndarray, shape (n_atoms, 3)     Å
    strain : ndarray, shape (3, 3)
    """
    n_sites = bonds.torus.crystal.n_sites
    amplitudes = np.empty((n_sites, bonds.torus.n_cells))
    for pairs in bonds.pieces():
        stretches = _stretches(pairs, displacements, strain)
        directions = pairs.vectors / np.linalg.norm(pairs.vectors, axis=1, keepdims=True)
        along = 0.5 * np.einsum("ij,ij->i", stretches, directions) ** 2
        across = np.maximum(0.25 * np.einsum("ij,ij->i", stretches, stretches) - 0.5 * along, 0.0)
        sixths = (along**3 + across**3) / _NORMAL_SIXTHS
        n_atoms = n_sites * len(pairs.cells)
        counts = np.bincount(pairs.local, minlength=n_atoms)
        means = np.bincount(pairs.local, weights=sixths, minlength=n_atoms) / counts
        amplitudes[:, pairs.cells] = (means ** (1.0 / 6.0)).reshape(n_sites, -1)
    return amplitudes.reshape(-1)


def _stretches(
    pairs: BondPairs, displacements: NDArray[np.float64], strain: NDArray[np.float64]
) -> NDArray[np.float64]:
    """What displacements and strain add to the vector of each pair, shape (n_pairs, 3), Å."""
    return np.asarray(displacements[pairs.second] - displacements[pairs.first] + pairs.vectors @ strain)
