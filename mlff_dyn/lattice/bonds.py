"""Bonds of a supercell: how far neighbors move against each other.

Rigid translations cost nothing, so what an expansion leaves out depends on relative displacements. Their
amplitude tells a thermal crystal, whose neighbors move together, from a rattled one of the same mean square
displacement, whose bonds are strained more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mlff_dyn.lattice.clusters import decode, neighbors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.lattice.torus import Torus

_SHELL = 1.2


class Bonds(NamedTuple):
    """Pairs of atoms, shape (n_pairs, 2), and the vectors from the first to the second, (n_pairs, 3), Å."""

    pairs: NDArray[np.int32]
    vectors: NDArray[np.float64]


def bonded_atoms(torus: Torus) -> Bonds:
    """Pairs of atoms closer than 1.2 times the shortest bond of the first one."""
    crystal = torus.crystal
    pairs, vectors = [], []
    for site in range(crystal.n_sites):
        reach = 2.0 * crystal.nearest_neighbor_distance
        codes, positions = neighbors(crystal, site, reach)
        distances = np.linalg.norm(positions - crystal.positions[site], axis=1)
        while len(distances) < 2:
            reach *= 1.5
            codes, positions = neighbors(crystal, site, reach)
            distances = np.linalg.norm(positions - crystal.positions[site], axis=1)
        shortest = np.partition(distances, 1)[1]
        is_bonded = (distances > 0.5 * shortest) & (distances <= _SHELL * shortest)
        bonded = codes[is_bonded]
        sites, offsets = decode(bonded, crystal.n_sites)
        partners = torus.atom_indices(np.column_stack([sites, offsets]))
        home = np.broadcast_to(site * torus.n_cells + np.arange(torus.n_cells), partners.shape)
        pairs.append(np.stack([home.ravel(), partners.ravel()], axis=1))
        vectors.append(np.repeat(positions[is_bonded] - crystal.positions[site], torus.n_cells, axis=0))
    return Bonds(np.concatenate(pairs).astype(np.int32), np.concatenate(vectors))


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
    return float(np.sqrt(0.5 * np.mean(_stretches(bonds, displacements, strain) ** 2)))


def neighborhood_amplitudes(
    bonds: Bonds, displacements: NDArray[np.float64], strain: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Root mean square of (u_i - u_j) / sqrt 2 over the bonds of each atom i, shape (n_atoms,), Å.

    Parameters
    ----------
    bonds : Bonds
        Each atom first in some of the pairs.
    displacements : ndarray, shape (n_atoms, 3)     Å
    strain : ndarray, shape (3, 3)
    """
    first = bonds.pairs[:, 0]
    squares = 0.5 * np.mean(_stretches(bonds, displacements, strain) ** 2, axis=1)
    n_atoms = len(displacements)
    counts = np.bincount(first, minlength=n_atoms)
    return np.asarray(np.sqrt(np.bincount(first, weights=squares, minlength=n_atoms) / counts))


def _stretches(
    bonds: Bonds, displacements: NDArray[np.float64], strain: NDArray[np.float64]
) -> NDArray[np.float64]:
    """What displacements and strain add to the vector of each pair, shape (n_pairs, 3), Å."""
    first, second = bonds.pairs.T
    return np.asarray(displacements[second] - displacements[first] + bonds.vectors @ strain)
