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
_NORMAL_SIXTHS = 21.0


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
    """Amplitude around each atom, to which the most strained bonds contribute most, shape (n_atoms,), Å.

    With the parts l along a bond and t across it of (u_i - u_j) / sqrt 2 per component, it is

        b^6 = <l^6 + t^6> / 21

    over the bonds of the atom: what is left out grows with a high power of a stretch or of a bend, whichever
    is larger. Equal to the root mean square displacement where displacements are normal and independent.

    Parameters
    ----------
    bonds : Bonds
        Each atom first in some of the pairs.
    displacements : ndarray, shape (n_atoms, 3)     Å
    strain : ndarray, shape (3, 3)
    """
    first, n_atoms = bonds.pairs[:, 0], len(displacements)
    stretches = _stretches(bonds, displacements, strain)
    directions = bonds.vectors / np.linalg.norm(bonds.vectors, axis=1, keepdims=True)
    along = 0.5 * np.einsum("ij,ij->i", stretches, directions) ** 2
    across = np.maximum(0.25 * np.einsum("ij,ij->i", stretches, stretches) - 0.5 * along, 0.0)
    sixths = (along**3 + across**3) / _NORMAL_SIXTHS
    counts = np.bincount(first, minlength=n_atoms)
    return np.asarray((np.bincount(first, weights=sixths, minlength=n_atoms) / counts) ** (1.0 / 6.0))


def _stretches(
    bonds: Bonds, displacements: NDArray[np.float64], strain: NDArray[np.float64]
) -> NDArray[np.float64]:
    """What displacements and strain add to the vector of each pair, shape (n_pairs, 3), Å."""
    first, second = bonds.pairs.T
    return np.asarray(displacements[second] - displacements[first] + bonds.vectors @ strain)
