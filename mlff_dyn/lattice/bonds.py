"""Bonds of a supercell: how far neighbors move against each other.

Rigid translations cost nothing, so what an expansion leaves out depends on relative displacements. Their
amplitude tells a thermal crystal, whose neighbors move together, from a rattled one of the same mean square
displacement, whose bonds are strained more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.lattice.clusters import decode, neighbors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.lattice.torus import Torus

_SHELL = 1.2


def bonded_atoms(torus: Torus) -> NDArray[np.int32]:
    """Pairs of atoms closer than 1.2 times the shortest bond of the first one; shape (n_pairs, 2)."""
    crystal = torus.crystal
    pairs = []
    for site in range(crystal.n_sites):
        reach = 2.0 * crystal.nearest_neighbor_distance
        codes, positions = neighbors(crystal, site, reach)
        distances = np.linalg.norm(positions - crystal.positions[site], axis=1)
        while len(distances) < 2:
            reach *= 1.5
            codes, positions = neighbors(crystal, site, reach)
            distances = np.linalg.norm(positions - crystal.positions[site], axis=1)
        shortest = np.partition(distances, 1)[1]
        bonded = codes[(distances > 0.5 * shortest) & (distances <= _SHELL * shortest)]
        sites, offsets = decode(bonded, crystal.n_sites)
        partners = torus.atom_indices(np.column_stack([sites, offsets]))
        home = np.broadcast_to(site * torus.n_cells + np.arange(torus.n_cells), partners.shape)
        pairs.append(np.stack([home.ravel(), partners.ravel()], axis=1))
    return np.concatenate(pairs).astype(np.int32)


def relative_amplitude(bonds: NDArray[np.int32], displacements: NDArray[np.float64]) -> float:
    """Root mean square of (u_i - u_j) / sqrt 2 over bonds and components, Å.

    Equal to the root mean square displacement where neighbors move independently.

    Parameters
    ----------
    bonds : ndarray of int, shape (n_pairs, 2)
    displacements : ndarray, shape (n_atoms, 3)     Å
    """
    difference = displacements[bonds[:, 0]] - displacements[bonds[:, 1]]
    return float(np.sqrt(0.5 * np.mean(difference**2)))


def neighborhood_amplitudes(
    bonds: NDArray[np.int32], displacements: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Root mean square of (u_i - u_j) / sqrt 2 over the bonds of each atom i, shape (n_atoms,), Å.

    Parameters
    ----------
    bonds : ndarray of int, shape (n_pairs, 2)
        Each atom first in some of them.
    displacements : ndarray, shape (n_atoms, 3)     Å
    """
    difference = displacements[bonds[:, 0]] - displacements[bonds[:, 1]]
    squares = 0.5 * np.mean(difference**2, axis=1)
    n_atoms = len(displacements)
    counts = np.bincount(bonds[:, 0], minlength=n_atoms)
    return np.asarray(np.sqrt(np.bincount(bonds[:, 0], weights=squares, minlength=n_atoms) / counts))
